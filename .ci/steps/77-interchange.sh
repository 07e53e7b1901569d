# What others write is loaded, what save writes is read by others, what push sends is there: with
# skopeo, umoci and docker-registry, and every digest stays what it was.
source .ci/lib.sh
build
filled_registry

echo '{"default":[{"type":"insecureAcceptAnything"}]}' >"$SCRATCH/policy.json"
skopeo_copy() { skopeo --policy "$SCRATCH/policy.json" copy --quiet --src-tls-verify=false --dest-tls-verify=false "$@"; }
# digest_at NAME: what a registry's name points to.
digest_at() { skopeo inspect --raw --tls-verify=false "docker://$1" | sha256sum | cut -d' ' -f1; }

# An empty registry, beside the one with the fixtures.
data=$SCRATCH/data
mkdir "$SCRATCH/empty"
port=$(free_port) target=127.0.0.1:$port
{
  printf 'version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n'
  printf 'storage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: %s}\n' "$SCRATCH/empty" "$target"
} >"$SCRATCH/empty.yml"
start "$SCRATCH/empty.log" docker-registry serve "$SCRATCH/empty.yml"
await "$port" "$SCRATCH/empty.log"

# pull → save → load → push to an empty registry → pull elsewhere: the same digest at every step.
for image in library/busybox:musl team/app:1.1 team/files:1; do
  new_store
  wharf pull --quiet "$REGISTRY/$image" >/dev/null
  wharf save -o "$SCRATCH/first.tar" "$REGISTRY/$image"
  new_store
  wharf load -q -i "$SCRATCH/first.tar" >/dev/null
  wharf tag "$REGISTRY/$image" "$target/$image"
  wharf push --quiet "$target/$image" >/dev/null
  [[ $(digest_at "$target/$image") == "$(digest_at "$REGISTRY/$image")" ]] || fail "$image: the registry has another digest"
  new_store
  wharf pull --quiet "$target/$image" >/dev/null
  wharf tag "$target/$image" "$REGISTRY/$image"
  wharf rmi "$target/$image" >/dev/null
  wharf save -o "$SCRATCH/second.tar" "$REGISTRY/$image"
  cmp "$SCRATCH/first.tar" "$SCRATCH/second.tar" || fail "$image: the archives differ"
  echo "ok: $image keeps its digests from registry to archive to registry"
done
[[ -d $data ]] || fail 'the fixtures are gone'

# skopeo reads both halves of an archive, and umoci the layout; the config's digest is the image's ID.
image=team/files:1
new_store
wharf pull --quiet "$REGISTRY/$image" >/dev/null
id=$(wharf images -q --no-trunc "$REGISTRY/$image")
wharf save -o "$SCRATCH/saved.tar" "$REGISTRY/$image"
for kind in "docker-archive:$SCRATCH/saved.tar" "oci-archive:$SCRATCH/saved.tar"; do
  rm -rf "$SCRATCH/read"
  skopeo_copy "$kind" "dir:$SCRATCH/read"
  [[ $(jq -r .config.digest "$SCRATCH/read/manifest.json") == "$id" ]] || fail "skopeo reads another image from $kind"
  echo "ok: skopeo reads ${kind%%:*}"
done
rm -rf "$SCRATCH/layout"
mkdir "$SCRATCH/layout"
tar -x -C "$SCRATCH/layout" -f "$SCRATCH/saved.tar"
# umoci knows a tag by one word: the layout's own is a whole name.
jq '.manifests[0].annotations."org.opencontainers.image.ref.name" = "one"' "$SCRATCH/layout/index.json" >"$SCRATCH/index.json"
cp "$SCRATCH/index.json" "$SCRATCH/layout/index.json"
umoci stat --image "$SCRATCH/layout:one" --json | jq -e '.history | length > 0' >/dev/null || fail 'umoci reads nothing'
umoci unpack --rootless --image "$SCRATCH/layout:one" "$SCRATCH/umoci-bundle" >"$SCRATCH/umoci.log" 2>&1 || fail "umoci: $(cat "$SCRATCH/umoci.log")"
[[ -d $SCRATCH/umoci-bundle/rootfs ]] || fail 'umoci unpacks nothing'
echo 'ok: umoci reads and unpacks the layout'

# What skopeo writes is loaded: a docker-archive has plain layers and the same config, an OCI archive
# the same manifest.
for kind in docker-archive oci-archive; do
  rm -f "$SCRATCH/skopeo.tar"
  skopeo_copy "docker://$REGISTRY/$image" "$kind:$SCRATCH/skopeo.tar:loaded/from:$kind"
  for packed in '' gzip xz bzip2 zstd; do
    file=$SCRATCH/skopeo.tar
    if [[ $packed ]]; then
      "$packed" -qc "$file" >"$file.packed"
      file=$file.packed
    fi
    new_store
    wharf load -q -i "$file" >/dev/null
    wharf images -q --no-trunc | grep -qx "$id" || fail "$kind ${packed:-plain}: another image"
    wharf store check >/dev/null
  done
  echo "ok: $kind of skopeo, plain and packed"
done

# A layout that umoci wrote into, as a tar: another image by one more layer.
rm -rf "$SCRATCH/umoci-layout" "$SCRATCH/umoci-bundle"
skopeo_copy "docker://$REGISTRY/$image" "oci:$SCRATCH/umoci-layout:one"
mkdir "$SCRATCH/added"
echo added >"$SCRATCH/added/file"
umoci insert --rootless --image "$SCRATCH/umoci-layout:one" --tag two "$SCRATCH/added" /added >/dev/null 2>&1 ||
  fail 'umoci inserts nothing'
tar -c -C "$SCRATCH/umoci-layout" -f "$SCRATCH/umoci.tar" .
new_store
wharf load -q -i "$SCRATCH/umoci.tar" >/dev/null
wharf images -aq --no-trunc | grep -qx "$id" || fail 'umoci: the image from before is not there'
other=$(wharf images -aq --no-trunc | grep -vx "$id")
[[ $(wharf cat "$other:/added/file") == added ]] || fail "umoci: what it added is not there"
wharf store check >/dev/null
echo 'ok: a layout that umoci wrote into'

# A plain layer is packed before it is sent, and skopeo takes what arrives.
new_store
skopeo_copy "docker://$REGISTRY/$image" "docker-archive:$SCRATCH/plain.tar:plain/layers:1"
wharf load -q -i "$SCRATCH/plain.tar" >/dev/null
for compression in gzip zstd; do
  wharf tag plain/layers:1 "$target/plain/$compression:1"
  wharf push --quiet --compression "$compression" "$target/plain/$compression:1" >/dev/null
  rm -rf "$SCRATCH/read"
  skopeo_copy "docker://$target/plain/$compression:1" "oci:$SCRATCH/read:1"
  skopeo inspect --tls-verify=false --raw "docker://$target/plain/$compression:1" |
    jq -e --arg kind "$compression" '[.layers[].mediaType | endswith($kind)] | all' >/dev/null ||
    fail "$compression: the layers are not packed so"
  echo "ok: plain layers arrive as $compression"
done
