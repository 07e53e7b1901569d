# Platforms that are not there, and passwords with spaces around them.
$ docker pull --platform linux/s390x busybox:musl
musl: Pulling from library/busybox
b90dda330915: Pull complete
Digest: sha256:98cb9f8678c61cf45f7fd539c137a4d681b54c7c7f0ce9222fcac9178eeb8a66
Status: Downloaded newer image for busybox:musl
WARNING: image with reference busybox:musl was found but its platform (linux/amd64) does not match the specified platform (linux/s390x)
docker.io/library/busybox:musl
$ docker pull -q --platform linux/s390x busybox:musl
docker.io/library/busybox:musl
$ docker pull --platform linux/s390x busybox:musl
musl: Pulling from library/busybox
Digest: sha256:98cb9f8678c61cf45f7fd539c137a4d681b54c7c7f0ce9222fcac9178eeb8a66
Status: Image is up to date for busybox:musl
WARNING: image with reference busybox:musl was found but its platform (linux/amd64) does not match the specified platform (linux/s390x)
docker.io/library/busybox:musl
$ docker pull --platform foo 127.0.0.1:5000/team/multi
Using default tag: latest
! Error response from daemon: "foo": unknown operating system or architecture: invalid argument
[1]
$ docker pull --platform windows/amd64 127.0.0.1:5000/team/multi
Using default tag: latest
latest: Pulling from team/multi
! no matching manifest for windows/amd64 in the manifest list entries
[1]
$ DOCKER_DEFAULT_PLATFORM=foo docker pull 127.0.0.1:5000/team/multi
Using default tag: latest
! Error response from daemon: "foo": unknown operating system or architecture: invalid argument
[1]
$ DOCKER_DEFAULT_PLATFORM=linux/arm64 docker pull 127.0.0.1:5000/team/multi
Using default tag: latest
latest: Pulling from team/multi
af40c8896419: Pull complete
Digest: sha256:b38ae61a643b363caa2506898318f6319771194cd816403d3a5cca8fb33f10d0
Status: Downloaded newer image for 127.0.0.1:5000/team/multi:latest
127.0.0.1:5000/team/multi:latest
$ docker pull -a --platform linux/s390x busybox | tail -3
Status: Downloaded newer image for busybox
WARNING: image with reference busybox was found but its platform (linux/amd64) does not match the specified platform (linux/s390x)
docker.io/library/busybox
$ docker tag busybox:musl 127.0.0.1:5000/$S/x:1
$ docker push --platform foo 127.0.0.1:5000/$S/x:1
! Invalid platform foo"foo": unknown operating system or architecture: invalid argument
[1]
$ docker push --platform linux/s390x 127.0.0.1:5000/$S/x:1

 Info -> Using --platform pushes only the specified platform manifest of a multi-platform image index.
         Other components, like attestations, will not be included.
         To push the complete multi-platform image, remove the --platform flag.
! Error response from daemon: image with reference 127.0.0.1:5000/35-platforms-and-logins/x:1 was found but its platform (linux/amd64) does not match the specified platform (linux/s390x)
[1]
$ docker push --platform linux/s390x 127.0.0.1:5000/$S/x

 Info -> Using --platform pushes only the specified platform manifest of a multi-platform image index.
         Other components, like attestations, will not be included.
         To push the complete multi-platform image, remove the --platform flag.

Using default tag: latest
! Error response from daemon: No such image: 127.0.0.1:5000/35-platforms-and-logins/x:latest
[1]
$ docker push --platform linux/amd64 127.0.0.1:5000/$S/x:1 | head -6

 Info -> Using --platform pushes only the specified platform manifest of a multi-platform image index.
         Other components, like attestations, will not be included.
         To push the complete multi-platform image, remove the --platform flag.

The push refers to repository [127.0.0.1:5000/35-platforms-and-logins/x]
$ docker push -q --platform linux/amd64 127.0.0.1:5000/$S/x:1

 Info -> Using --platform pushes only the specified platform manifest of a multi-platform image index.
         Other components, like attestations, will not be included.
         To push the complete multi-platform image, remove the --platform flag.

127.0.0.1:5000/35-platforms-and-logins/x:1
$ docker push --platform linux/amd64 -a 127.0.0.1:5000/$S/x:1

 Info -> Using --platform pushes only the specified platform manifest of a multi-platform image index.
         Other components, like attestations, will not be included.
         To push the complete multi-platform image, remove the --platform flag.
! tag can't be used with --all-tags/-a
[1]
$ echo ' secret ' | docker login -u ops --password-stdin 127.0.0.1:5001 2>/dev/null
Login Succeeded
$ docker login -u ' ops ' -p ' secret ' 127.0.0.1:5001 2>/dev/null
Login Succeeded
$ docker login 127.0.0.1:5001 2>/dev/null
Login Succeeded
$ docker login -u ops -p secret http://127.0.0.1:5001/ 2>/dev/null
Login Succeeded
$ jq -c .auths $DOCKER_CONFIG/config.json
{"127.0.0.1:5001":{"auth":"b3BzOnNlY3JldA=="}}
$ docker logout http://127.0.0.1:5001
Removing login credentials for 127.0.0.1:5001
$ printf '' | docker login -u ops --password-stdin 127.0.0.1:5001
! Error: Cannot perform an interactive login from a non TTY device
[1]
$ printf '\n' | docker login -u ops --password-stdin 127.0.0.1:5001
! Error: Cannot perform an interactive login from a non TTY device
[1]
$ docker login -u '' -p x 127.0.0.1:5001
! username is empty
[1]
$ docker login -u ops -p '' 127.0.0.1:5001
! password is empty
[1]
$ docker login -u ops -p x --password-stdin 127.0.0.1:5001
! conflicting options: cannot specify both --password and --password-stdin
[1]
$ docker login -u ops -p secret 127.0.0.1:5000 2>/dev/null
Login Succeeded
$ jq -c .auths $DOCKER_CONFIG/config.json
{"127.0.0.1:5000":{"auth":"b3BzOnNlY3JldA=="}}
