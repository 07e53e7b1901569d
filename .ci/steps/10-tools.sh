# Debian's packages that the later steps use. What is here already is not touched.
source .ci/lib.sh

packages=()
need() { command -v "$1" >/dev/null || packages+=("$2"); }
need docker-registry docker-registry
need skopeo skopeo
need umoci umoci
need crun crun
need zsh zsh
need fish fish
need man man-db
need groff groff-base
need bzip2 bzip2
need xz xz-utils
need zstd zstd
need jq jq
need python3 python3
# The clients of the Engine API: tests/clients.
need docker docker-cli
need node nodejs
need npm npm
python3 -c 'import ensurepip' 2>/dev/null || packages+=(python3-venv)
# The file systems of the power losses: tests/crash.
need losetup mount
need mkfs.ext4 e2fsprogs
need mkfs.xfs xfsprogs
need mkfs.btrfs btrfs-progs
# What tests/parity's fixtures are made of (make.py), for whoever makes them anew.
need busybox busybox-static
need unshare util-linux

if ((${#packages[@]})); then
  printf 'installing %s\n' "${packages[*]}"
  apt-get -qq update
  # Until Debian 12 the docker client came with the daemon only.
  apt-cache show docker-cli >/dev/null 2>&1 || packages=("${packages[@]/#docker-cli/docker.io}")
  # Settings that somebody made before stay as they are; without the option apt-get would ask.
  DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends \
    --option Dpkg::Options::=--force-confold "${packages[@]}" >"$SCRATCH/apt.log" 2>&1 || { cat "$SCRATCH/apt.log" >&2; fail "apt-get cannot install them"; }
  # The package starts a registry of its own where it can; its port is the one of the scenarios.
  if [[ ${packages[*]} == *docker-registry* ]] && command -v systemctl >/dev/null; then
    systemctl disable --now docker-registry >/dev/null 2>&1 || true
  fi
fi

# What speaks to wharf's engine in later steps stays below target/, for the next run.
mkdir -p target/clients/dockerode
python3 -m venv target/clients/venv
for client in docker-py docker-squash ansible; do
  target/clients/venv/bin/pip install --quiet --requirement "tests/clients/$client/requirements.txt"
done
# The collection is published in one package with all others: its folder is taken out of that, once.
collections=target/clients/collections version=$(<tests/clients/ansible/collection.version)
if [[ $(cat "$collections/version" 2>/dev/null) != "$version" ]]; then
  rm -rf "$collections"
  target/clients/venv/bin/pip download --quiet --no-deps --dest "$SCRATCH/ansible" "ansible==$version"
  target/clients/venv/bin/python tests/clients/ansible/unpack.py "$SCRATCH"/ansible/ansible-*.whl "$collections"
  rm -rf "$SCRATCH/ansible"
  printf '%s\n' "$version" >"$collections/version"
fi
cp tests/clients/dockerode/package.json target/clients/dockerode/
npm install --prefix target/clients/dockerode --silent --no-audit --no-fund --ignore-scripts
cargo fetch --quiet --locked --manifest-path tests/clients/bollard/Cargo.toml

docker-registry --version
skopeo --version
docker --version
