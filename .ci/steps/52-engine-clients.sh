# Clients that are not ours, each telling its story to wharf's engine: see tests/clients.
source .ci/lib.sh
build

clients=$PWD/target/clients
python=$clients/venv/bin/python
[[ -x $python && -d $clients/dockerode/node_modules/dockerode && -f $clients/collections/version ]] ||
  fail 'docker-py, dockerode or the collection of ansible is missing: .ci/run 10 installs them'
CARGO_TARGET_DIR=$clients cargo build --quiet --locked --manifest-path tests/clients/bollard/Cargo.toml

filled_registry
locked_registry
new_store
serve_engine

# tells NAME COMMAND…: the story, from an empty store to an empty store.
tells() {
  local name=$1
  shift
  echo "$name:"
  "$@" "$SOCKET" "$REGISTRY" "$LOCKED" || fail "$name: the server said: $(tail -n 20 "$SCRATCH/engine.log")"
  [[ -z $(wharf images -aq) ]] || fail "$name leaves images"
  wharf store check
}

tells docker tests/clients/docker/client.sh
tells docker-py "$python" tests/clients/docker-py/client.py
tells docker-squash "$python" tests/clients/docker-squash/client.py
tells ansible env PATH="$clients/venv/bin:$PATH" ANSIBLE_COLLECTIONS_PATH="$clients/collections" \
  tests/clients/ansible/client.sh
tells dockerode env NODE_PATH="$clients/dockerode/node_modules" node tests/clients/dockerode/client.js
tells bollard "$clients/debug/wharf-client-bollard"
