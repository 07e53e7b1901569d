# What unpack writes is what umoci writes, to the last mode and time; crun runs a bundle.
source .ci/lib.sh
build
filled_registry
((EUID == 0)) || fail 'this step needs root: only root sets owners'

# tree FOLDER: everything in it: type, mode, owner, size of files, time, links, and what files hold.
tree() {
  (cd "$1" && find . -mindepth 1 -printf '%P %y %m %U %G %T@ %l %n\n' | sed -E 's/([0-9]+)\.0+ /\1 /' | LC_ALL=C sort
    find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum)
}

echo '{"default":[{"type":"insecureAcceptAnything"}]}' >"$SCRATCH/policy.json"
for image in library/busybox:musl team/files:1; do
  new_store
  name=${image//[\/:]/-}
  wharf pull --quiet "$REGISTRY/$image" >/dev/null
  wharf unpack "$REGISTRY/$image" "$SCRATCH/$name"
  skopeo --policy "$SCRATCH/policy.json" copy --quiet --src-tls-verify=false "docker://$REGISTRY/$image" "oci:$SCRATCH/layout:$name"
  umoci unpack --image "$SCRATCH/layout:$name" "$SCRATCH/$name-umoci" >/dev/null 2>&1 || fail "umoci cannot unpack $image"
  tree "$SCRATCH/$name" >"$SCRATCH/ours"
  tree "$SCRATCH/$name-umoci/rootfs" >"$SCRATCH/theirs"
  diff "$SCRATCH/theirs" "$SCRATCH/ours" >"$SCRATCH/difference" || fail "$image differs from umoci's: $(head -n 20 "$SCRATCH/difference")"
  echo "ok: $image is as umoci unpacks it ($(wc -l <"$SCRATCH/ours") lines)"
done

new_store
wharf pull --quiet "$REGISTRY/library/busybox:musl" >/dev/null
wharf unpack --bundle "$REGISTRY/library/busybox:musl" "$SCRATCH/bundle"
# The bundle as it is, but for what it runs. crun refuses machines that have both versions of cgroups
# mounted: here it sees only the older one.
jq '.process.args = ["echo", "it runs"]' "$SCRATCH/bundle/config.json" >"$SCRATCH/config.json"
cp "$SCRATCH/config.json" "$SCRATCH/bundle/config.json"
run='[ ! -d /sys/fs/cgroup/unified ] || umount /sys/fs/cgroup/unified; exec "$@"'
said=$(unshare --mount sh -c "$run" sh crun --root "$SCRATCH/crun" --cgroup-manager=disabled \
  run --bundle "$SCRATCH/bundle" "wharf-$$" 2>"$SCRATCH/crun.log") ||
  fail "crun: $(cat "$SCRATCH/crun.log")"
[[ $said == 'it runs' ]] || fail "the container said: $said"
echo 'ok: crun runs the bundle'
