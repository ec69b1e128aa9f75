# Completes lxkns in bash. What fits is lxkns's to say.

_lxkns() {
    local line lead rest=${COMP_LINE:0:COMP_POINT} i
    local -a words=() offers=() descriptions=()
    # Bash ends words at colons and equals signs, too; lxkns wants those that end at blanks.
    for ((i = 0; i <= COMP_CWORD; i++)); do
        lead=${rest%%[![:blank:]]*}
        rest=${rest#"$lead"}
        line=${COMP_WORDS[i]}
        ((i == COMP_CWORD)) && line=$rest
        rest=${rest#"$line"}
        if [[ -n $lead || $i -eq 0 || ${#words[@]} -eq 0 ]]; then
            words+=("$line")
        else
            words[${#words[@]} - 1]+=$line
        fi
    done
    words=("${words[@]//[\"\'\\]/}")
    local program=${1/#\~/$HOME} last=${words[${#words[@]} - 1]} typed=${2//[\"\'\\]/}
    # What of the last word stands before what bash completes.
    local before=${last%"$typed"}

    COMPREPLY=()
    while IFS= read -r line; do
        case $line in
        =*)
            line=${line:1}
            offers+=("${line%%$'\t'*}")
            descriptions+=("${line#*$'\t'}")
            ;;
        files)
            compopt -o filenames
            mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "$2")
            ;;
        directories)
            compopt -o filenames
            mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -d -- "$2")
            ;;
        command\ *)
            if ((${#words[@]} - 2 == ${line#command })); then
                mapfile -t COMPREPLY < <(compgen -c -- "$2" | sort -u)
            else
                compopt -o filenames
                mapfile -t COMPREPLY < <(compgen -f -- "$2")
            fi
            ;;
        esac
    done < <("$program" complete -- "${words[@]:1}" 2>/dev/null)

    # Several are listed with what they are. Bash inserts what they have in common, which is never more than of the words;
    # where it inserts one after the other (37, 42), it gets the words alone.
    for i in "${!offers[@]}"; do
        line=${offers[i]#"$before"}
        if ((${#offers[@]} > 1)) && [[ -n ${descriptions[i]} && $COMP_TYPE != 37 && $COMP_TYPE != 42 ]]; then
            line+="  (${descriptions[i]})"
        fi
        COMPREPLY+=("$line")
    done
}

complete -F _lxkns lxkns
