# A second implementation agrees: what skopeo copies into an OCI layout has the digests of the store.
source .ci/lib.sh
build
filled_registry

echo '{"default":[{"type":"insecureAcceptAnything"}]}' >"$SCRATCH/policy.json"

# OCI images, whose manifests skopeo keeps as they are; then one with Docker's types, where it writes
# another manifest over the same config and layers.
for image in team/files:1 team/multi:1 team/app:1.1; do
  new_store
  wharf pull --quiet "$REGISTRY/$image" >/dev/null
  layout=$SCRATCH/layout-${image//[\/:]/-}
  skopeo --policy "$SCRATCH/policy.json" copy --quiet --src-tls-verify=false \
    "docker://$REGISTRY/$image" "oci:$layout:1"
  manifest=$(jq -r '.manifests[0].digest' "$layout/index.json")
  digests=$(jq -r '.config.digest, .layers[].digest' "$layout/blobs/${manifest/://}")
  [[ $image == team/app:* ]] || digests+=$'\n'$manifest
  for digest in $digests; do
    hex=${digest#sha256:}
    cmp "$layout/blobs/sha256/$hex" "$WHARF_ROOT/blobs/sha256/${hex:0:2}/$hex" ||
      fail "$image: $digest differs"
  done
  echo "ok: $image: $(wc -w <<<"$digests") blobs are the same"
done
