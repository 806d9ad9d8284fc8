"""The flags that describe a container: docker's names, and the words of `pycgroups.run` where those differ."""

from __future__ import annotations

import os

from pycgroups.cli import mounts
from pycgroups.cli.flags import Flag, UsageError, describe, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from pycgroups.errors import Error

_NAMESPACES = ("ipc", "uts", "cgroup")
_NOT_HELD = frozenset({"timeout", "isolation"})


def whole(text: str) -> int:
    """Read a whole number."""
    try:
        return int(text)
    except ValueError:
        raise ValueError("a whole number") from None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError("a number") from None


def _octal(text: str) -> int:
    try:
        return int(text, 8)
    except ValueError:
        raise ValueError("an octal number, as 022") from None


def _pids(text: str) -> int | None:
    return None if text == "-1" else whole(text)  # docker's "unlimited"


def _shares(text: str) -> int:
    """Take docker's unit of ``cpu_weight``, in proportion: what is written on v1 is the same number again."""
    return max(1, round(whole(text) * 100 / 1024))


def _blkio(text: str) -> int:
    """Take docker's unit of ``io_weight``: the way back of `pycgroups.cgroups.convert.blkio_weight`."""
    weight = whole(text)
    return weight if weight <= 100 else 100 + (weight - 100) * 11  # noqa: PLR2004 (the usual weight in both units)


def _disk_limit(word: str) -> Callable[[str], tuple[str, str, int | str]]:
    """Take docker's DEVICE:RATE: bytes or operations a second."""

    def read(text: str) -> tuple[str, str, int | str]:
        device, found, rate = text.rpartition(":")
        if not found:
            raise ValueError("/dev/NAME:RATE")
        return device, word, whole(rate) if word.endswith("iops") else rate

    return read


def _pages(text: str) -> tuple[str, str]:
    size, found, most = text.partition("=")
    if not found:
        raise ValueError("PAGESIZE=SIZE, as 2M=64M")
    return size, most


def variable(text: str) -> str | None:
    """``NAME`` alone hands on the caller's own, if there is one."""
    if "=" in text:
        return text
    value = os.environ.get(text)
    return None if value is None else f"{text}={value}"


def _label(text: str) -> str:
    return text if "=" in text else f"{text}="


def _host(text: str) -> tuple[str, str]:
    separator = "=" if "=" in text else ":"  # docker has both
    host, found, address = text.partition(separator)
    if not found:
        raise ValueError("HOST:ADDRESS")
    return host, address.removeprefix("[").removesuffix("]")


def _profile(text: str) -> str:
    """Take a word, docker's "builtin" among them, or the path of a file."""
    words = {"builtin": "default", "default": "default", "strict": "strict", "unconfined": "unconfined"}
    return words.get(text) or os.path.join(".", text)


def _rule(text: str) -> tuple[str, str]:
    """Take a rule of Landlock's; a path may have a colon in it."""
    key, found, value = text.rpartition(":")
    if not found:
        raise ValueError("PATH:LETTERS, connect:PORT, bind:PORT or scope:NAME")
    return key, value


_DRIVERS = {"json-file": "json", "json": "json", "k8s-file": "plain", "plain": "plain"}


def _driver(text: str) -> tuple[str, str]:
    """Take the form of a log by its name here, docker's or podman's."""
    if text not in _DRIVERS:
        raise ValueError(" or ".join(_DRIVERS))
    return "form", _DRIVERS[text]


def _log_option(text: str) -> tuple[str, str | int | None]:
    """Take docker's words of a log's sizes."""
    key, _, value = text.partition("=")
    if key == "max-size":
        return "max_bytes", None if value == "-1" else value
    if key == "max-file" and value.isdecimal():
        return "max_files", int(value)
    raise ValueError("max-size=SIZE or max-file=N")


FLAGS = (
    # the process
    Flag("--entrypoint", "what comes before COMMAND", value="PROGRAM"),
    Flag("--env -e", "a variable; NAME alone: the caller's own", value="NAME[=VALUE]", read=variable, many=True),
    Flag("--env-file", "a file of such lines", value="FILE", many=True),
    Flag("--workdir --cwd -w", "where it starts", word="cwd", value="DIR"),
    Flag("--user -u", "ids, or names that the container knows; default: the image's, else 0", value="USER[:GROUP]"),
    Flag("--group-add --groups", "a supplementary group", word="groups", value="GROUP", many=True),
    Flag("--umask", "default 022", value="OCTAL", read=_octal),
    Flag("--tty -t", "a terminal of its own"),
    Flag("--init", "a tiny init as process 1; on unless --no-init or --init=false"),
    Flag("--no-init", "the program is process 1", word="init", on=False),
    Flag(
        "--ulimit --ulimits",
        "a limit of getrlimit(2), as nofile=1024",
        word="ulimits",
        value="NAME=SOFT[:HARD]",
        many=True,
    ),
    Flag("--oom-score-adj", "-1000 to 1000", value="N", read=whole),
    Flag("--stop-signal", "signal that asks the program to end; default: the image's, else SIGTERM", value="SIGNAL"),
    Flag("--stop-timeout", "seconds to wait before SIGKILL; default 10", value="SECONDS", read=_number),
    Flag(
        "--log-driver",
        "how its output is kept: json-file or k8s-file",
        word="log",
        value="NAME",
        read=_driver,
        many=True,
    ),
    Flag("--log-opt", "max-size=20M, max-file=5", word="log", value="NAME=VALUE", read=_log_option, many=True),
    # identity
    Flag("--name", "the container's name", value="NAME"),
    Flag("--hostname -h", "default: its name, or pycgroups", value="NAME"),
    Flag("--domainname", "its NIS domain", value="NAME"),
    Flag("--label --labels -l", "to find it by", word="labels", value="NAME[=VALUE]", read=_label, many=True),
    Flag("--annotation --annotations", "for the OCI spec", word="annotations", value="NAME=VALUE", many=True),
    # limits
    Flag("--memory -m", "as 64M, 1.5G", value="SIZE"),
    Flag("--memory-swap", "memory and swap together; -1 for any; default no swap", value="SIZE"),
    Flag("--memory-reservation --memory-low", "not reclaimed while others have more", word="memory_low", value="SIZE"),
    Flag("--memory-high", "slowed down above this; cgroup v2", value="SIZE"),
    Flag("--cpus", "how many CPUs' worth of time, as 1.5", value="N", read=_number),
    Flag("--cpu-weight", "share against others, 1 to 10000; 100 is the usual", value="N", read=whole),
    Flag("--cpu-shares -c", "the same in docker's unit: 1024 is the usual", word="cpu_weight", value="N", read=_shares),
    Flag("--cpuset-cpus --cpuset", "as 0-1,3", word="cpuset", value="LIST"),
    Flag("--pids-limit --pids", "processes and threads; -1 for any number", word="pids", value="N", read=_pids),
    Flag("--io-weight", "share of disks against others, 1 to 10000; 100 is the usual", value="N", read=whole),
    Flag("--blkio-weight", "the same in docker's unit, 10 to 1000", word="io_weight", value="N", read=_blkio),
    *(
        Flag(
            f"--device-{what}",
            f"{unit} a second, as /dev/sda:{example}",
            word="io_limits",
            value="DEVICE:RATE",
            read=_disk_limit(word),
            many=True,
        )
        for what, word, unit, example in (
            ("read-bps", "rbps", "bytes read", "10M"),
            ("write-bps", "wbps", "bytes written", "10M"),
            ("read-iops", "riops", "reads", "100"),
            ("write-iops", "wiops", "writes", "100"),
        )
    ),
    Flag("--hugepages", "what may be in huge pages, as 2M=64M", value="PAGESIZE=SIZE", read=_pages, many=True),
    Flag("--disk", "what may be written to the overlay", value="SIZE"),
    Flag(
        "--timeout", "after which everything in it is killed; exit code 124; not with -d", value="SECONDS", read=_number
    ),
    Flag("--no-require-limits", "go on if a limit cannot be enforced", word="require_limits", on=False),
    Flag("--cgroup-manager", "cgroupfs, the default, or systemd: who makes its cgroup", value="NAME"),
    # files
    Flag(
        "--volume --volumes -v",
        "a directory of the host, or a volume by its name",
        word="volumes",
        value="SOURCE:DIR[:ro,...]",
        many=True,
    ),
    Flag(
        "--mount",
        "as type=bind,src=,dst=,ro, type=volume,src=,dst= or type=tmpfs,dst=",
        word="mounts",
        value="FIELDS",
        read=mounts.mount,
        many=True,
    ),
    Flag(
        "--tmpfs",
        "an empty file system, as /run:size=64m,mode=755",
        word="mounts",
        value="DIR[:OPTIONS]",
        read=mounts.tmpfs,
        many=True,
    ),
    Flag("--read-only", "nothing can be written to the root file system"),
    Flag("--workspace", "a directory of the host at /workspace, written to as the caller", value="DIR"),
    Flag("--rootfs", "a directory that is the root, instead of IMAGE", value="DIR"),
    Flag("--image", "IMAGE as a flag", value="IMAGE"),
    Flag("--pull", "when IMAGE is fetched: missing (the default), always or never", value="WHEN"),
    Flag("--platform", "of an IMAGE for several, which; as linux/arm64; default: this machine's", value="PLATFORM"),
    # network
    Flag("--network --net", "none (the default) or host", value="NETWORK"),
    Flag("--dns", "a name server", value="ADDRESS", many=True),
    Flag(
        "--add-host --extra-hosts",
        "a line of /etc/hosts",
        word="extra_hosts",
        value="HOST:ADDRESS",
        read=_host,
        many=True,
    ),
    # isolation
    Flag(
        "--isolation",
        "container (the default); process (no namespaces) or none (limits alone), not with -d",
        value="LEVEL",
    ),
    Flag(
        "--userns",
        "auto (the default), keep-id (your ids are the same inside), host for none, or INSIDE:OUTSIDE:COUNT",
        value="MAP",
    ),
    Flag(
        "--namespace --namespaces",
        "join one: net, pid, mnt, user, uts, ipc, cgroup or time, as net=/run/netns/blue, or net=PID for a process's",
        word="namespaces",
        value="KIND=PATH",
        many=True,
    ),
    Flag("--ipc", "private (the default), host, or what to join", value="NAMESPACE"),
    Flag("--uts", "likewise", value="NAMESPACE"),
    Flag("--cgroupns", "likewise", word="cgroup", value="NAMESPACE"),
    Flag("--cap-add --caps-add", "a capability, or ALL", word="caps_add", value="NAME", many=True),
    Flag("--cap-drop --caps-drop", "likewise", word="caps_drop", value="NAME", many=True),
    Flag("--seccomp", "default, strict (pure computing), unconfined, or FILE", value="PROFILE", read=_profile),
    Flag(
        "--security-opt",
        "no-new-privileges, seccomp=PROFILE, apparmor=, label=, systempaths=unconfined",
        value="OPTION",
        many=True,
    ),
    Flag(
        "--landlock",
        "what it may do with a file or directory, letters of rwxd; or connect:PORT, bind:PORT, scope:signal",
        value="PATH:LETTERS",
        read=_rule,
        many=True,
    ),
    Flag("--privileged", "nothing is held back"),
    Flag("--device --devices", "a device of the host", word="devices", value="DEVICE[:INSIDE[:rwm]]", many=True),
    Flag("--sysctl --sysctls", "a setting of its own namespaces", word="sysctls", value="NAME=VALUE", many=True),
)

PROGRAM = """\
The program's root file system is a directory (--rootfs) or else IMAGE, with a throw-away top. IMAGE is a name, as
debian:13, the beginning of an id, or a place, as oci:DIR; or `host`, the default: the host's own root, read-only
underneath. With --rootfs or --image, or after `--`, the first word is the program. An image may say itself what to run.

  pycgroups {command} -- COMMAND ...               in the host's root
  pycgroups {command} host COMMAND ...             the same
  pycgroups {command} debian:13 COMMAND ...        in that of an image
  pycgroups {command} --image debian:13 -- COMMAND ...
  pycgroups {command} --rootfs DIR COMMAND ...     in a directory
"""


def read(command: str, arguments: Sequence[str], own: tuple[Flag, ...]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read the command line of a command that describes a container.

    Args:
        command: the command's name, for help.
        arguments: what follows it.
        own: flags that are the command's.

    Returns:
        The arguments of `pycgroups.run`, and the values of the command's own flags. Only ``help`` among the latter
        when help is asked for.

    Raises:
        UsageError: a flag is wrong.
        InvalidConfig: likewise.
    """
    found, rest, dashed = parse((*own, *FLAGS), arguments)
    if found.get("help"):
        return {}, {"help": True}
    mine = {flag.word: found.pop(flag.word) for flag in own if flag.word in found}
    if rest and not dashed and not {"rootfs", "image"} & found.keys():
        found["image"] = _image(command, rest.pop(0))
        rest = rest[1:] if rest[:1] == ["--"] else rest
    if not rest and "entrypoint" not in found and found.get("image", "host") == "host":
        raise UsageError(f"which program? pycgroups {command} [FLAGS] -- COMMAND ...")
    if rest:
        found["command"] = rest
    return settled(found), mine


def _image(command: str, word: str) -> str:
    """Take the first word, where no flag and no ``--`` tells what it is."""
    if word.startswith(("/", "./", "../")):
        raise UsageError(
            f"IMAGE comes first, and {word!r} is a path; a program of this host: pycgroups {command} -- {word} ...; "
            f"a directory that is the root: --rootfs"
        )
    return word


def taken_for_image(error: Error, word: object) -> None:
    """Add to the error about an image what it was meant for, if this host has a program of its name."""
    from shutil import which

    if isinstance(word, str) and "/" not in word and which(word):
        hint = f"{word!r} is taken for an image; a program of this host comes after --, as in pycgroups run -- {word}"
        error.hint = f"{error.hint}; {hint}" if error.hint else hint


def settled(found: dict[str, Any]) -> dict[str, Any]:
    """Settle the flags that have no word of their own."""
    if "env" in found:
        found["env"] = [variable for variable in found["env"] if variable is not None]
    namespaces = [f"{kind}={found.pop(kind)}" for kind in _NAMESPACES if kind in found]
    if namespaces:
        found["namespaces"] = [*found.get("namespaces", ()), *namespaces]
    for option in found.pop("security_opt", ()):
        found.update(_security(option))
    if "io_limits" in found:
        limits: dict[str, dict[str, int | str]] = {}
        for device, word, rate in found["io_limits"]:
            limits.setdefault(device, {})[word] = rate
        found["io_limits"] = limits
    if "hugepages" in found:
        found["hugepages"] = dict(found["hugepages"])
    return found


def _security(option: str) -> dict[str, Any]:
    """Translate ``--security-opt``; the separator was a colon once, and docker still takes it."""
    end = min((option.index(mark) for mark in "=:" if mark in option), default=len(option))
    name, value = option[:end], option[end + 1 :]
    if name == "no-new-privileges" and value in {"", "true", "false"}:
        return {"no_new_privileges": value != "false"}
    if name == "seccomp" and value:
        return {"seccomp": _profile(value)}
    if name == "apparmor" and value:
        return {"apparmor": value}
    if name == "label" and value:
        from pycgroups.security.lsm import has_selinux

        return {} if value == "disable" and not has_selinux() else {"selinux_label": value}
    if name == "systempaths" and value == "unconfined":
        return {"masked_paths": (), "readonly_paths": ()}
    raise UsageError(f"flag '--security-opt': {option!r} is not known; see --help")


def usage(command: str, about: str, own: tuple[Flag, ...], *, held: bool = False) -> str:
    """Return the help of such a command; that of one for containers that are held leaves out what these refuse."""
    flags = [flag for flag in FLAGS if not (held and flag.word in _NOT_HELD)]
    return (
        f"usage: pycgroups {command} [FLAGS] [IMAGE] [--] [COMMAND [ARGUMENT ...]]\n\n{about}\n\n"
        f"{PROGRAM.format(command=command)}\n{describe((*own, *flags))}"
    )
