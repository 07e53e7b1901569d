# Faults, kills, crowds, a full disk and a server under load: a short round. `cargo xtask torture` alone is a long one.
source .ci/lib.sh

cargo xtask torture --rounds 40 --seconds 15 --server-kills 5
