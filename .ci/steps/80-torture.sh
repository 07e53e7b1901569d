# Faults, kills, crowds and a full disk: a short round. `cargo xtask torture` alone is a long one.
source .ci/lib.sh

cargo xtask torture --rounds 40
