# What is said before the command, and of commands and flags that do not exist.
$ docker nosuch x
! docker: unknown command: docker nosuch
! 
! Run 'docker --help' for more information
[1]
$ docker --nosuch images
! unknown flag: --nosuch
! 
! Usage:  docker [OPTIONS] COMMAND [ARG...]
! 
! Run 'docker --help' for more information
[125]
$ docker -x images
! unknown shorthand flag: 'x' in -x
! 
! Usage:  docker [OPTIONS] COMMAND [ARG...]
! 
! Run 'docker --help' for more information
[125]
$ docker --debug=x images -q
! invalid argument "x" for "-D, --debug" flag: strconv.ParseBool: parsing "x": invalid syntax
! 
! Usage:  docker [OPTIONS] COMMAND [ARG...]
! 
! Run 'docker --help' for more information
[125]
$ docker --log-level
! flag needs an argument: --log-level
! 
! Usage:  docker [OPTIONS] COMMAND [ARG...]
! 
! Run 'docker --help' for more information
[125]
$ docker -l nosuch images -q
! Unable to parse logging level: nosuch
[1]
$ docker image nosuch
! docker: unknown command: docker image nosuch
! 
! Usage:  docker image
! 
! Run 'docker image --help' for more information
[1]
$ docker image --nosuch
! unknown flag: --nosuch
! 
! Usage:  docker image
! 
! Run 'docker image --help' for more information
[125]
$ docker system nosuch
! docker: unknown command: docker system nosuch
! 
! Usage:  docker system
! 
! Run 'docker system --help' for more information
[1]
$ docker manifest nosuch
! docker: unknown command: docker manifest nosuch
! 
! Usage:  docker manifest COMMAND
! 
! Run 'docker manifest --help' for more information
[1]
$ docker images --nosuch
! unknown flag: --nosuch
! 
! Usage:  docker images [OPTIONS] [REPOSITORY[:TAG]]
! 
! Run 'docker images --help' for more information
[125]
$ docker images -qx
! unknown shorthand flag: 'x' in -x
! 
! Usage:  docker images [OPTIONS] [REPOSITORY[:TAG]]
! 
! Run 'docker images --help' for more information
[125]
$ docker images --quiet=x
! invalid argument "x" for "-q, --quiet" flag: strconv.ParseBool: parsing "x": invalid syntax
! 
! Usage:  docker images [OPTIONS] [REPOSITORY[:TAG]]
! 
! Run 'docker images --help' for more information
[125]
$ docker images --format
! flag needs an argument: --format
! 
! Usage:  docker images [OPTIONS] [REPOSITORY[:TAG]]
! 
! Run 'docker images --help' for more information
[125]
$ docker images -f
! flag needs an argument: 'f' in -f
! 
! Usage:  docker images [OPTIONS] [REPOSITORY[:TAG]]
! 
! Run 'docker images --help' for more information
[125]
$ docker images -D
! unknown shorthand flag: 'D' in -D
! 
! Usage:  docker images [OPTIONS] [REPOSITORY[:TAG]]
! 
! Run 'docker images --help' for more information
[125]
$ docker images --config x
! unknown flag: --config
! 
! Usage:  docker images [OPTIONS] [REPOSITORY[:TAG]]
! 
! Run 'docker images --help' for more information
[125]
$ docker images a b
! docker: 'docker images' requires at most 1 argument
! 
! Usage:  docker images [OPTIONS] [REPOSITORY[:TAG]]
! 
! SRun 'docker images --help' for more information
[1]
$ docker help nosuch
! unknown help topic: nosuch
[1]
$ docker help image nosuch
! unknown help topic: nosuch
[1]
$ docker images -h | head -3
Flag shorthand -h has been deprecated, use --help
Usage:  docker images [OPTIONS] [REPOSITORY[:TAG]]
$ docker image -h | head -3
Flag shorthand -h has been deprecated, use --help
Usage:  docker image COMMAND
$ docker -h 2>/dev/null | head -1
Usage:  docker [OPTIONS] COMMAND
$ docker images --help | head -1
Usage:  docker images [OPTIONS] [REPOSITORY[:TAG]]
$ docker image ls --help | sed -n '/^Aliases/,/^$/p'
Aliases:
  docker image ls, docker image list, docker images
$ docker push --help | sed -n '/^Aliases/,/^$/p'
Aliases:
  docker image push, docker push
$ docker info --help | sed -n '/^Aliases/,/^$/p'
Aliases:
  docker system info, docker info
$ docker system info x
! docker: 'docker system info' accepts no arguments
! 
! Usage:  docker system info [OPTIONS]
! 
! Run 'docker system info --help' for more information
[1]
$ docker -c default images -q
$ docker --context default images -q
$ docker --context nosuch images -q
! Failed to initialize: unable to resolve docker endpoint: context "nosuch": context not found: open …/config/contexts/meta/9e62f93eb7d2499903ac66232f187c56fc050eb74c765f90eb214360b21f0e96/meta.json: no such file or directory
[1]
$ docker --tls=false images -q
$ docker --tlscacert x --tlscert y --tlskey z images -q
$ docker --debug=false --log-level error images
REPOSITORY  TAG  IMAGE ID  CREATED  SIZE
$ mkdir cfg && echo '{"imagesFormat": "{{.Repository}} of cfg"}' > cfg/config.json
$ docker import /dev/null a:1 | cut -c1-7
sha256:
$ docker --config cfg images
a of cfg
$ docker --config=$PWD/cfg image ls
a of cfg
$ docker --config nosuch images --format '{{.Repository}}'
a
$ docker login --nosuch
! unknown flag: --nosuch
! 
! Usage:  docker login [OPTIONS] [SERVER]
! 
! Run 'docker login --help' for more information
[125]
$ docker pull --disable-content-trust=x busybox
! invalid argument "x" for "--disable-content-trust" flag: strconv.ParseBool: parsing "x": invalid syntax
! 
! Usage:  docker pull [OPTIONS] NAME[:TAG|@DIGEST]
! 
! Run 'docker pull --help' for more information
[125]
$ docker history --human=x a:1
! invalid argument "x" for "-H, --human" flag: strconv.ParseBool: parsing "x": invalid syntax
! 
! Usage:  docker history [OPTIONS] IMAGE
! 
! Run 'docker history --help' for more information
[125]
$ docker search --limit x a
! invalid argument "x" for "--limit" flag: strconv.ParseInt: parsing "x": invalid syntax
! 
! Usage:  docker search [OPTIONS] TERM
! 
! Run 'docker search --help' for more information
[125]
$ docker search --limit 1000 a
! Error response from daemon: limit 1000 is outside the range of [1, 100]
[1]
$ docker search --filter x a
! invalid argument "x" for "-f, --filter" flag: bad format of filter (expected name=value)
! 
! Usage:  docker search [OPTIONS] TERM
! 
! Run 'docker search --help' for more information
[125]
$ docker search --filter x=y a
! Error response from daemon: invalid filter 'x'
[1]
$ docker search
! docker: 'docker search' requires 1 argument
! 
! Usage:  docker search [OPTIONS] TERM
! 
! Run 'docker search --help' for more information
[1]
$ docker login x y
! docker: 'docker login' requires at most 1 argument
! 
! Usage:  docker login [OPTIONS] [SERVER]
! 
! SRun 'docker login --help' for more information
[1]
$ docker logout x y
! docker: 'docker logout' requires at most 1 argument
! 
! Usage:  docker logout [SERVER]
! 
! SRun 'docker logout --help' for more information
[1]
$ docker version x
! docker: 'docker version' accepts no arguments
! 
! Usage:  docker version [OPTIONS]
! 
! Run 'docker version --help' for more information
[1]
$ docker version -f '{{'
! template parsing error: template: version:1: unclosed action
[64]
$ docker version -f '{{.Nope}}'
! template: version:1:2: executing "version" at <.Nope>: can't evaluate field Nope in type system.versionInfo
[1]
$ docker version -f '{{.Client.Os}}\t{{.Server.Os}} {{.Client.Context}}'
linux\tlinux default
$ docker version -f json | jq -c keys
["Client","Server"]
$ docker version -f json | jq -c '.Client|keys'
["ApiVersion","Arch","BuildTime","Context","DefaultAPIVersion","GitCommit","GoVersion","Os","Version"]
$ docker info -f '{{'
! template parsing error: template: :1: unclosed action
[64]
$ docker info -f '{{.Nope}}'
! template: :1:2: executing "" at <.Nope>: can't evaluate field Nope in type system.dockerInfo
[1]
$ docker info -f '{{.Swarm.LocalNodeState}} {{.ContainersRunning}} {{.OSType}} {{.ClientInfo.Context}}'
inactive 0 linux default
$ docker info -f '{{json .RegistryConfig.Mirrors}} {{.IndexServerAddress}}'
["http://127.0.0.1:5000/"] https://index.docker.io/v1/
