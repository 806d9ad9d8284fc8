# The guest after init.sh, as process 1: what an init sets up before anybody logs in, and the account that does. Then
# either systemd takes over, or the command runs where systemd would put it.
. /run/vm/settings
die() { echo "$TOKEN fail $*" >/dev/vport0p1; sleep 5; reboot -f; }

mount --make-rshared /
ln -sf /proc/self/fd /dev/fd
ln -sf fd/0 /dev/stdin
ln -sf fd/1 /dev/stdout
ln -sf fd/2 /dev/stderr
mkdir -p /dev/pts /dev/shm /dev/mqueue
mount -t devpts -o gid=5,mode=620,ptmxmode=666,nosuid,noexec devpts /dev/pts
mount -t tmpfs -o mode=1777,nosuid,nodev,size=90% shm /dev/shm
mount -t mqueue -o nosuid,nodev,noexec mqueue /dev/mqueue
chmod 666 /dev/fuse /dev/tty /dev/ptmx /dev/null /dev/zero /dev/full /dev/random /dev/urandom 2>/dev/null
# As kmod and systemd-tmpfiles make it: the kernel loads the module for whoever opens it.
[ -e /dev/loop-control ] || mknod -m 660 /dev/loop-control c 10 237
hostname vm
ip link set lo up
ulimit -Hn 524288
ulimit -Sn 1024

cgroup=/sys/fs/cgroup
mount -t cgroup2 -o nosuid,nodev,noexec,nsdelegate,memory_recursiveprot cgroup2 $cgroup || die "cannot mount cgroup2"

if [ "$USER_ID" != 0 ]; then
    # What pam, useradd and logind make for a user.
    echo "$USER_NAME:x:$USER_ID:$USER_ID::$USER_HOME:/bin/sh" >>/etc/passwd
    echo "$USER_NAME:x:$USER_ID:" >>/etc/group
    echo "$USER_NAME:$SUBID_FIRST:65536" >>/etc/subuid
    echo "$USER_NAME:$SUBID_FIRST:65536" >>/etc/subgid
    for dir in "$USER_HOME" "/run/user/$USER_ID"; do
        mkdir -p "$dir"
        chown $USER_ID:$USER_ID "$dir"
        chmod 700 "$dir"
    done
    # The project may lie where only root goes; this is the overlay, so the host does not change.
    dir=$TREE
    while [ "$dir" != / ]; do chmod o+x "$dir" 2>/dev/null; dir=$(dirname "$dir"); done
fi

[ "$CGROUPS" != systemd ] || . /run/vm/systemd.sh

enable() { for controller in $1; do echo "+$controller" >"$2/cgroup.subtree_control"; done; }
enable "$(cat $cgroup/cgroup.controllers)" $cgroup

# Where systemd puts a service, and what it enables there.
own=$cgroup/system.slice/tests.service
if [ "$CGROUPS" = delegated ]; then
    # systemd delegates user@UID.service and all below to the user: cpu, memory and pids.
    slice=$cgroup/user.slice/user-$USER_ID.slice
    manager=$slice/user@$USER_ID.service
    own=$manager/app.slice/tests.scope
    mkdir -p $own
    for dir in $cgroup/user.slice $slice $manager $manager/app.slice; do enable "cpu memory pids" $dir; done
    for dir in $manager $manager/app.slice $own; do
        chown $USER_ID:$USER_ID $dir $dir/cgroup.procs $dir/cgroup.threads $dir/cgroup.subtree_control
    done
else
    mkdir -p $own
    enable "memory pids" $cgroup/system.slice
fi
(
    sh -c 'echo $PPID' >$own/cgroup.procs || die "cannot enter $own"
    exec setsid /run/vm/busybox sh /run/vm/report.sh
)
die "the command vanished"
