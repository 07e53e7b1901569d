# Does the benchmark work? Its figures here mean nothing: the image is small.
source .ci/lib.sh

cargo xtask bench --quick
