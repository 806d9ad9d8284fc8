#!/bin/busybox sh
# The guest's /init: put the host's root file system, under a tmpfs overlay, at / and go there.
/bin/busybox mount -t proc -o nosuid,nodev,noexec proc /proc
mount -t sysfs -o nosuid,nodev,noexec sysfs /sys
mount -t devtmpfs -o nosuid,mode=755 devtmpfs /dev
. /settings

# The one line to the host: a virtio serial port, which appears some time after boot.
tries=0
until [ -c /dev/vport0p1 ]; do
    tries=$((tries + 1))
    [ $tries -gt 500 ] && { echo "no virtio port" >/dev/console; reboot -f; }
    usleep 10000
done
die() { echo "$TOKEN fail $*" >/dev/vport0p1; sleep 5; reboot -f; }

mount -t virtiofs -o ro host /lower || die "cannot mount the host's files (virtiofs)"
# overlay is a module: the host's own modprobe loads it from the host's own /lib/modules.
chroot /lower /sbin/modprobe overlay || die "cannot load the overlay module"
mount -t tmpfs -o mode=755,size=90% upper /upper
mkdir /upper/files /upper/work /upper/root
mount -t overlay -o lowerdir=/lower,upperdir=/upper/files,workdir=/upper/work root /upper/root ||
    die "cannot mount the overlay"
root=/upper/root

# What the host has mounted on its own /run and /tmp is not the guest's, except for the project.
mount -t tmpfs -o mode=755,nosuid,nodev,size=90% run $root/run
mount -t tmpfs -o mode=1777,nosuid,nodev,size=90% tmp $root/tmp
mkdir -p $root/run/vm $root/run/lock "$root$TREE"
case $TREE in
/tmp/* | /run/*) mount --bind "/lower$TREE" "$root$TREE" || die "cannot show $TREE" ;;
esac
cp /bin/busybox /settings /command /*.sh $root/run/vm/

for dir in dev sys proc; do mount --move /$dir $root/$dir; done
# A chrooted process may not make user namespaces, so it has to be a real change of root.
exec /bin/busybox switch_root $root /run/vm/busybox sh /run/vm/session.sh
