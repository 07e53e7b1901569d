# What Docker Engine was asked, wharf is asked by the same program: its answers are Docker's.
source .ci/lib.sh
build

ports_are_free 5000 5001
filled_registry 5000
locked_registry 5001
echo '{"default":[{"type":"insecureAcceptAnything"}]}' >"$SCRATCH/policy.json"
# Docker's answers are from a registry where what is pushed is there already.
skopeo --policy "$SCRATCH/policy.json" copy --quiet --src-tls-verify=false --dest-tls-verify=false \
  "docker://$REGISTRY/library/busybox:musl" "docker://$REGISTRY/api/box:1"

new_store
printf '[registry."docker.io"]\nmirrors = ["http://127.0.0.1:5000"]\n' >"$WHARF_CONFIG"
serve_engine
tests/engine-api/record "$SOCKET" >"$SCRATCH/answers.txt" || fail "the record breaks off: $(tail -n 20 "$SCRATCH/engine.log")"
tests/engine-api/compare tests/engine-api/answers.txt "$SCRATCH/answers.txt"
