# IDs, parts of IDs, digests, and several names of which some are missing.
$ docker pull -q busybox:musl
docker.io/library/busybox:musl
$ docker pull -q 127.0.0.1:5000/team/app:1.1
127.0.0.1:5000/team/app:1.1
$ docker tag '' b
! Error parsing reference: "" is not a valid repository/tag: invalid reference format
[1]
$ docker tag UPPER b
! Error parsing reference: "UPPER" is not a valid repository/tag: invalid reference format: repository name (library/UPPER) must be lowercase
[1]
$ docker tag a:b:c d
! Error parsing reference: "a:b:c" is not a valid repository/tag: invalid reference format
[1]
$ docker tag busybox:musl x:1.0 --foo
! docker: 'docker tag' requires 2 arguments
! 
! Usage:  docker tag SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]
! 
! Run 'docker tag --help' for more information
[1]
$ docker tag -- busybox:musl dd:1
$ docker tag busybox:musl docker.io/library/f:1
$ docker tag busybox:musl x_:1
! Error parsing reference: "x_:1" is not a valid repository/tag: invalid reference format
[1]
$ docker tag busybox:musl x__y:1
$ docker tag busybox:musl x:$(printf 'a%.0s' $(seq 129))
! Error parsing reference: "x:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" is not a valid repository/tag: invalid reference format
[1]
$ docker tag busybox:musl 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
! Error parsing reference: "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" is not a valid repository/tag: invalid repository name (0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef), cannot specify 64-byte hexadecimal strings
[1]
$ ID=$(docker images -q busybox:musl); docker tag $ID id:1; docker tag sha256:$ID id:2; docker tag ${ID:0:4} id:3; docker tag $(docker images -q --no-trunc busybox:musl) id:4
$ docker tag $(docker images -q busybox:musl | tr a-f A-F) id:5
! Error parsing reference: "A457CD9C8CA5" is not a valid repository/tag: invalid reference format: repository name (library/A457CD9C8CA5) must be lowercase
[1]
$ docker tag 0000 id:6
! Error response from daemon: No such image: 0000:latest
[1]
$ D=$(docker inspect busybox:musl -f '{{index .RepoDigests 0}}'); docker tag $D dig:1; docker tag busybox:nope@${D#*@} dig:2
$ docker images --format '{{.Repository}}:{{.Tag}}' | sort
127.0.0.1:5000/team/app:1.1
busybox:musl
dd:1
dig:1
dig:2
f:1
id:1
id:2
id:3
id:4
x__y:1
$ docker inspect busybox:musl nope id:1 nope:2 -f '{{.Os}}'
linux
linux
! Error: No such object: nope
! Error: No such object: nope:2
[1]
$ docker image inspect busybox:musl nope id:1 | jq length
2
! Error response from daemon: No such image: nope:latest
$ docker inspect $(docker images -q busybox:musl | cut -c1-3) -f '{{.Os}}'
linux
$ docker inspect '' nope
[]
! invalid container name or ID: value is empty
! Error: No such object: nope
[1]
$ docker save busybox:musl nope | wc -c
0
! Error response from daemon: No such image: nope
$ docker save -o x.tar busybox:musl nope; ls
! Error response from daemon: No such image: nope
$ docker history busybox:musl id:1
! docker: 'docker history' requires 1 argument
! 
! Usage:  docker history [OPTIONS] IMAGE
! 
! Run 'docker history --help' for more information
[1]
$ docker images @sha256:8090
REPOSITORY  TAG  IMAGE ID  CREATED  SIZE
$ docker images 127.0.0.1:5000/team/app:1.1@sha256:8090c8205ff8bbec0c367dfd2a8f5eec95ca8de66b6eeb8a9e51203ba1b5b0e4
REPOSITORY  TAG  IMAGE ID  CREATED  SIZE
$ docker images --format '{{.Repository}}' --filter reference='*/*/*:1.?'
127.0.0.1:5000/team/app
$ docker images --format '{{.Repository}}' --filter reference='**/app'
$ docker images --format '{{.Repository}}' --filter label=empty= --filter label=tier=web
127.0.0.1:5000/team/app
$ docker images --filter before=busybox -q
! Error response from daemon: No such image: busybox:latest
[1]
$ docker images --filter since=nope
! Error response from daemon: No such image: nope:latest
[1]
$ docker images --filter dangling=x
! Error response from daemon: invalid filter 'dangling=[x]'
[1]
$ docker images --filter until=x
! Error response from daemon: failed to parse value as time or duration: "x"
[1]
$ docker images --filter until=1h --filter until=2h -q
899f0ba431e5
a457cd9c8ca5
a457cd9c8ca5
a457cd9c8ca5
a457cd9c8ca5
a457cd9c8ca5
a457cd9c8ca5
a457cd9c8ca5
a457cd9c8ca5
a457cd9c8ca5
a457cd9c8ca5
$ docker images --filter LABEL=tier -q
899f0ba431e5
$ docker rmi id:1 nope id:2
Untagged: id:1
Untagged: id:2
! Error response from daemon: No such image: nope:latest
[1]
$ docker rmi dig:1 dig:1
Untagged: dig:1
! Error response from daemon: No such image: dig:1
[1]
$ docker rmi ''
! Error response from daemon: page not found
[1]
$ docker rmi -f nope
! Error response from daemon: No such image: nope:latest
$ docker rmi -f nope id:3
Untagged: id:3
! Error response from daemon: No such image: nope:latest
$ docker rmi --platform foo nope
! "foo": unknown operating system or architecture: invalid argument
[1]
$ docker rmi $(docker images -q busybox:musl)
! Error response from daemon: conflict: unable to delete a457cd9c8ca5 (must be forced) - image is referenced in multiple repositories
[1]
$ docker rmi docker.io/library/f:1
Untagged: f:1
$ docker rmi 127.0.0.1:5000/team/app@sha256:8090c8205ff8bbec0c367dfd2a8f5eec95ca8de66b6eeb8a9e51203ba1b5b0e4
Untagged: 127.0.0.1:5000/team/app@sha256:8090c8205ff8bbec0c367dfd2a8f5eec95ca8de66b6eeb8a9e51203ba1b5b0e4
$ docker images --digests --format '{{.Repository}} {{.Tag}} {{.Digest}}' | sort
127.0.0.1:5000/team/app 1.1 <none>
busybox musl sha256:98cb9f8678c61cf45f7fd539c137a4d681b54c7c7f0ce9222fcac9178eeb8a66
dd 1 <none>
dig 2 <none>
id 4 <none>
x__y 1 <none>
$ docker rmi 127.0.0.1:5000/team/app
! Error response from daemon: No such image: 127.0.0.1:5000/team/app:latest
[1]
$ docker rmi -f $(docker images -q busybox:musl) | grep -c Untagged
6
$ docker images --format '{{.Repository}}:{{.Tag}}'
127.0.0.1:5000/team/app:1.1
$ docker import /dev/null sha256:1
! Error response from daemon: refusing to create an ambiguous tag using digest algorithm as name
[1]
$ docker import /dev/null a:1@sha256:0000000000000000000000000000000000000000000000000000000000000000
! Error response from daemon: cannot import digest reference
[1]
$ docker import nope.tar
! open nope.tar: no such file or directory
[1]
$ docker load -i nope.tar
! open nope.tar: no such file or directory
[1]
$ docker load -i .
! error during connect: Post "http://%2Fvar%2Frun%2Fdocker.sock/v1.51/images/load?quiet=1": read .: is a directory
[1]
