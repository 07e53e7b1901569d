# What a power loss leaves: a short round of the explorer in tests/crash, on real file systems.
source .ci/lib.sh

[[ $(id -u) == 0 ]] || fail "power loss is tried on mounted file systems: run this step as root"
{ : <>/dev/fuse; } 2>/dev/null || fail "there is no /dev/fuse, which the logged disk needs: load the module fuse, or pass the device on"
losetup --find >/dev/null || fail "there is no free loop device: load the module loop, or pass /dev/loop-control on"
build
export WHARF

# In memory, where there is room: the disks are small, and written often.
crash=$SCRATCH/crash
if [[ -w /dev/shm ]] && (($(df --output=avail -k /dev/shm | tail -1) > 2 * 1024 * 1024)); then
  crash=$(mktemp -d /dev/shm/wharf-crash.XXXXXX)
fi
mkdir -p "$crash"
trap 'stop_all; rm -rf "$crash"' EXIT

# A download of more than a minute, beside all others.
start "$SCRATCH/resume.log" python3 tests/crash/resume.py "$crash/resume" xfs 20
resume=${started[-1]}

# The explorer itself: it finds what leaves out a sync.
python3 tests/crash/validate.py "$crash/validate" ext4 60

# Commands that are killed at each of their syncs, and the process that comes next.
python3 tests/crash/directed.py "$crash/directed" ext4 0 0
python3 tests/crash/explore.py "$crash/directed" acks 0 100

# Random work, random moments.
python3 tests/crash/record.py "$crash/ext4" ext4 "$RANDOM" 30
python3 tests/crash/explore.py "$crash/ext4" s 0 100
python3 tests/crash/record.py "$crash/xfs" xfs "$RANDOM" 15
python3 tests/crash/explore.py "$crash/xfs" s 0 40

wait "$resume" || { cat "$SCRATCH/resume.log" >&2; fail "a power loss takes too much of a download"; }
tail -1 "$SCRATCH/resume.log"
