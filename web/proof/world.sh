#!/bin/sh
# Makes of the namespaces that it is started in a host of its own, with nothing of the other's engines and network
# namespaces, and runs a command there. Files that this makes are in file systems that end with it.
set -eu
mount --make-rprivate /
hostname proof
ip link set lo up
mount -t tmpfs none /run
mkdir -p /run/netns /run/tmp /run/etc/upper /run/etc/work /var/lib/containers /var/lib/docker
mount -t overlay -o lowerdir=/etc,upperdir=/run/etc/upper,workdir=/run/etc/work none /etc
mount -t tmpfs none /var/lib/containers
mount -t tmpfs none /var/lib/docker
# The links of this network namespace, and the one hierarchy of version 2: crun takes no host that has both versions of
# control groups.
umount --lazy /sys
mount -t sysfs none /sys
mount -t cgroup2 none /sys/fs/cgroup
# What else is mounted is of no interest, unless this is there.
while read -r _ path _; do
    case $path in /mnt/* | /media/*)
        case $PWD/ in "$path"/*) ;; *) umount --lazy "$path" 2>/dev/null || true ;; esac ;;
    esac
done </proc/self/mounts
export TMPDIR=/run/tmp HOME=/run/tmp LXKNS_PROOF=world
# Not exec: as the first process, the shell reaps those that lose their parent.
status=0
"$@" || status=$?
exit "$status"
