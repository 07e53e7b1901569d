# Completion of wharf for fish: put it as wharf.fish into ~/.config/fish/completions.

function __wharf_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l program $words[1]
    set -e words[1]
    for line in ($program __complete $words "$current" 2>/dev/null)
        if test "$line" = ":files"
            __fish_complete_path "$current"
        else
            echo $line
        end
    end
end

complete -c wharf -f -a '(__wharf_complete)'
