#!/bin/sh
# Makes of the namespaces that it is started in a host of its own, with nothing of the other's engines and network
# namespaces, and runs a command there. Files that this makes are in file systems that end with it.
set -eu
mount --make-rprivate /
hostname proof
ip link set lo up
mount -t tmpfs none /run
mkdir -p /run/netns /run/tmp /var/lib/containers
mount -t tmpfs none /var/lib/containers
# crun takes no host that has both versions of control groups.
if ! [ -e /sys/fs/cgroup/cgroup.procs ]; then
    umount --lazy /sys/fs/cgroup
    mount -t cgroup2 none /sys/fs/cgroup
fi
# What else is mounted is of no interest, unless this is there.
while read -r _ path _; do
    case $path in /mnt/* | /media/*)
        case $PWD/ in "$path"/*) ;; *) umount --lazy "$path" 2>/dev/null || true ;; esac ;;
    esac
done </proc/self/mounts
export TMPDIR=/run/tmp LXKNS_PROOF=world
# Not exec: as the first process, the shell reaps those that lose their parent.
status=0
"$@" || status=$?
exit "$status"
