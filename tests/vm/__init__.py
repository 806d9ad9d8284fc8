"""A small virtual machine that runs one command on a pure cgroup v2 kernel.

    python -m tests.vm [--user] [--cgroups WHERE] [--timeout SECONDS] -- COMMAND ARGUMENTS...

Boots Debian's cloud kernel under QEMU (software emulation: no KVM needed) in some five seconds. The guest's ``/`` is
this machine's own root file system, read-only over virtio-fs, with a tmpfs overlay above it: the command finds every
file it finds here, and everything it writes vanishes. It runs as root, or with ``--user`` as an ordinary user who has
subordinate ids. Which cgroup it is in, and whether this machine's systemd is the guest's init, ``--cgroups`` says.

Debian packages: qemu-system-x86 virtiofsd linux-image-cloud-amd64 busybox-static; for systemd dbus and
dbus-user-session too.
"""
