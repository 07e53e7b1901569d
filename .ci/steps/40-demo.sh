# The README's first command, as a newcomer runs it. It ends with two names for one image.
source .ci/lib.sh

cargo run --quiet --release -- demo | tee "$SCRATCH/demo.txt"
grep -Eq '^busybox +local ' "$SCRATCH/demo.txt" || fail 'the demo does not list busybox:local'
ids=$(sed -nE 's/^busybox +(local|musl) +([0-9a-f]{12}) .*/\2/p' "$SCRATCH/demo.txt" | sort -u)
(($(wc -l <<<"$ids") == 1)) || fail "the demo's names have several IDs: $ids"
