# What the real docker client prints with wharf behind it, to the letter: stdout, stderr and exit codes.
source .ci/lib.sh
build

# The oldest client whose words are those of the scenarios.
docker_min=28
version=$(docker --version) || fail 'there is no docker client'
[[ $version =~ ([0-9]+)\. ]] && ((BASH_REMATCH[1] >= docker_min)) ||
  fail "the scenarios need a docker client from $docker_min.0 on: $version"

ports_are_free 5000 5001
new_store
printf '[registry."docker.io"]\nmirrors = ["http://127.0.0.1:5000"]\n' >"$WHARF_CONFIG"
serve_engine

# The store is emptied while the server serves it.
cat >"$SCRATCH/fresh" <<END
#!/bin/sh
ids=\$("$WHARF" images -aq --no-trunc | sort -u)
[ -z "\$ids" ] || "$WHARF" rmi -f \$ids
END
chmod +x "$SCRATCH/fresh"

mapfile -t scenarios < <(sed 's,.*,tests/parity/&.t,' tests/parity/passing)
# By its place: in the scenarios, `docker` means what is said here. In the recording's version: 28.2 would ask for an
# older one, whose lists have fewer fields. And without -H, beside which there may be no --context.
docker="env DOCKER_API_VERSION=1.51 DOCKER_HOST=unix://$SOCKET $(type -P docker)"
python3 tests/parity/parity check "${scenarios[@]}" --stderr --docker "$docker" --fresh "$SCRATCH/fresh"
wharf store check
