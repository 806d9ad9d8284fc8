# Become systemd, with no more units than the tests need: D-Bus, the command, and for an ordinary user his own systemd.
# The command is where a login is: beside the user's systemd, in a cgroup that is not his.
system=/usr/lib/systemd/system
own=/run/systemd/system
mkdir -p $own
rm -f /usr/lib/systemd/system-generators/*  # from the overlay: nothing to find out about disks, ttys and networks
for unit in $system/sysinit.target.wants/* /etc/systemd/system/sysinit.target.wants/* $system/local-fs.target.wants/*; do
    ln -sf /dev/null $own/${unit##*/}
done

cat >$own/tests.service <<END
[Unit]
DefaultDependencies=no
Requires=dbus.socket
After=dbus.socket
[Service]
ExecStart=/run/vm/busybox sh /run/vm/report.sh
LimitNOFILE=1024:524288
TasksMax=infinity
END
if [ "$USER_ID" != 0 ]; then
    mkdir $own/tests.service.d
    cat >$own/tests.service.d/user.conf <<END
[Unit]
Requires=user@$USER_ID.service
After=user@$USER_ID.service
[Service]
Slice=user-$USER_ID.slice
END
    # As Debian's, without a session of logind's, which takes longer to start than all the rest.
    cat >$own/user@.service <<END
[Unit]
After=dbus.socket
[Service]
User=%i
Type=notify-reload
ReloadSignal=RTMIN+25
ExecStart=/usr/lib/systemd/systemd --user
Environment=XDG_RUNTIME_DIR=/run/user/%i
Slice=user-%i.slice
KillMode=mixed
Delegate=pids memory cpu
DelegateSubgroup=init.scope
TasksMax=infinity
END
fi
exec /usr/lib/systemd/systemd --unit=tests.service --show-status=no
