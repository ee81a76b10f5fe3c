#!/bin/sh
# State of an SGE job in one word for snakemake: running (or waiting), success or failed.
if qstat -j "$1" >/dev/null 2>&1; then
    echo running
    exit
fi
# The record of a finished job appears some seconds after it has left the queue.
for _ in 1 2 3 4 5 6; do
    if record=$(qacct -j "$1" 2>/dev/null); then
        case $(echo "$record" | awk '$1 == "failed" || $1 == "exit_status" { print $2 }' | tr '\n' ' ') in
            "0 0 ") echo success ;;
            *) echo failed ;;
        esac
        exit
    fi
    sleep 5
done
echo failed
