# What Docker prints, command by command, against docker-registry: a registry that is not ours.
source .ci/lib.sh
build

cat >"$SCRATCH/fresh" <<'END'
#!/bin/sh
printf '[registry."docker.io"]\nmirrors = ["http://127.0.0.1:5000"]\n' >"$SCRATCH/config.toml"
END
# Called as docker, a few flags mean what they mean there.
mkdir "$SCRATCH/link"
ln -s "$WHARF" "$SCRATCH/link/docker"
cat >"$SCRATCH/docker" <<END
#!/bin/sh
WHARF_ROOT="\$SCRATCH/store" WHARF_CONFIG="\$SCRATCH/config.toml" exec "$SCRATCH/link/docker" "\$@"
END
chmod +x "$SCRATCH/fresh" "$SCRATCH/docker"

ports_are_free 5000 5001
mapfile -t scenarios < <(sed 's,.*,tests/parity/&.t,' tests/parity/passing)
python3 tests/parity/parity check "${scenarios[@]}" --docker "$SCRATCH/docker" --fresh "$SCRATCH/fresh"
