$ mkdir -p root/bin && echo hi > root/bin/x && tar --mtime=@0 --owner=0 --group=0 --numeric-owner -C root -cf r.tar .
$ docker import --platform linux/arm64 r.tar a:arm | cut -c1-7
sha256:
$ docker import --platform linux/amd64 -m note r.tar a:amd | cut -c1-7
sha256:
$ docker image inspect --platform linux/arm64 --format '{{.Os}}/{{.Architecture}} {{.RepoTags}}' a:arm
linux/arm64 [a:arm]
$ docker image inspect --platform linux/arm a:arm
[]
! Error response from daemon: image with reference a:arm was found but its platform (linux/arm64) does not match the specified platform (linux/arm)
[1]
$ docker image inspect --platform linux/amd64 --format '{{.Architecture}}' a:arm a:amd nope:1
amd64
! Error response from daemon: image with reference a:arm was found but its platform (linux/arm64) does not match the specified platform (linux/amd64)
! Error response from daemon: No such image: nope:1
[1]
$ docker image inspect --platform nosuch a:arm
! "nosuch": unknown operating system or architecture: invalid argument
[1]
$ docker image inspect --platform a/b/c/d a:arm
! "a/b/c/d": cannot parse platform specifier: invalid argument
[1]
$ docker image inspect --platform 'linux/*' a:arm
! "linux/*": wildcards not yet supported: invalid argument
[1]
$ docker inspect --platform linux/arm64 a:arm
! unknown flag: --platform
! 
! Usage:  docker inspect [OPTIONS] NAME|ID [NAME|ID...]
! 
! Run 'docker inspect --help' for more information
[125]
$ docker history --platform linux/amd64 --format '{{.Comment}}' a:amd
note
$ docker history --platform linux/arm64 a:amd
! Error response from daemon: image with reference a:amd was found but its platform (linux/amd64) does not match the specified platform (linux/arm64)
[1]
$ docker history --platform a/b/c/d a:amd
! invalid platform: "a/b/c/d": cannot parse platform specifier: invalid argument
[1]
$ docker rmi --platform linux/amd64 a:arm
! Error response from daemon: image with reference a:arm was found but its platform (linux/arm64) does not match the specified platform (linux/amd64)
[1]
$ docker rmi --platform x/y/z/q a:arm
! "x/y/z/q": cannot parse platform specifier: invalid argument
[1]
$ docker rmi --no-prune --platform linux/arm64 a:arm | cut -c1-15
Untagged: a:arm
Deleted: sha256
$ docker images --format '{{.Repository}}:{{.Tag}}'
a:amd
$ docker import --platform nosuch r.tar b:1
! Error response from daemon: "nosuch": unknown operating system or architecture: invalid argument
[1]
$ docker import --platform windows/amd64 r.tar b:1
! Error response from daemon: operating system is not supported
[1]
$ docker import --platform linux/arm/v6 r.tar b:1 | cut -c1-7
sha256:
$ docker inspect b:1 --format '{{.Architecture}} {{.Variant}}'
arm v6
$ docker import r.tar 'b c'
! invalid reference format
[1]
$ docker images --tree -q
! --quiet is not yet supported with --tree
[1]
