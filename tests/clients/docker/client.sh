#!/usr/bin/env bash
# The docker command line does with an engine what its users do: client.sh SOCKET REGISTRY LOCKED
#
# The story and its facts are those of ../README.md; the engine's store is empty before and after. Every step
# says `ok: …`; the first one that gets something else ends the script. `docker` is the one in PATH.
set -euo pipefail

(($# == 3)) || { echo 'usage: client.sh SOCKET REGISTRY LOCKED' >&2; exit 2; }
registry=$2 locked=$3
export DOCKER_HOST=unix://$1
unset DOCKER_CONTEXT DOCKER_API_VERSION
work=$(mktemp -d)
export DOCKER_CONFIG=$work/config
mkdir "$DOCKER_CONFIG"
listening=
trap 'kill "$listening" 2>/dev/null || true; rm -rf "$work"' EXIT

# What the fixtures are: tests/parity/fixtures.
app=$registry/team/app:1.1
app_id=sha256:899f0ba431e55ba94a6162fb5e409b9ff6e157015c3d22d01f7278674bcf75f2
app_digest=sha256:8090c8205ff8bbec0c367dfd2a8f5eec95ca8de66b6eeb8a9e51203ba1b5b0e4
files=$locked/team/files:1
mine=$registry/clients/docker

# How often somebody looks whether the last event has come, and how many times.
events_pause=0.05 events_max=400

happened=()

fail() {
  printf 'FAILED: %s\n' "$*" >&2
  exit 1
}

ok() {
  printf 'ok: %s\n' "$*"
}

# same WHAT EXPECTED GOT
same() {
  [[ $3 == "$2" ]] || fail "$1: expected <$2>, got <$3>"
}

# says WORDS COMMAND…: the command succeeds, and its output has these words.
says() {
  local words=$1 code=0
  shift
  "$@" >"$work/output" 2>&1 </dev/null || code=$?
  ((code == 0)) || fail "$*: exit code $code: $(cat "$work/output")"
  grep -Fq -- "$words" "$work/output" || fail "$*: no <$words> in: $(cat "$work/output")"
}

# refuses WORDS COMMAND…: the command fails, and its error has these words.
refuses() {
  local words=$1 code=0
  shift
  "$@" >"$work/output" 2>"$work/error" </dev/null || code=$?
  ((code != 0)) || fail "$*: it should have failed: $(cat "$work/output")"
  grep -Fq -- "$words" "$work/error" || fail "$*: no <$words> in: $(cat "$work/error")"
}

# expect ACTION…: what is to be made known to those who listen.
expect() {
  happened+=("$@")
}

greet() {
  same 'the version of the API' 1.51 "$(docker version --format '{{.Server.APIVersion}}')"
  same 'the number of images' '0 linux' "$(docker info --format '{{.Images}} {{.OSType}}')"
  same 'the images at the beginning' '' "$(docker images -aq)"
  ok 'version, info'
}

pull() {
  says "Status: Downloaded newer image for $app" docker pull "$app"
  says "Status: Image is up to date for $app" docker pull "$app"
  same 'what a quiet pull says' "$app" "$(docker pull -q "$app")"
  expect pull pull pull
  says 'Downloaded newer image' docker pull -a "$registry/team/app"
  same 'the tags' '1.0 1.1 stable' "$(docker images --format '{{.Tag}}' "$registry/team/app" | sort | xargs)"
  expect pull
  docker rmi "$registry/team/app:1.0" "$registry/team/app:stable" >"$work/output"
  # Both are one image.
  expect untag untag delete
  says 'Downloaded newer image' docker pull --platform linux/arm64 "$registry/team/multi:1"
  same 'the platform' linux/arm64 "$(docker inspect --format '{{.Os}}/{{.Architecture}}' "$registry/team/multi:1")"
  docker rmi "$registry/team/multi:1" >"$work/output"
  expect pull untag delete
  ok 'pull, pull -a, pull --platform'
}

log_in() {
  refuses 'no basic auth credentials' docker pull "$files"
  refuses '401 Unauthorized' docker login -u ops -p wrong "$locked"
  says 'Login Succeeded' docker login -u ops -p secret "$locked"
  says 'Downloaded newer image' docker pull "$files"
  expect pull
  says 'Removing login credentials' docker logout "$locked"
  refuses 'no basic auth credentials' docker pull "$files"
  ok 'login, pull, logout'
}

look() {
  same 'the names' "$(printf '%s\n' "$app" "$files" | sort)" "$(docker images --format '{{.Repository}}:{{.Tag}}' | sort)"
  same 'an ID' "$app_id" "$(docker images -q --no-trunc "$registry/team/app")"
  same 'a label' "$app_id" "$(docker images -q --no-trunc --filter label=tier=web)"
  same 'nothing is dangling' '' "$(docker images -q --filter dangling=true)"
  says "${app_id:7:12}" docker image ls --tree
  same 'the digests' "[$registry/team/app@$app_digest]" "$(docker inspect --format '{{.RepoDigests}}' "$app")"
  same 'the layers' 3 "$(docker image inspect --format '{{len .RootFS.Layers}}' "$app_id")"
  same 'the history' 5 "$(docker history -q "$app" | wc -l)"
  ok 'images, image ls --tree, inspect, history'
}

tag() {
  docker tag "$app" "$mine:1"
  same 'the tagged image' "$app_id" "$(docker images -q --no-trunc "$mine:1")"
  refuses 'No such image: nosuch:latest' docker tag nosuch "$mine:1"
  refuses 'repository name (library/BAD) must be lowercase' docker tag "$app" BAD
  expect tag
  ok tag
}

push() {
  says 'digest: sha256:' docker push "$mine:1"
  refuses 'tag does not exist' docker push "$mine:nope"
  docker tag "$app" "$mine:2"
  says 'digest: sha256:' docker push -a "$mine"
  docker tag "$app" "$locked/clients/docker:1"
  refuses 'no basic auth credentials' docker push "$locked/clients/docker:1"
  docker login -u ops -p secret "$locked" >"$work/output" 2>&1
  says 'digest: sha256:' docker push "$locked/clients/docker:1"
  docker logout "$locked" >"$work/output"
  docker rmi "$mine:2" "$locked/clients/docker:1" >"$work/output"
  expect push tag push tag push untag untag
  ok 'push, push -a'
}

distribution() {
  says '"architecture": "arm64"' docker manifest inspect --insecure "$registry/team/multi:1"
  refuses 'no such manifest' docker manifest inspect --insecure "$registry/team/multi:nope"
  ok 'manifest inspect'
}

save_remove_load() {
  docker save -o "$work/saved.tar" "$mine:1"
  same 'the names in the archive' "[\"$mine:1\"]" "$(tar -xOf "$work/saved.tar" manifest.json | jq -c '.[0].RepoTags')"
  docker save "$mine:1" >"$work/stdout.tar"
  says manifest.json tar -tf "$work/stdout.tar"
  refuses 'image is referenced in multiple repositories' docker rmi "$app_id"
  says "Untagged: $app" docker rmi "$app"
  says "Deleted: $app_id" docker rmi "$mine:1"
  refuses 'No such image' docker image inspect "$app_id"
  says "Loaded image: $mine:1" docker load -i "$work/saved.tar"
  same 'what was loaded' "$app_id" "$(docker images -q --no-trunc "$mine:1")"
  expect save save untag untag delete load
  ok 'save, rmi, load'
}

import_and_prune() {
  local first second
  printf 'hi\n' >"$work/hello"
  first=$(tar -C "$work" -c hello | docker import --change 'CMD ["x"]' - mine:1)
  same 'what was imported' "$first [x]" "$(docker inspect --format '{{.Id}} {{.Config.Cmd}}' mine:1)"
  printf 'ho\n' >"$work/hello"
  tar -C "$work" -cf "$work/hello.tar" hello
  second=$(docker import "$work/hello.tar" mine:1)
  [[ $second != "$first" ]] || fail 'both imports are one image'
  same 'the image without a name' "$first" "$(docker images -q --no-trunc --filter dangling=true)"
  says "deleted: $first" docker image prune -f
  says 'Total reclaimed space: 0B' docker image prune -f
  expect tag import tag import delete prune prune
  ok 'import, image prune'
}

usage() {
  says 'Images          3' docker system df
  says "$mine" docker system df -v
  same 'the number of images' 3 "$(docker info --format '{{.Images}}')"
  ok 'system df, system df -v'
}

mistakes() {
  refuses 'No such image: nosuch' docker rmi nosuch
  refuses 'manifest unknown' docker pull "$registry/team/app:nope"
  refuses "invalid filter 'nosuch'" docker images --filter nosuch=1
  refuses 'Error response from daemon' docker search "$registry/box"
  printf 'junk%.0s' {1..300} >"$work/junk"
  refuses 'invalid tar header' docker load -i "$work/junk"
  ok 'errors'
}

# Clients of every age, each of which can list, look and pull.
versions() {
  local minor
  for minor in {24..51}; do
    export DOCKER_API_VERSION=1.$minor
    same "1.$minor: images" 3 "$(docker images -q | wc -l)"
    same "1.$minor: inspect" "$app_id" "$(docker inspect --format '{{.Id}}' "$mine:1")"
    says 'Image is up to date' docker pull "$mine:1"
    expect pull
  done
  DOCKER_API_VERSION=1.23 refuses 'too old' docker images
  DOCKER_API_VERSION=1.99 refuses 'too new' docker images
  unset DOCKER_API_VERSION
  ok 'versions 1.24 to 1.51'
}

clear_store() {
  local id
  for id in $(docker images -aq | sort -u); do
    docker rmi -f "$id" >"$work/output"
  done
  same 'the images at the end' '' "$(docker images -aq)"
  ok 'rmi -f of everything'
}

# What an engine for images has not: whoever asks for it is told so, or finds none.
what_is_not_here() {
  printf 'FROM scratch\n' >"$work/Dockerfile"
  DOCKER_BUILDKIT=0 refuses 'has no builder' docker build "$work"
  refuses 'runs no containers' docker run --rm "$mine:1"
  refuses 'runs no containers' docker create "$mine:1"
  refuses 'No such container: nosuch' docker logs nosuch
  refuses 'no such volume' docker volume inspect nosuch
  refuses 'has no volumes' docker volume create volume
  refuses 'has no networks' docker network create network
  refuses 'no swarm' docker swarm init
  local list
  for list in 'ps -aq' 'volume ls -q' 'network ls -q' 'plugin ls -q'; do
    # shellcheck disable=SC2086 # the words of a command
    same "docker $list" '' "$(docker $list)"
  done
  for list in container volume network; do
    docker "$list" prune -f >"$work/output"
  done
  # The calls that docker compose begins with.
  same 'containers of a project' '' "$(docker ps -a --filter label=com.docker.compose.project=x --format '{{.ID}}')"
  same 'networks of a project' '' "$(docker network ls --filter label=com.docker.compose.project=x -q)"
  same 'volumes of a project' '' "$(docker volume ls --filter label=com.docker.compose.project=x -q)"
  says Total docker system prune -f
  expect prune
  ok 'no builder, containers, volumes, networks, swarm'
}

contexts() {
  docker context create other --docker "host=$DOCKER_HOST" >"$work/output" 2>&1
  same 'by a context' 1.51 "$(env -u DOCKER_HOST docker --context other version --format '{{.Server.APIVersion}}')"
  docker context rm other >"$work/output"
  ok 'context'
}

began=$(date +%s.%N)
docker events --since "$began" --filter type=image --format '{{.Action}}' >"$work/live" &
listening=$!
greet
pull
log_in
look
tag
push
distribution
save_remove_load
import_and_prune
usage
mistakes
versions
what_is_not_here
contexts
before_the_end=${#happened[@]}
clear_store

# The last event may still be on its way; what has happened so far can be asked for again.
docker events --since "$began" --until "$(date +%s.%N)" --filter type=image --format '{{.Action}}' >"$work/past"
for ((n = 0; n < events_max; n++)); do
  (($(wc -l <"$work/live") >= $(wc -l <"$work/past"))) && break
  sleep "$events_pause"
done
same 'the events' "$(printf '%s\n' "${happened[@]}")" "$(head -n "$before_the_end" "$work/live")"
# Which image goes first at the end is not said, only that all three do, with what was their names.
same 'the deleted' 3 "$(tail -n "+$((before_the_end + 1))" "$work/live" | grep -cx delete)"
cmp "$work/past" "$work/live" || fail 'the live events and those of the past differ'
ok "events: $(wc -l <"$work/live")"
