"""What docker has and we have not, and the way round; as docs/how-to/coming-from.md has it."""

from __future__ import annotations

_NETWORKS = "no ports are forwarded; --network host has those of the host"
_NONE = "there is none for a container"

COMMANDS = {
    "build": "docker build or podman build, then docker save NAME | pycgroups load",
    "info": "pycgroups doctor tells what works on this host, pycgroups system df what is here",
    "search": "the registry's own page has that",
    "version": "pycgroups --version",
}
FLAGS = {
    **dict.fromkeys(("-p", "--publish", "-P", "--publish-all", "--expose", "--link", "--network-alias"), _NETWORKS),
    **dict.fromkeys(("--ip", "--ip6", "--mac-address"), _NETWORKS),
    "--pid": "--namespace pid=host, or pid=PID for a process's",
    **dict.fromkeys(("--cpu-quota", "--cpu-period"), "--cpus is the one divided by the other"),
    **dict.fromkeys(("--cpuset-mems", "--cpu-rt-runtime", "--memory-swappiness", "--oom-kill-disable"), _NONE),
    "--shm-size": "--tmpfs /dev/shm:size=1g",
    "--cidfile": "run -d and create tell the id on stdout",
    "--label-file": "--label for each",
    **dict.fromkeys(("-a", "--attach"), "leave it out; the shell has redirections, as 2> /dev/null"),
    "--sig-proxy": "run -d, then attach --sig-proxy=false",
    "--detach-keys": "run -d -it, then attach --detach-keys",
    "--cgroup-parent": "there is none; --cgroup-manager systemd makes a scope",
    "--device-cgroup-rule": "--device for each device",
    **dict.fromkeys(("--dns-search", "--dns-option"), "-v ./resolv.conf:/etc/resolv.conf:ro"),
    "--volumes-from": "-v for each volume",
    "--storage-opt": "--disk 1G",
    "--runtime": "there is none; pycgroups-oci is a runtime for docker and podman",
    "--gpus": "--device and -v for each device and library",
}
"""Of docker-run(1) and docker-create(1)."""
