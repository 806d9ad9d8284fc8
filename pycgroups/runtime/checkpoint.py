"""Checkpoints: a container's processes as files, and files as processes again. criu(8) does it, told as runc tells it.

    DIRECTORY/          criu's images, and what is ours:
        pycgroups.json  what the first three descriptors of its process were, for who restores it

What criu cannot see from inside is named to it: sources of bind mounts, a network namespace that somebody else made,
and files and pipes of the host that are the container's streams. Of a terminal the master is with somebody outside, and
what is saved goes on with another one.
Source: https://github.com/opencontainers/runc/blob/main/libcontainer/criu_linux.go; https://criu.org/External_resources.
"""

from __future__ import annotations

import os

from pycgroups._native import vfs
from pycgroups.errors import InvalidConfig, LaunchError, NotFound, Unsupported, own_errors
from pycgroups.namespaces import own
from pycgroups.namespaces.files import open_namespace
from pycgroups.oci.json_text import dumps, parse
from pycgroups.oci.reader import config_text
from pycgroups.runtime import mount_points, terminals
from pycgroups.runtime.cgroup_mounts import shown
from pycgroups.runtime.launch import Running
from pycgroups.runtime.steps import Plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import NamedTuple

    from pycgroups.cgroups.detect import Hierarchy
    from pycgroups.oci.runtime_spec import Spec
    from pycgroups.runtime.creation import Created, Creation
    from pycgroups.runtime.state import Record
else:
    from pycgroups.records import NamedTuple

_OURS = "pycgroups.json"
_STREAMS = (0, 1, 2)
_V2 = 2
_V1_NAMES = {"io": "blkio"}
_NETWORK = "extRootNetNS"  # runc's name for it, so that either restores what the other saved
_LONGEST_REASON = 1000
_PIPE_SIZE = 4 << 20  # what the kernel makes of the PIPE_MAX_SIZE pages in criu/include/page-pipe.h
_NO_PLAN = Plan(namespaces=0, prepare=(), setup=(), main=(), given=0, idmaps=(), init=False, keep_caps=0)
# What criu mounts, and changes of mounts, ends with it. Slaves of the host's, since it takes the propagation of the
# container's root from there.
_APART = ("unshare", "--mount", "--propagation", "slave")
# criu wants the root as a mount of its own.
_IN_A_MOUNT = 'mount --rbind -- "$1" "$2" && shift 2 && exec "$@"'


class CheckpointImages(NamedTuple):
    """Where a checkpoint is, and how it is made or brought back.

    Attributes:
        directory: of its files.
        work: for criu's log; the same by default.
        program: criu.
        options: further ones of criu(8): ``--tcp-established``, ``--leave-running`` and others.
        descriptors: of this process, which options name by their numbers: criu gets them.
    """

    directory: str
    work: str = ""
    program: str = "criu"
    options: Sequence[str] = ()
    descriptors: Sequence[int] = ()

    def run(
        self,
        verb: str,
        words: Iterable[str],
        *,
        inside: Sequence[str],
        pid: int = 0,
        terminal: bool,
        given: Sequence[int] = (),
        place: Callable[[int], None] | None = None,
        meet: Callable[[int], None] | None = None,
    ) -> int:
        """Run criu; the master of the terminal that it has restored, or -1.

        Args:
            verb: "dump", "pre-dump" or "restore".
            words: what it is told, beside the options.
            inside: a command that executes it.
            pid: as `criu.run` has it.
            terminal: likewise.
            given: likewise.
            place: likewise.
            meet: likewise.

        Raises:
            Unsupported: it is not installed, or this user may not use it.
            LaunchError: it failed; says why.
        """
        import shutil

        from pycgroups.runtime import criu

        if os.geteuid() != 0 or own.is_nested():
            raise Unsupported("checkpoints need root", operation=verb, hint="run this as root of the host")
        if shutil.which(self.program) is None:
            hint = "install criu, or name it with --criu PROGRAM"
            raise Unsupported(f"there is no {self.program}", operation=verb, hint=hint)
        work = self.work or self.directory
        log = f"{verb}.log"
        command = [*inside, self.program, "--work-dir", work, "--log-file", log, *words, *self.options]
        code, master = criu.run(
            verb,
            command,
            self.directory,
            pid=pid,
            terminal=terminal,
            given=(*given, *self.descriptors),
            place=place,
            meet=meet,
        )
        if code:
            if master >= 0:
                os.close(master)
            why = _errors(f"{work}/{log}") or f"criu ended with {code}"
            raise LaunchError(why, step=verb, path=f"{work}/{log}", hint="the log has the rest")
        return master


@own_errors("checkpoint")
def dump(record: Record, spec: Spec, images: CheckpointImages, *, before: bool) -> None:
    """Save the processes of a container, or `before` that their memory; see `Container.checkpoint`.

    Raises:
        Unsupported: criu is not installed, this user may not use it, or not for memory that is fetched later.
        LaunchError: criu failed.
    """
    _check_mounts(record, "checkpoint")
    if "--lazy-pages" in images.options:
        _check_pipes()
    for directory in filter(None, (images.directory, images.work)):
        os.makedirs(directory, 0o700, exist_ok=True)
    words = ["--root", record.rootfs]
    if freezer := _freezer(record):
        words += ["--freeze-cgroup", freezer]
    words += _external(f"mnt[{_real(record.pid, place)}]:{place}" for place, _ in _mounts(spec, record, record.cgroups))
    if (network := _network(spec)) is not None:
        words += _external((f"net[{os.stat(network).st_ino}]:{_NETWORK}",))
    streams = [_stream(record.pid, number) for number in _STREAMS]
    words += _external(name for name in streams if name.startswith("file["))
    words += _network_lock()
    # Before criu's: memory that is fetched later is there as long as criu is, and the container is restored meanwhile.
    with open(f"{images.directory}/{_OURS}", "w", encoding="utf-8") as file:
        file.write(dumps({"streams": streams}))
    verb = "pre-dump" if before else "dump"
    images.run(verb, words, inside=_APART, pid=record.pid, terminal=_has_terminal(spec))


@own_errors("restore")
def restore(creation: Creation, images: CheckpointImages) -> Created:
    """Bring saved processes back as the container that is being created.

    Raises:
        NotFound: there is no checkpoint.
        Unsupported, LaunchError: as `dump`.
    """
    spec, record = creation.spec, creation.record
    _check_mounts(record, "restore")
    streams = _saved_streams(images.directory)
    creation.connect_console()
    creation.make_group()
    cgroups = (creation.scope.planned,) if creation.scope else creation.record.cgroups
    root, pid_file = f"{creation.home.path}/criu-root", f"{creation.home.path}/criu.pid"
    words = ["--restore-detached", "--restore-sibling", "--pidfile", pid_file, "--root", root]
    words += _external(f"mnt[{place}]:{source}" for place, source in _mounts(spec, record, cgroups))
    words += _cgroup_roots(cgroups)
    given = []
    for number, name in zip(_STREAMS, streams, strict=True):
        if name:
            given.append(os.dup(number))
            words += ["--inherit-fd", f"fd[{given[-1]}]:{name}"]
    try:
        if (network := _network(spec)) is not None:
            given.append(open_namespace(network))
            words += ["--inherit-fd", f"fd[{given[-1]}]:{_NETWORK}"]
        os.mkdir(root)
        mount_points.make(record.rootfs, record.bundle, spec)
        mounted = (*_APART, "sh", "-c", _IN_A_MOUNT, "sh", record.rootfs, root)
        master = images.run(
            "restore",
            words,
            inside=mounted,
            terminal=_has_terminal(spec),
            given=given,
            # A scope of systemd's needs a process; what criu makes is in it as well.
            place=creation.place if creation.scope else None,
            meet=creation.run_outer_hooks if spec.hooks else None,
        )
    finally:
        for fd in given:
            os.close(fd)
    creation.running = Running(_NO_PLAN)
    with open(pid_file, encoding="utf-8") as file:
        pid = int(file.read())
    creation.running.spawned.replace(pid, os.pidfd_open(pid))
    creation.master = terminals.hand_on(master, creation.console)
    os.unlink(pid_file)
    os.rmdir(root)
    return creation.done(creation.running)


def _has_terminal(spec: Spec) -> bool:
    return spec.process is not None and spec.process.terminal


def _check_mounts(record: Record, verb: str) -> None:
    """Refuse what criu has no words for."""
    if record.mounted:
        raise Unsupported(
            "criu knows no containers without a mount namespace",
            operation=verb,
            path="linux.namespaces",
            hint='add {"type": "mount"}',
        )


def _check_pipes() -> None:
    """Refuse memory that is fetched later where criu notices too late, when it is fetched: that needs a large pipe."""
    import fcntl

    output, input_ = os.pipe()
    try:
        fcntl.fcntl(output, fcntl.F_SETPIPE_SZ, _PIPE_SIZE)
    except PermissionError as error:
        hint = f"sysctl fs.pipe-max-size={_PIPE_SIZE}, or have CAP_SYS_RESOURCE"
        raise Unsupported(
            "criu needs larger pipes than it may make", operation="--lazy-pages", errno=error.errno, hint=hint
        ) from None
    finally:
        os.close(output)
        os.close(input_)


def _external(names: Iterable[str]) -> list[str]:
    return [word for name in names for word in ("--external", name)]


def _mounts(spec: Spec, record: Record, cgroups: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Name what is bound from outside: where it is inside, and what it is."""
    for mount in spec.mounts:
        place = os.path.normpath(mount.destination)
        if mount.type == "cgroup":
            yield from ((os.path.join(place, name).rstrip("/"), path) for name, path in shown(cgroups))
        elif mount.type == "bind" or not {"bind", "rbind"}.isdisjoint(mount.options):
            yield place, os.path.join(record.bundle, mount.source or "")


def _real(pid: int, place: str) -> str:
    """Return where a mount is that was made by links of the image: criu knows it by that."""
    fd = vfs.open_inside(b"/proc/%d/root" % pid, os.fsencode(place))
    if fd < 0:  # the container has changed its mounts
        return place
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    finally:
        os.close(fd)


def _network_lock() -> list[str]:
    """Have criu lock the network by what is there: of itself it calls iptables, which not every host has."""
    import shutil

    return [] if shutil.which("iptables-restore") else ["--network-lock", "nftables"]


def _network(spec: Spec) -> str | None:
    """Return the file of a network namespace that somebody else made."""
    return next((space.path for space in spec.linux.namespaces if space.type == "network" and space.path), None)


def _hierarchies(cgroups: Sequence[str]) -> Iterator[tuple[Hierarchy, str]]:
    """Yield the directories of a cgroup, and what they are in."""
    from pycgroups.cgroups import detect

    for path in cgroups:
        yield next(each for each in detect.everything() if path.startswith(f"{each.mount}/")), path


def _freezer(record: Record) -> str | None:
    """Find the directory by which all its processes can be stopped at once."""
    found = list(_hierarchies(record.cgroups))
    frozen = [path for hierarchy, path in found if "freezer" in hierarchy.controllers]
    return next(iter(frozen or [path for hierarchy, path in found if hierarchy.version == _V2]), None)


def _cgroup_roots(cgroups: Sequence[str]) -> list[str]:
    """Say where the new cgroup is, in the place of the old one: per controller of v1, and for the rest."""
    words = []
    for hierarchy, path in _hierarchies(cgroups):
        place = path.removeprefix(hierarchy.mount)
        controllers = sorted(hierarchy.controllers) if hierarchy.version != _V2 else []
        for prefix in [f"{_V1_NAMES.get(name, name)}:" for name in controllers] or [""]:
            words += ["--cgroup-root", f"{prefix}{place}"]
    return words


def _stream(pid: int, number: int) -> str:
    """Name what a stream is by criu's words, if it comes from outside; else ""."""
    path = f"/proc/{pid}/fd/{number}"
    try:
        target = os.readlink(path)
        if target.startswith(("pipe:", "socket:")):
            return target
        with open(f"/proc/{pid}/fdinfo/{number}", encoding="utf-8") as file:
            mount = next(int(line.split()[1]) for line in file if line.startswith("mnt_id:"))
        with open(f"/proc/{pid}/mountinfo", encoding="utf-8", errors="replace") as file:
            inside = any(int(line.split()[0]) == mount for line in file)
        return "" if inside else f"file[{mount:x}:{os.stat(path).st_ino:x}]"
    except FileNotFoundError:  # it was closed
        return ""


def _saved_streams(directory: str) -> list[str]:
    path = f"{directory}/{_OURS}"
    try:
        document = parse(config_text(path), path)
    except NotFound as error:
        error.hint = "--image-path DIRECTORY: where checkpoint has written"
        raise
    streams = document.get("streams") if isinstance(document, dict) else None
    if not isinstance(streams, list) or [type(name) for name in streams] != [str] * len(_STREAMS):
        raise InvalidConfig("not written by checkpoint", operation="read", path=path)
    return streams


def _errors(log: str) -> str:
    """Return what criu's log tells of errors: which is the cause, criu does not know; often it is a late one."""
    try:
        with open(log, encoding="utf-8", errors="replace") as file:
            errors = [line.partition("): ")[2].strip() for line in file if "Error (" in line]
    except OSError:
        return ""
    return "; ".join(errors)[-_LONGEST_REASON:]
