#!/bin/sh
# Runs the proof: as root on a host of its own, where it also starts the agent. Arguments go to `node --test`. All that it
# starts ends with it.
set -eu
cd "$(dirname "$0")/.."
set -- timeout --kill-after 5 600 node --test --test-force-exit --test-concurrency=2 "$@" proof/page.test.mjs proof/live.test.mjs
if [ "$(id -u)" = 0 ]; then
    set -- setpriv --pdeathsig KILL unshare --mount --net --uts --ipc --cgroup --pid --fork --kill-child --mount-proc sh proof/world.sh "$@"
fi
exec "$@"
