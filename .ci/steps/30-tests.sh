# The README's second command.
source .ci/lib.sh

cargo test --quiet --workspace
