$ mkdir -p root/bin && echo hi > root/bin/x && tar --mtime=@0 --owner=0 --group=0 --numeric-owner -C root -cf r.tar .
$ docker import -c 'CMD a b' r.tar t:1 | cut -c1-7
sha256:
$ docker inspect t:1 --format '{{json .Config.Cmd}}'
["/bin/sh","-c","a b"]
$ docker import -c 'cmd ["a","b c"]' r.tar t:1 | cut -c1-7
sha256:
$ docker inspect t:1 --format '{{json .Config.Cmd}}'
["a","b c"]
$ docker import -c 'CMD [a]' r.tar t:1 | cut -c1-7
sha256:
$ docker inspect t:1 --format '{{json .Config.Cmd}}'
["/bin/sh","-c","[a]"]
$ docker import -c 'CMD' r.tar t:1 | cut -c1-7
sha256:
$ docker inspect t:1 --format '{{json .Config.Cmd}}'
["/bin/sh","-c"]
$ docker import -c 'ENTRYPOINT exec top -b' r.tar t:1 | cut -c1-7
sha256:
$ docker inspect t:1 --format '{{json .Config.Entrypoint}}'
["/bin/sh","-c","exec top -b"]
$ docker import -c 'ENTRYPOINT []' r.tar t:1 | cut -c1-7
sha256:
$ docker inspect t:1 --format '{{json .Config.Entrypoint}}'
null
$ docker import -c 'ENV a=b c='\''d e'\'' f="g \"h\"" i=j\ k' r.tar t:1 | cut -c1-7
sha256:
$ docker inspect t:1 --format '{{json .Config.Env}}'
["a=b","c=d e","f=g \"h\"","i=j k"]
$ docker import -c 'ENV a b  c' r.tar t:1 | cut -c1-7
sha256:
$ docker inspect t:1 --format '{{json .Config.Env}}'
["a=b  c"]
$ docker import -c 'ENV a=1 x=foobar' -c 'ENV b=$a c=${n:-2} d=${a:+3} e=${x#f*o} f=${x%%o*} g=${x/o/0}' r.tar t:1 | cut -c1-7
sha256:
$ docker inspect t:1 --format '{{json .Config.Env}}'
["a=1","x=foobar","b=1","c=2","d=3","e=obar","f=f","g=f0obar"]
$ docker import -c '# a comment' -c 'ENV a=1 \' -c 'b=2' r.tar t:1 | cut -c1-7
sha256:
$ docker inspect t:1 --format '{{json .Config.Env}}'
["a=1","b=2"]
$ docker import -c 'LABEL a=b "c d"=$x e='\''$f'\''' r.tar t:1 | cut -c1-7
sha256:
$ docker inspect t:1 --format '{{json .Config.Labels}}'
{"a":"b","c d":"","e":"$f"}
$ docker import -c 'EXPOSE 80 53/udp 90-92' r.tar t:1 | cut -c1-7
sha256:
$ docker inspect t:1 --format '{{json .Config.ExposedPorts}}'
{"53/udp":{},"80/tcp":{},"90/tcp":{},"91/tcp":{},"92/tcp":{}}
$ docker import -c 'ENV P="80 81"' -c 'EXPOSE $P' r.tar t:1 | cut -c1-7
sha256:
$ docker inspect t:1 --format '{{json .Config.ExposedPorts}}'
{"80/tcp":{},"81/tcp":{}}
$ docker import -c 'WORKDIR /a' -c 'WORKDIR b/../c' r.tar t:1 | cut -c1-7
sha256:
$ docker inspect t:1 --format '{{json .Config.WorkingDir}}'
"/a/c"
$ docker import -c 'USER u:g' r.tar t:1 | cut -c1-7
sha256:
$ docker inspect t:1 --format '{{json .Config.User}}'
"u:g"
$ docker import -c 'VOLUME /a /b' r.tar t:1 | cut -c1-7
sha256:
$ docker inspect t:1 --format '{{json .Config.Volumes}}'
{"/a":{},"/b":{}}
$ docker import -c 'VOLUME ["/a b"]' r.tar t:1 | cut -c1-7
sha256:
$ docker inspect t:1 --format '{{json .Config.Volumes}}'
{"/a b":{}}
$ docker import -c 'STOPSIGNAL SIGRTMIN+3' r.tar t:1 | cut -c1-7
sha256:
$ docker inspect t:1 --format '{{json .Config.StopSignal}}'
"SIGRTMIN+3"
$ docker import -c 'ONBUILD RUN a  b' -c 'ONBUILD copy . /x' r.tar t:1 | cut -c1-7
sha256:
$ docker inspect t:1 --format '{{json .Config.OnBuild}}'
["RUN a  b","copy . /x"]
$ docker import -c 'HEALTHCHECK --interval=5s --timeout=1m30s --retries=3 --start-period=2ms CMD curl x || exit 1' r.tar t:1 | cut -c1-7
sha256:
$ docker inspect t:1 --format '{{json .Config.Healthcheck}}'
{"Test":["CMD-SHELL","curl x || exit 1"],"Interval":5000000000,"Timeout":90000000000,"StartPeriod":2000000,"Retries":3}
$ docker import -c 'HEALTHCHECK CMD ["a","b"]' r.tar t:1 | cut -c1-7
sha256:
$ docker inspect t:1 --format '{{json .Config.Healthcheck}}'
{"Test":["CMD","a","b"]}
$ docker import -c 'HEALTHCHECK NONE' r.tar t:1 | cut -c1-7
sha256:
$ docker inspect t:1 --format '{{json .Config.Healthcheck}}'
{"Test":["NONE"]}
$ docker history t:1 --format '{{.CreatedBy}}|{{.Size}}|{{.Comment}}'
|3B|Imported from -
$ docker import -c 'CMD [1]' r.tar t:1
! Error response from daemon: when using JSON array syntax, arrays must be comprised of strings only
[1]
$ docker import -c 'ENV' r.tar t:1
! Error response from daemon: ENV requires at least one argument
[1]
$ docker import -c 'ENV a' r.tar t:1
! Error response from daemon: ENV must have two arguments
[1]
$ docker import -c 'ENV a=1 b' r.tar t:1
! Error response from daemon: Syntax error - can't find = in "b". Must be of the form: name=value
[1]
$ docker import -c 'ENV =x' r.tar t:1
! Error response from daemon: ENV names can not be blank
[1]
$ docker import -c 'ENV a='\''' r.tar t:1
! Error response from daemon: failed to process "'": unexpected end of statement while looking for matching single-quote
[1]
$ docker import -c 'ENV a=${x?no}' r.tar t:1
! Error response from daemon: failed to process "${x?no}": x: no
[1]
$ docker import -c 'LABEL' r.tar t:1
! Error response from daemon: LABEL requires at least one argument
[1]
$ docker import -c 'EXPOSE' r.tar t:1
! Error response from daemon: EXPOSE requires at least one argument
[1]
$ docker import -c 'WORKDIR' r.tar t:1
! Error response from daemon: WORKDIR requires exactly one argument
[1]
$ docker import -c 'WORKDIR $x' r.tar t:1
! Error response from daemon: cannot normalize nothing
[1]
$ docker import -c 'USER' r.tar t:1
! Error response from daemon: USER requires exactly one argument
[1]
$ docker import -c 'VOLUME' r.tar t:1
! Error response from daemon: VOLUME requires at least one argument
[1]
$ docker import -c 'VOLUME [""]' r.tar t:1
! Error response from daemon: VOLUME specified can not be an empty string
[1]
$ docker import -c 'STOPSIGNAL x' r.tar t:1
! Error response from daemon: invalid signal: x
[1]
$ docker import -c 'ONBUILD FROM x' r.tar t:1
! Error response from daemon: FROM isn't allowed as an ONBUILD trigger
[1]
$ docker import -c 'ONBUILD ONBUILD RUN x' r.tar t:1
! Error response from daemon: Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed
[1]
$ docker import -c 'HEALTHCHECK x' r.tar t:1
! Error response from daemon: Unknown type "X" in HEALTHCHECK (try CMD)
[1]
$ docker import -c 'HEALTHCHECK CMD' r.tar t:1
! Error response from daemon: Missing command after HEALTHCHECK CMD
[1]
$ docker import -c 'HEALTHCHECK --interval=5 CMD a' r.tar t:1
! Error response from daemon: time: missing unit in duration "5"
[1]
$ docker import -c 'HEALTHCHECK --retries=-1 CMD a' r.tar t:1
! Error response from daemon: --retries cannot be negative (-1)
[1]
$ docker import -c 'HEALTHCHECK --interva=1s CMD a' r.tar t:1
! Error response from daemon: unknown flag: --interva (did you mean interval?)
[1]
$ docker import -c 'RUN x' r.tar t:1
! Error response from daemon: RUN is not a valid change command
[1]
$ docker import -c 'SHELL ["a"]' r.tar t:1
! Error response from daemon: SHELL is not a valid change command
[1]
$ docker import -c '' r.tar t:1
! Error response from daemon: file with no instructions
[1]
