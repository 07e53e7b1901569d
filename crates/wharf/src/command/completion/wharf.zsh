#compdef wharf
# Completion of wharf for zsh: put it as _wharf into a folder of $fpath.

_wharf() {
  local line files=
  local -a candidates
  for line in "${(@f)$("${words[1]}" __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
    if [[ $line == :files ]]; then
      files=1
    elif [[ -n $line ]]; then
      candidates+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
    fi
  done
  if (( $#candidates )); then
    _describe -V 'wharf' candidates
  fi
  if [[ -n $files ]]; then
    _files
  fi
}

if [[ ${funcstack[1]} == _wharf ]]; then
  _wharf "$@"
else
  compdef _wharf wharf
fi
