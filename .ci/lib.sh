# What several steps need. Source it: it also sees to it that no step leaves a process behind.
set -euo pipefail

started=()

# start LOG COMMAND…: runs a program beside the step, until the step ends or `stop_all`.
start() {
  local log=$1
  shift
  "$@" >"$log" 2>&1 &
  started+=($!)
}

# stop_all: ends what `start` has started, and only that.
stop_all() {
  local pid
  for pid in "${started[@]}"; do
    kill "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
  done
  started=()
}
trap stop_all EXIT

# free_port: a port on loopback that nobody listens on now.
free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# await PORT LOG: waits until somebody listens.
await() {
  local _
  for _ in $(seq 200); do
    if (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then return; fi
    sleep 0.05
  done
  printf 'nobody listens on port %s:\n' "$1" >&2
  cat "$2" >&2
  return 1
}

# ports_are_free PORT…: the recorded scenarios name their registries by these ports.
ports_are_free() {
  local port
  for port; do
    (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null && fail "somebody listens on port $port, which the scenarios use"
  done
  return 0
}

fail() {
  printf 'FAILED: %s\n' "$*" >&2
  exit 1
}

# new_store: wharf has an empty store, no settings and no credentials from now on.
new_store() {
  rm -rf "$SCRATCH/wharf"
  mkdir -p "$SCRATCH/wharf/docker"
  export WHARF_ROOT=$SCRATCH/wharf/store WHARF_CONFIG=$SCRATCH/wharf/config.toml
  export DOCKER_CONFIG=$SCRATCH/wharf/docker HOME=$SCRATCH/wharf
  : >"$WHARF_CONFIG"
}

wharf() {
  "$WHARF" "$@"
}

# build: the release build, and the testkit's registry as a program.
build() {
  cargo build --quiet --release --package wharf --package wharf-testkit
  WHARF=$PWD/target/release/wharf TEST_REGISTRY=$PWD/target/release/test-registry
}

# serve_engine: starts wharf as an engine over the store, at the socket $SOCKET.
serve_engine() {
  local _
  SOCKET=$SCRATCH/engine.sock
  rm -f "$SOCKET"
  start "$SCRATCH/engine.log" "$WHARF" serve engine --listen "unix://$SOCKET"
  for _ in $(seq 200); do
    [[ -S $SOCKET ]] && return
    sleep 0.05
  done
  fail "the engine does not listen: $(cat "$SCRATCH/engine.log")"
}

# locked_registry [PORT]: a docker-registry over the same folder that asks for user ops, password secret, at $LOCKED.
locked_registry() {
  local port=${1:-$(free_port)}
  # bcrypt of `secret`
  printf 'ops:$2y$05$Mi3ugPR86wK84S6KgliB7OpgeJiSYlR6D6Yhp0471oGQUHBhsAT..\n' >"$SCRATCH/locked.htpasswd"
  LOCKED=127.0.0.1:$port
  docker_registry locked "$port" "http: {addr: $LOCKED}" \
    "auth: {htpasswd: {realm: wharf, path: $SCRATCH/locked.htpasswd}}"
}

# unpack_fixtures: the images of the recorded scenarios, an OCI layout in $FIXTURES.
unpack_fixtures() {
  FIXTURES=$SCRATCH/fx
  [[ -d $FIXTURES ]] || zstd -dqc tests/parity/fixtures/fixtures.tar.zst | tar -x -C "$SCRATCH"
}

# docker_registry NAME PORT YAML…: starts a docker-registry over the folder $SCRATCH/data, with
# further settings.
docker_registry() {
  local name=$1 port=$2
  shift 2
  {
    printf 'version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n'
    printf 'storage: {filesystem: {rootdirectory: %s}}\n' "$SCRATCH/data"
    printf '%s\n' "$@"
  } >"$SCRATCH/$name.yml"
  start "$SCRATCH/$name.log" docker-registry serve "$SCRATCH/$name.yml"
  await "$port" "$SCRATCH/$name.log"
}

# filled_registry [PORT]: a docker-registry with the fixtures, in plain http, at $REGISTRY.
filled_registry() {
  unpack_fixtures
  local port=${1:-$(free_port)}
  REGISTRY=127.0.0.1:$port
  docker_registry plain "$port" "http: {addr: $REGISTRY}"
  python3 tests/parity/fixtures/push.py "$FIXTURES" "http://$REGISTRY" >/dev/null
}
