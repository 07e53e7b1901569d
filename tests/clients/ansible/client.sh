#!/usr/bin/env bash
# ansible's collection community.docker with an engine: client.sh SOCKET REGISTRY LOCKED
#
# It needs ansible-playbook in PATH, and the collection in ANSIBLE_COLLECTIONS_PATH.
set -euo pipefail

socket=$1 registry=$2 locked=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

export ANSIBLE_HOME=$work/home ANSIBLE_LOCALHOST_WARNING=false ANSIBLE_INVENTORY_UNPARSED_WARNING=false
export ANSIBLE_PYTHON_INTERPRETER=auto_silent ANSIBLE_FORCE_COLOR=false ANSIBLE_PIPELINING=true LC_ALL=C.UTF-8
facts=$(printf '{"socket":"%s","registry":"%s","locked":"%s","work":"%s"}' "$socket" "$registry" "$locked" "$work")
if ansible-playbook --inventory localhost, --extra-vars "$facts" \
  --extra-vars "{\"ansible_python_interpreter\":\"$(command -v python3)\"}" \
  "$(dirname "$0")/playbook.yml" >"$work/output" 2>&1; then
  sed -n 's/^TASK \[\(.*\)\] \**$/ok: \1/p' "$work/output"
else
  cat "$work/output"
  exit 1
fi
