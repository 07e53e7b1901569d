$ mkdir -p root/bin && echo hi > root/bin/x && tar --mtime=@0 --owner=0 --group=0 --numeric-owner -C root -cf r.tar .
$ docker system df
TYPE            TOTAL     ACTIVE    SIZE      RECLAIMABLE
Images          0         0         0B        0B
Containers      0         0         0B        0B
Local Volumes   0         0         0B        0B
Build Cache     0         0         0B        0B
$ docker system df -v | tr -s ' '
Images space usage:

REPOSITORY TAG IMAGE ID CREATED SIZE SHARED SIZE UNIQUE SIZE CONTAINERS

Containers space usage:

CONTAINER ID IMAGE COMMAND LOCAL VOLUMES SIZE CREATED STATUS NAMES

Local Volumes space usage:

VOLUME NAME LINKS SIZE

Build cache usage: 0B

CACHE ID CACHE TYPE SIZE CREATED LAST USED USAGE SHARED
$ docker system df -v --format json
{"Images":[],"Containers":[],"Volumes":[],"BuildCache":[]}
$ docker import -c 'LABEL n=1' r.tar a:1 | cut -c1-7
sha256:
$ docker import -c 'LABEL n=2' r.tar b:1 | cut -c1-7
sha256:
$ docker tag a:1 a:2
$ docker system df
TYPE            TOTAL     ACTIVE    SIZE      RECLAIMABLE
Images          2         0         3B        3B (100%)
Containers      0         0         0B        0B
Local Volumes   0         0         0B        0B
Build Cache     0         0         0B        0B
$ docker system df --format json
{"Active":"0","Reclaimable":"3B (100%)","Size":"3B","TotalCount":"2","Type":"Images"}
{"Active":"0","Reclaimable":"0B","Size":"0B","TotalCount":"0","Type":"Containers"}
{"Active":"0","Reclaimable":"0B","Size":"0B","TotalCount":"0","Type":"Local Volumes"}
{"Active":"0","Reclaimable":"0B","Size":"0B","TotalCount":"0","Type":"Build Cache"}
$ docker system df --format raw | grep .
type: Images
total: 2
active: 0
size: 3B
reclaimable: 3B (100%)
type: Containers
total: 0
active: 0
size: 0B
reclaimable: 0B
type: Local Volumes
total: 0
active: 0
size: 0B
reclaimable: 0B
type: Build Cache
total: 0
active: 0
size: 0B
reclaimable: 0B
$ docker system df --format 'table {{.Type}}\t{{.Size}}'
TYPE            SIZE
Images          3B
Containers      0B
Local Volumes   0B
Build Cache     0B
$ docker system df --format '{{.Nope}}'
! template parsing error: template: :1:2: executing "" at <.Nope>: can't evaluate field Nope in type *formatter.diskUsageImagesContext
[1]
$ docker system df x
! docker: 'docker system df' accepts no arguments
! 
! Usage:  docker system df [OPTIONS]
! 
! Run 'docker system df --help' for more information
[1]
$ docker system df -v --format '{{range .Images}}{{.Repository}}:{{.Tag}} {{.Size}} {{.SharedSize}} {{.UniqueSize}} {{.Containers}} [{{.Digest}}]\n{{end}}' | sort
a:1 3B 3B 0B 0 []
b:1 3B 3B 0B 0 []
$ docker image prune </dev/null | tr ' ' _
WARNING!_This_will_remove_all_dangling_images.
Are_you_sure_you_want_to_continue?_[y/N]_
$ echo n | docker image prune -a | tr ' ' _
WARNING!_This_will_remove_all_images_without_at_least_one_container_associated_to_them.
Are_you_sure_you_want_to_continue?_[y/N]_
$ docker image prune -f --filter until=x
! Error response from daemon: failed to parse value as time or duration: "x"
[1]
$ docker image prune -f --filter until=1h --filter until=2h
! Error response from daemon: more than one until filter specified
[1]
$ docker image prune -f --filter dangling=false
! Error response from daemon: invalid filter 'dangling=[false true]'
[1]
$ docker image prune -f --filter x
! invalid argument "x" for "--filter" flag: bad format of filter (expected name=value)
! 
! Usage:  docker image prune [OPTIONS]
! 
! Run 'docker image prune --help' for more information
[125]
$ docker image prune x
! docker: 'docker image prune' accepts no arguments
! 
! Usage:  docker image prune [OPTIONS]
! 
! Run 'docker image prune --help' for more information
[1]
$ mkdir cfg && echo '{"imagesFormat": "{{.Repository}}", "pruneFilters": ["until=24h"]}' > cfg/config.json
$ DOCKER_CONFIG=$PWD/cfg docker images | sort
a
a
b
$ DOCKER_CONFIG=$PWD/cfg docker images --format '{{.Tag}}' | sort
1
1
2
$ DOCKER_CONFIG=$PWD/cfg docker image prune -af
Total reclaimed space: 0B
$ docker images --format '{{.Repository}}:{{.Tag}}' | sort
a:1
a:2
b:1
$ echo y | docker image prune -a | grep -v sha256 | sort

Are you sure you want to continue? [y/N] Deleted Images:
Total reclaimed space: 3B
WARNING! This will remove all images without at least one container associated to them.
untagged: a:1
untagged: a:2
untagged: b:1
$ docker system prune -af
Total reclaimed space: 0B
$ docker system prune -f --volumes --filter until=1h
! ERROR: The "until" filter is not supported with "--volumes"
[1]
