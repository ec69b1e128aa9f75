# Completes lxkns in fish. What fits is lxkns's to say.

function __lxkns_complete
    set -l words (commandline -opc)
    set -l program $words[1]
    set -e words[1]
    set -l current (commandline -ct)
    for line in ($program complete -- $words "$current" 2>/dev/null)
        switch $line
            case '=*'
                string sub -s 2 -- $line
            case files
                set -l before (string match -r -- '^--[^=]*=' "$current")
                set -l rest (string sub -s (math (string length -- "$before") + 1) -- "$current")
                for path in (complete -C "'' $rest")
                    echo -- "$before$path"
                end
            case directories
                __fish_complete_directories "$current"
            case 'command *'
                set -l from (math (string sub -s 9 -- $line) + 1)
                if test $from -le (count $words)
                    complete -C (string join ' ' -- (string escape -- $words[$from..-1]) "$current")
                else
                    complete -C "$current"
                end
        end
    end
end

complete -c lxkns -f -k -a '(__lxkns_complete)'
