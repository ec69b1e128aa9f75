#compdef lxkns

# Completes lxkns in zsh. What fits is lxkns's to say.

_lxkns() {
    local line word
    local -a given offers
    given=("${(@Q)words[2,CURRENT-1]}")
    ((CURRENT == 2)) && given=()
    for line in "${(@f)$(${(Q)words[1]} complete -- "${given[@]}" "${(Q)PREFIX}" 2>/dev/null)}"; do
        case $line in
            '='*)
                word=${line[2,-1]%%$'\t'*}
                word=${word//:/\\:}
                [[ $line == *$'\t'?* ]] && word+=:${line#*$'\t'}
                offers+=("$word")
                ;;
            files)
                [[ $PREFIX == --*=* ]] && compset -P '*='
                _files
                ;;
            directories)
                [[ $PREFIX == --*=* ]] && compset -P '*='
                _files -/
                ;;
            command\ *)
                shift $((${line#command } + 1)) words
                ((CURRENT -= ${line#command } + 1))
                _normal
                ;;
        esac
    done
    ((${#offers})) && _describe -V lxkns offers
}

# Both `. <(lxkns completions zsh)` and a file _lxkns in fpath.
if [[ $funcstack[1] == _lxkns ]]; then
    _lxkns "$@"
else
    compdef _lxkns lxkns
fi
