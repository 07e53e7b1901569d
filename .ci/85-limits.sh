# Limits on processes, which do not hold for root: as another user, each command ends within a bound, and with an error or a
# result. `tests/cli/limits.rs` has the other limits.
source .ci/lib.sh

cargo build --quiet --release -p wharf -p wharf-testkit --bin wharf --bin test-registry
user=65531
folder=$(mktemp -d)
trap 'stop_all; rm -rf "$folder"' EXIT
chmod 755 "$folder"
cp target/release/wharf target/release/test-registry "$folder"
mkdir "$folder/work"
chown "$user" "$folder/work"
start "$folder/registry.log" "$folder/test-registry" registry --sample --four-digits
until [ -s "$folder/registry.log" ]; do kill -0 "${started[0]}"; sleep 0.05; done
name=$(head -1 "$folder/registry.log")/team/app:1

# limited N COMMAND…: under a limit of N processes and threads.
limited() {
  local limit=$1 code=0
  shift
  setpriv --reuid "$user" --regid "$user" --clear-groups \
    env -i PATH="$PATH" HOME="$folder/work" WHARF_CONFIG=/dev/null TMPDIR="$folder/work" \
    timeout -k 1 60 sh -c 'cd "$HOME"; n=$1; shift; [ "$n" = 0 ] || prlimit --pid $$ --nproc="$n:$n" || exit 99; exec "$@"' \
    sh "$limit" "$folder/wharf" "$@" >"$folder/out" 2>&1 || code=$?
  ended=$code
  if [ "$code" -gt 1 ] || grep -q -e panicked -e 'internal error' "$folder/out"; then
    echo "$limit processes: $*: $code"
    cat "$folder/out"
    return 1
  fi
}

# works COMMAND…: without a limit, the command succeeds.
works() {
  limited 0 "$@"
  ((ended == 0)) || { cat "$folder/out" >&2; fail "without a limit: $*: $ended"; }
}

works pull -q "$name"
works save -o in.tar "$name"
for limit in $(seq 1 24); do
  limited "$limit" --root other pull -q "$name"
  limited "$limit" --root other load -q -i in.tar
  limited "$limit" save -o out.tar "$name"
  limited "$limit" push -q "$name"
  limited "$limit" copy "$name" "oci:layout-$limit"
  limited "$limit" ls "$name"
  limited "$limit" diff "$name" "$name"
  limited "$limit" unpack "$name" "tree-$limit"
  limited "$limit" images
  rm -rf "$folder/work/other"
done
works store check
