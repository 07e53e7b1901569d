# Completion in the shells it is for, and the manual by the program that shows it.
source .ci/lib.sh
build
filled_registry
new_store
wharf pull --quiet "$REGISTRY/team/app:1.1" >/dev/null
wharf tag "$REGISTRY/team/app:1.1" app:one
mkdir -p "$SCRATCH/bin" "$SCRATCH/completion"
ln -sf "$WHARF" "$SCRATCH/bin/wharf"
export PATH=$SCRATCH/bin:$PATH

wharf completion fish >"$SCRATCH/completion/wharf.fish"
fish --no-execute "$SCRATCH/completion/wharf.fish"
found=$(fish --no-config -c "source $SCRATCH/completion/wharf.fish; complete -C 'wharf rmi app:o'")
[[ $found == app:one* ]] || fail "fish finds: $found"
echo 'ok: fish'

wharf completion zsh >"$SCRATCH/completion/_wharf"
zsh -n "$SCRATCH/completion/_wharf"
# zsh completes only at a terminal; what it would show is asked from the function's own call.
found=$(zsh -fc "
  compdef() { :; }
  _describe() { print -rl -- \"\${(P@)3}\"; }
  _files() { :; }
  source $SCRATCH/completion/_wharf
  words=(wharf rmi app:o) CURRENT=3
  _wharf")
[[ $found == 'app\:one:image' ]] || fail "zsh finds: $found"
echo 'ok: zsh'

wharf man "$SCRATCH/man1"
for page in "$SCRATCH"/man1/*.1; do
  complaint=$(man --warnings=all --encoding=UTF-8 --local-file "$page" 2>&1 >/dev/null)
  [[ -z $complaint ]] || fail "${page##*/}: $complaint"
done
echo "ok: $(find "$SCRATCH/man1" -name '*.1' | wc -l) pages of the manual"
