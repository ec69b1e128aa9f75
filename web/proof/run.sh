#!/bin/sh
# Runs the proof: as root on a host of its own, where it also starts the agent. Arguments go to `node --test`. All that it
# starts ends with it.
set -eu
cd "$(dirname "$0")/.."
set -- timeout --kill-after 5 1800 node --test --test-force-exit --test-concurrency=2 "$@" proof/page.test.mjs proof/live.test.mjs
if [ "$(id -u)" != 0 ]; then
    exec "$@"
fi
# Control groups that an engine makes are below one of the proof's own, and end with it.
top=
while read -r _ path kind _; do
    if [ "$kind" = cgroup2 ] && [ -z "$top" ]; then top=$path; fi
done </proc/self/mounts
own=
while IFS=: read -r hierarchy _ path; do
    if [ "$hierarchy" = 0 ]; then own=$path; fi
done </proc/self/cgroup
group=
clean() {
    if [ -n "$group" ]; then
        echo $$ >"$top$own/cgroup.procs" || true
        find "$group" -depth -type d -exec rmdir {} + || true
    fi
}
if [ -n "$top" ] && mkdir "$top/lxkns-proof-$$" 2>/dev/null; then
    group=$top/lxkns-proof-$$
    trap clean EXIT
    trap 'exit 1' HUP INT TERM
    echo $$ >"$group/cgroup.procs"
fi
setpriv --pdeathsig KILL unshare --mount --net --uts --ipc --cgroup --pid --fork --kill-child --mount-proc sh proof/world.sh "$@"
