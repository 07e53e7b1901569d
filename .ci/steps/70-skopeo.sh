# A second implementation agrees: what skopeo copies into an OCI layout has the digests of the store.
source .ci/lib.sh
build
filled_registry

echo '{"default":[{"type":"insecureAcceptAnything"}]}' >"$SCRATCH/policy.json"

# same FILE DIGEST: the store has the file's bytes under that digest.
same() {
  local hex=${2#sha256:}
  cmp "$1" "$WHARF_ROOT/blobs/sha256/${hex:0:2}/$hex" || fail "$image: $2 differs"
  count=$((count + 1))
}

copy() {
  skopeo --policy "$SCRATCH/policy.json" copy --quiet --src-tls-verify=false "docker://$REGISTRY/$image" "$1"
}

for image in team/files:1 team/multi:1 team/app:1.1; do
  new_store
  count=0
  wharf pull --quiet "$REGISTRY/$image" >/dev/null
  folder=$SCRATCH/copy-${image//[\/:]/-}
  if [[ $image != team/app:* ]]; then
    copy "oci:$folder:1"
    manifest=$(jq -r '.manifests[0].digest' "$folder/index.json")
    for digest in "$manifest" $(jq -r '.config.digest, .layers[].digest' "$folder/blobs/${manifest/://}"); do
      same "$folder/blobs/${digest/://}" "$digest"
    done
  else
    # This one has Docker's types. In an OCI layout skopeo would write another manifest and another
    # config for the same layers; in a plain folder it keeps what came.
    copy "dir:$folder"
    same "$folder/manifest.json" "$(sha256sum <"$folder/manifest.json" | cut -c-64)"
    for digest in $(jq -r '.config.digest, .layers[].digest' "$folder/manifest.json"); do
      same "$folder/${digest#sha256:}" "$digest"
    done
  fi
  echo "ok: $image: $count blobs are the same"
done
