# Templates: Docker's functions, Go's own, structs, and what is wrong with a template.
$ docker images --format '{{.Nope}}'
$ docker images --format 'table {{.Nope}}'
<no value>
$ docker pull -q busybox:musl
docker.io/library/busybox:musl
$ docker pull -q 127.0.0.1:5000/team/app:1.1
127.0.0.1:5000/team/app:1.1
$ docker images --format '{{upper .Repository}} {{lower .Tag}} {{title .Tag}}' | sort
127.0.0.1:5000/TEAM/APP 1.1 1.1
BUSYBOX musl Musl
$ docker images --format '{{split .Repository "/"}} {{join (split .Repository "/") "-"}}' | sort
[127.0.0.1:5000 team app] 127.0.0.1:5000-team-app
[busybox] busybox
$ docker images --format '{{printf "%10s|%-10s|%q" .Tag .Repository .Tag}}' | sort
       1.1|127.0.0.1:5000/team/app|"1.1"
      musl|busybox   |"musl"
$ docker images --format '{{truncate .Repository 3}}{{pad .Tag 2 3}}|' | sort
127  1.1   |
bus  musl   |
$ docker images --format '{{len .Tag}} {{index .Tag 0}} {{slice .ID 0 4}}' | sort
3 49 899f
4 109 a457
$ docker images --format '{{if eq .Tag "musl"}}yes{{else if eq .Tag "1"}}one{{else}}no{{end}}' | sort
no
yes
$ docker images --format '{{range $i, $e := split .Repository "/"}}{{$i}}={{$e}} {{end}}' | sort
0=127.0.0.1:5000 1=team 2=app
0=busybox
$ docker images --format '{{.Repository | upper | printf "%s!"}}' | sort
127.0.0.1:5000/TEAM/APP!
BUSYBOX!
$ docker images --format '{{/* c */}}{{- .Tag -}} x' | sort
1.1x
muslx
$ docker images --format '{{nofunc .Tag}}'
! template parsing error: template: :1: function "nofunc" not defined
[1]
$ docker images --format '{{.Tag.Foo}}'
! template parsing error: template: :1:6: executing "" at <.Tag.Foo>: can't evaluate field Foo in type string
[1]
$ docker images --format '{{truncate 3 .Tag}}'
! template parsing error: template: :1:11: executing "" at <3>: expected string; found 3
[1]
$ docker images --format '{{upper}}'
! template parsing error: template: :1:2: executing "" at <upper>: wrong number of args for upper: want 1 got 0
[1]
$ docker images --format '{{end}}'
! template parsing error: template: :1: unexpected {{end}}
[1]
$ docker images --format '{{.Tag'
! template parsing error: template: :1: unclosed action
[1]
$ docker images --format 'table {{upper .Repository}}\t{{lower .Tag}}' | sort
127.0.0.1:5000/TEAM/APP   1.1
BUSYBOX                   musl
REPOSITORY                TAG
$ docker images --format 'table {{truncate .ID 3}}\t{{json .Tag}}\t{{pad .Tag 1 1}}|{{title .Tag}}' | sort
899        "1.1"      1.1 |1.1
IMAGE ID   TAG        TAG |TAG
a45        "musl"     musl |Musl
$ docker images --format 'table{{.Tag}}'| sort
1.1
TAG
musl
$ docker images --format 'json ' | sort
json
json
$ docker images --format raw | sort


created_at: 2024-09-26 21:31:42 +0000 UTC
created_at: 2024-11-01 00:00:04 +0000 UTC
image_id: 899f0ba431e5
image_id: a457cd9c8ca5
repository: 127.0.0.1:5000/team/app
repository: busybox
tag: 1.1
tag: musl
virtual_size: 1.98MB
virtual_size: 3.01MB
$ docker images --format raw -q | sort
image_id: 899f0ba431e5
image_id: a457cd9c8ca5
$ docker images -q --format '{{.Tag}}' | sort
1.1
musl
$ docker images -q --format 'table {{.Tag}}' | sort
1.1
TAG
musl
$ docker images --digests --format 'table {{.ID}}' | sort
899f0ba431e5   sha256:8090c8205ff8bbec0c367dfd2a8f5eec95ca8de66b6eeb8a9e51203ba1b5b0e4
IMAGE ID       DIGEST
a457cd9c8ca5   sha256:98cb9f8678c61cf45f7fd539c137a4d681b54c7c7f0ce9222fcac9178eeb8a66
$ docker images --format '{{.Repository}}\t{{.Tag}}\n' | sort


127.0.0.1:5000/team/app	1.1
busybox	musl
$ docker inspect -f '{{.Config.ExposedPorts}} {{.Config.Volumes}} {{.Config.OnBuild}} {{.Config.Shell}}' 127.0.0.1:5000/team/app:1.1
map[53/udp:{} 8080/tcp:{}] map[/data:{}] [RUN echo built] [/bin/sh -c]
$ docker inspect -f '{{.Config.Healthcheck}} {{.Config.Healthcheck.Interval}} {{json .Config.Healthcheck}}' 127.0.0.1:5000/team/app:1.1
{[CMD-SHELL wget -q localhost:8080 || exit 1] 30s 3s 0s 0s 3} 30s {"Test":["CMD-SHELL","wget -q localhost:8080 || exit 1"],"Interval":30000000000,"Timeout":3000000000,"Retries":3}
$ docker inspect -f '{{.Config.Healthcheck}} {{.Descriptor}} {{json .Config.Healthcheck}}' busybox:musl
<nil> <nil> null
$ docker inspect -f '{{.Config.Healthcheck.Test}}' busybox:musl
! template parsing error: template: :1:9: executing "" at <.Config.Healthcheck.Test>: map has no entry for key "Healthcheck"
[1]
$ docker inspect -f '{{.Config}}' busybox:musl
{{ map[] [PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin] [] [sh] map[]  map[]  false} {<nil> [] []}}
$ docker inspect -f '{{.RootFS}}' busybox:musl
{layers [sha256:054943f8823587377ab4a06d83ab4116caf7116453c8fbe4788cf1a8aff40cbc]}
$ docker inspect -f '{{with .Config.Healthcheck}}{{.Test}}{{else}}none{{end}}' busybox:musl 127.0.0.1:5000/team/app:1.1
none
[CMD-SHELL wget -q localhost:8080 || exit 1]
$ docker inspect -f '{{range $p, $x := .Config.ExposedPorts}}{{$p}}={{$x}} {{end}}' 127.0.0.1:5000/team/app:1.1
53/udp={} 8080/tcp={}
$ docker inspect -f '{{json .Config.ExposedPorts}} {{len .Config.ExposedPorts}} {{index .Config.ExposedPorts "53/udp"}}' 127.0.0.1:5000/team/app:1.1
{"53/udp":{},"8080/tcp":{}} 2 {}
$ docker inspect -f '{{printf "%v %s %q" .Config.ExposedPorts .Config.Env .Config.Cmd}}' 127.0.0.1:5000/team/app:1.1
map[53/udp:{} 8080/tcp:{}] [PATH=/usr/bin:/bin APP=1 QUOTE=a "b" c] ["--port" "8080"]
$ docker inspect -f '{{println .Config.Volumes .Config.Cmd}}' 127.0.0.1:5000/team/app:1.1
map[/data:{}] [--port 8080]
$ docker inspect -f '{{index (split (index .Config.Env 0) "=") 1}} {{slice .ID 7 19}}' 127.0.0.1:5000/team/app:1.1
/usr/bin:/bin 899f0ba431e5
$ docker inspect -f '{{.Config.Labels.tier}} {{.Config.Labels.nope}} {{index .Config.Labels "nope"}}' 127.0.0.1:5000/team/app:1.1
web <no value>
$ docker inspect -f '{{define "x"}}[{{.}}]{{end}}{{template "x" .Os}}{{block "y" .Os}}({{.}}){{end}}' busybox:musl
[linux](linux)
$ docker inspect -f '{{range .RepoTags}}{{break}}{{end}}{{range .RepoTags}}{{continue}}{{else}}none{{end}}x' busybox:musl
x
$ docker inspect -f '{{eq .Os "a" "linux"}} {{ge 1 2}} {{and true ""}} {{or "" "x"}} {{not .Os}} {{0x10}} {{1.5}}' busybox:musl
true false  x false 16 1.5
$ docker inspect -f '{{html "<a>"}} {{js "x\"y"}} {{urlquery "a b&c"}}' busybox:musl
&lt;a&gt; x\"y a+b%26c
$ docker inspect -f '{{.RepoTags.Foo}}' busybox:musl
! template parsing error: template: :1:11: executing "" at <.RepoTags.Foo>: can't evaluate field Foo in type interface {}
[1]
$ docker inspect -f '{{index .RepoTags 9}}' busybox:musl
! template parsing error: template: :1:2: executing "" at <index .RepoTags 9>: error calling index: index out of range: 9
[1]
$ docker inspect -f '{{template "nope"}}' busybox:musl
! template parsing error: template: :1:11: executing "" at <{{template "nope"}}>: template "nope" not defined
[1]
$ docker inspect -f '{{if .Os}}a' busybox:musl
! template parsing error: template: :1: unexpected EOF
[64]
$ docker inspect -f '{{range}}{{end}}' busybox:musl
! template parsing error: template: :1: missing value for range
[64]
$ docker inspect -f '{{"a}}' busybox:musl
! template parsing error: template: :1: unterminated quoted string
[64]
$ docker inspect -f table busybox:musl
table
$ docker inspect -f '{{.Id}}\t{{.Os}}\n' busybox:musl
sha256:a457cd9c8ca59847921bbe7c09a41f369351976cd7440df1ca80e67cd98ae1d1\tlinux\n
$ docker inspect --type '' busybox:musl
! type is empty: must be one of "config", "container", "image", "network", "node", "plugin", "secret", "service", "task", "volume"
[1]
$ docker inspect --type container busybox:musl
[]
! Error response from daemon: No such container: busybox:musl
[1]
$ docker inspect --type image -s busybox:musl -f '{{.Os}}' 2>/dev/null
linux
$ docker history --format '{{truncate .CreatedBy 5}}|{{pad .Size 1 1}}|{{title .Comment}}' busybox:musl
CMD [| 0B |Buildkit.Dockerfile.V0
COPY | 1.98MB |Buildkit.Dockerfile.V0
$ docker history --format '{{.CreatedAt}}' -H=true busybox:musl
2024-09-26T21:31:42Z
2024-09-26T21:31:42Z
$ docker history --format '{{.Nope}}' busybox:musl
! template parsing error: template: :1:2: executing "" at <.Nope>: can't evaluate field Nope in type *image.historyContext
[1]
$ docker history --format table -q busybox:musl
a457cd9c8ca5
<missing>
