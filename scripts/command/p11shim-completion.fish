# p11shim-completion.fish: completes the command line of p11shim, for fish.
#
# What there is to offer p11shim itself tells: p11shim-complete.sh.

function __p11shim_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l command p11shim
    if string match -q -- '*/*' $words[1]; and test -x $words[1]
        set command $words[1]
    end
    set -l prefix ''
    for line in (command $command complete -- $words[2..-1] "$current" 2>/dev/null)
        set -l told (string split -m 1 ' ' -- $line)
        switch $line
            case \t'prefix *'
                set prefix $told[2]
            case \tnospace
            case \tfiles
                set -l length (string length -- "$prefix")
                set -l rest (string sub -s (math $length + 1) -- "$current")
                for file in (__fish_complete_path "$rest")
                    echo -- $prefix$file
                end
            case \t'program *'
                set -l all $words
                set -l first (math $told[2] + 1)
                set -l before
                if test (count $all) -ge $first
                    set before (string escape -- $all[$first..-1])
                end
                complete -C(string join ' ' -- $before $current)
            case '*'
                echo -- $prefix$line
        end
    end
end

complete -c p11shim -f -a '(__p11shim_complete)'
