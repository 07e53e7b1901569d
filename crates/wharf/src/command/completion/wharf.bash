# Completion of wharf for bash: put it into /etc/bash_completion.d, or source it from ~/.bashrc.

_wharf() {
  local line=${COMP_LINE:0:COMP_POINT} words candidate current
  read -ra words <<<"$line"
  [[ $line == *[[:space:]] ]] && words+=('')
  current=${words[-1]}
  COMPREPLY=()
  while IFS=$'\t' read -r candidate _; do
    if [[ $candidate == :files ]]; then
      compopt -o default 2>/dev/null
    elif [[ $candidate ]]; then
      COMPREPLY+=("$candidate")
    fi
  done < <("${words[0]}" __complete "${words[@]:1}" 2>/dev/null)
  # To bash, a colon and an equals sign end a word: it replaces only what stands behind them.
  if [[ $current == *[:=]* && $COMP_WORDBREAKS == *[:=]* ]]; then
    local kept=${current%"${current##*[:=]}"}
    COMPREPLY=("${COMPREPLY[@]#"$kept"}")
  fi
}

complete -F _wharf wharf
