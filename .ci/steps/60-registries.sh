# docker-registry behind TLS, with client certificates, a password, and tokens: pulls work with what
# they need, and without it the error says what is missing.
source .ci/lib.sh
build
((EUID == 0)) || fail 'this step needs root: registries'\'' certificates are below /etc'

image=team/app:1.1
id=sha256:899f0ba431e55ba94a6162fb5e409b9ff6e157015c3d22d01f7278674bcf75f2
tls=$SCRATCH/tls
certs_d=/etc/wharf/certs.d
folders=()
trap 'stop_all; rm -rf "${folders[@]}"; rmdir -p "$certs_d" 2>/dev/null || true' EXIT

# trust HOST FILE…: puts files into certs.d for a registry, and nothing else.
trust() {
  local folder=$certs_d/$1
  shift
  folders+=("$folder")
  rm -rf "$folder"
  mkdir -p "$folder"
  (($# == 0)) || cp "$@" "$folder/"
}

# log_in HOST USER:PASSWORD
log_in() {
  printf '{"auths":{"%s":{"auth":"%s"}}}' "$1" "$(printf '%s' "$2" | base64)" >"$DOCKER_CONFIG/config.json"
}

# pulls WHAT HOST: the image comes, and is the right one.
pulls() {
  wharf pull --quiet "$2/$image" >/dev/null || fail "$1: the pull failed"
  [[ $(wharf images -q --no-trunc "$2/$image") == "$id" ]] || fail "$1: another image came"
  wharf rmi "$2/$image" >/dev/null
  echo "ok: $1"
}

# refuses WHAT HOST WORDS: the pull fails, and the error has these words, a pattern of grep.
refuses() {
  local code=0
  wharf pull "$2/$image" >/dev/null 2>"$SCRATCH/error" || code=$?
  ((code == 1)) || fail "$1: exit code $code"
  grep -Eqi "$3" "$SCRATCH/error" || fail "$1: the error does not say so: $(cat "$SCRATCH/error")"
  [[ -z $(wharf images -q) ]] || fail "$1: something was kept"
  echo "ok: $1: $(head -n 1 "$SCRATCH/error")"
}

filled_registry
new_store
"$TEST_REGISTRY" certificates --folder "$tls"
mkdir -p "$SCRATCH/other" && "$TEST_REGISTRY" certificates --folder "$SCRATCH/other"
cp "$tls"/client.{cert,key} "$SCRATCH/"

pulls 'plain http on loopback' "$REGISTRY"

port=$(free_port) host=127.0.0.1:$port
docker_registry tls "$port" "http: {addr: $host, tls: {certificate: $tls/server.cert, key: $tls/server.key}}"
trust "$host" "$tls/ca.crt"
pulls 'TLS with an own CA' "$host"
trust "$host" "$SCRATCH/other/ca.crt"
refuses 'TLS with a wrong CA' "$host" 'not trusted'

port=$(free_port) host=127.0.0.1:$port
docker_registry expired "$port" "http: {addr: $host, tls: {certificate: $tls/expired.cert, key: $tls/expired.key}}"
trust "$host" "$tls/ca.crt"
refuses 'TLS with an expired certificate' "$host" 'expired'

port=$(free_port) host=127.0.0.1:$port
docker_registry wrong-host "$port" "http: {addr: $host, tls: {certificate: $tls/wrong-host.cert, key: $tls/wrong-host.key}}"
trust "$host" "$tls/ca.crt"
refuses "TLS with another host's certificate" "$host" 'another host'

port=$(free_port) host=127.0.0.1:$port
docker_registry clients "$port" \
  "http: {addr: $host, tls: {certificate: $tls/server.cert, key: $tls/server.key, clientcas: [$tls/ca.crt]}}"
trust "$host" "$tls/ca.crt" "$tls/client.cert" "$tls/client.key"
pulls 'a client certificate' "$host"
trust "$host" "$tls/ca.crt"
refuses 'no client certificate' "$host" 'client certificate'

# bcrypt of `secret`
printf 'ops:$2y$05$Mi3ugPR86wK84S6KgliB7OpgeJiSYlR6D6Yhp0471oGQUHBhsAT..\n' >"$SCRATCH/htpasswd"
port=$(free_port) host=127.0.0.1:$port
docker_registry basic "$port" "http: {addr: $host, tls: {certificate: $tls/server.cert, key: $tls/server.key}}" \
  "auth: {htpasswd: {realm: wharf, path: $SCRATCH/htpasswd}}"
trust "$host" "$tls/ca.crt"
log_in "$host" ops:secret
pulls 'Basic auth' "$host"
log_in "$host" ops:wrong
refuses 'Basic auth with a wrong password' "$host" 'password'
rm "$DOCKER_CONFIG/config.json"
refuses 'Basic auth without a password' "$host" 'credentials'

tokens=127.0.0.1:$(free_port)
start "$SCRATCH/tokens.log" "$TEST_REGISTRY" token-service --listen "$tokens" --user ops:secret \
  --certificate "$SCRATCH/token.crt"
await "${tokens#*:}" "$SCRATCH/tokens.log"
port=$(free_port) host=127.0.0.1:$port
docker_registry token "$port" "http: {addr: $host}" \
  "auth: {token: {realm: 'http://$tokens/token', service: registry.test, issuer: wharf-testkit, rootcertbundle: $SCRATCH/token.crt}}"
log_in "$host" ops:secret
pulls 'token auth' "$host"
log_in "$host" ops:wrong
refuses 'token auth with a wrong password' "$host" 'password'

wharf pull --quiet "$REGISTRY/$image" >/dev/null
wharf store check
