"""``exec``: another program in a container."""

from __future__ import annotations

from pycgroups.cli.flags import Flag, UsageError
from pycgroups.oci_cli import affinity
from pycgroups.oci_cli.command import (
    CONSOLE_SOCKET,
    DETACH,
    PID_FILE,
    PIDFD_SOCKET,
    PRESERVE_FDS,
    Command,
    count,
    preserved,
    warn,
)
from pycgroups.oci_cli.create import check_terminal, send_pidfd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pycgroups.oci.runtime_spec import Process
    from pycgroups.oci_cli.command import Given
    from pycgroups.runtime import Container
    from pycgroups.runtime.execution import Executed


def _user(text: str) -> dict[str, int]:
    uid, colon, gid = text.partition(":")
    return {"uid": count(uid), **({"gid": count(gid)} if colon else {})}


FLAGS = (
    Flag(
        "--process -p",
        "a file with the process as in a config.json; the flags about it count for nothing. Of capabilities, "
        "oomScoreAdj, scheduler, ioPriority and labels it need not speak: they are the container's own then",
        value="FILE",
    ),
    Flag("--cwd", "its directory", value="DIRECTORY"),
    Flag("--env -e", "a variable of its environment", value="KEY=VALUE", many=True),
    Flag("--tty -t", "give it a terminal"),
    Flag("--user -u", "who it is, in numbers", value="UID[:GID]", read=_user),
    Flag("--additional-gids -g", "a group that it is in as well", value="GID", read=count, many=True),
    Flag("--cap -c", "a capability that it has as well", value="CAP", many=True),
    Flag("--no-new-privs", "it gains no rights by what it executes"),
    Flag("--apparmor", "its profile of AppArmor", value="PROFILE"),
    Flag("--process-label", "its label of SELinux", value="LABEL"),
    Flag("--cgroup", "a cgroup below the container's, which exists", value="[CONTROLLER:]PATH", many=True),
    Flag("--ignore-paused", "in a paused container, too, where it waits"),
    DETACH,
    PID_FILE,
    CONSOLE_SOCKET,
    PIDFD_SOCKET,
    PRESERVE_FDS,
)


# What runc takes for the container's, and not for a process's: libcontainer/configs, Config. No rlimits are among it.
_IN_COMMON = ("capabilities", "oomScoreAdj", "scheduler", "ioPriority", "apparmorProfile", "selinuxLabel")


def run(given: Given) -> int:
    """Run it; the exit code of the program."""
    container = given.container()
    process = _process(given, container)
    detached = bool(given.flags.get("detach"))
    check_terminal(terminal=process.terminal, socket=given.flags.get("console_socket"), detached=detached)
    if detached:
        _execute(given, container, process).let_go()
        return 0
    from pycgroups.oci_cli.foreground import Foreground

    with Foreground() as foreground:
        return foreground.wait(_execute(given, container, process))


def _execute(given: Given, container: Container, process: Process) -> Executed:
    flags = given.flags
    affinity.forget()
    executed = container.exec(
        process,
        console_socket=flags.get("console_socket"),
        pid_file=flags.get("pid_file"),
        preserve_fds=preserved(flags),
        detached=bool(flags.get("detach")),
        cgroups=flags.get("cgroup", ()),
        ignore_paused=bool(flags.get("ignore_paused")),
    )
    warn(given.settings.log, executed)
    if "pidfd_socket" in flags:
        try:
            send_pidfd(flags["pidfd_socket"], executed.fileno())
        except BaseException:
            executed.close()
            raise
    return executed


def _process(given: Given, container: Container) -> Process:
    """Read the process from its file, or make it of the container's own and the flags."""
    from pycgroups.oci.json_text import parse
    from pycgroups.oci.reader import config_text
    from pycgroups.oci.reading import part_of
    from pycgroups.oci.runtime_spec import Process
    from pycgroups.runtime.state import CONFIG

    path = given.flags.get("process")
    if path and len(given.words) > 1:
        raise UsageError("either --process or a command")
    if not path and len(given.words) == 1:
        raise UsageError("process args cannot be empty")
    config: Any = parse(config_text(f"{container.directory}/{CONFIG}"), CONFIG)
    if path:
        document = completed(parse(config_text(path, pipe=True), path), config["process"])
    else:
        document = changed(config["process"], given.flags, given.words[1:])
    return part_of(Process, document, "process")


def completed(process: Any, own: dict[str, Any]) -> Any:
    """Return a process with what a container's processes have in common, as far as it says nothing of that.

    Args:
        process: a document.
        own: the container's own.
    """
    if not isinstance(process, dict):
        return process  # which the reader will refuse
    silent = [key for key in _IN_COMMON if process.get(key) in (None, "")]
    return {**process, **{key: own[key] for key in silent if key in own}}


def changed(process: dict[str, Any], flags: dict[str, Any], args: list[str]) -> dict[str, Any]:
    """Return a process of a config.json with what the flags say, as runc does.

    Args:
        process: the container's own.
        flags: by word.
        args: its program and arguments.
    """
    user = {**process.get("user", {}), **flags.get("user", {})}
    if "additional_gids" in flags:
        user["additionalGids"] = [*user.get("additionalGids", []), *flags["additional_gids"]]
    result = {
        **process,
        "args": args,
        "terminal": bool(flags.get("tty")),
        "user": user,
        "env": [*process.get("env", []), *flags.get("env", [])],
    }
    result.pop("consoleSize", None)
    for word, key in (
        ("cwd", "cwd"),
        ("apparmor", "apparmorProfile"),
        ("process_label", "selinuxLabel"),
        ("no_new_privs", "noNewPrivileges"),
    ):
        if word in flags:
            result[key] = flags[word]
    sets = process.get("capabilities", {})
    if flags.get("user", {}).get("uid"):
        # No more than execve(2) leaves to a user: what the process has before that, no_new_privs lets a file give it.
        kept = sets.get("ambient", [])
        sets = result["capabilities"] = {**sets, "effective": kept, "permitted": kept}
    if "cap" in flags:
        names = ["bounding", "effective", "permitted"]
        if sets.get("inheritable") is not None:  # without which there is nothing to be ambient
            names.append("ambient")
        more = {name: [*sets.get(name, []), *flags["cap"]] for name in names}
        result["capabilities"] = {**sets, **more}
    return result


COMMAND = Command(
    run,
    "[FLAGS] CONTAINER COMMAND [ARGUMENT ...]",
    "Run a program in a container, as isolated as the container's own. Unless it is detached, the exit code is that\n"
    "of the program, 128+n where signal n ended it; 255 says that it could not be started.",
    FLAGS,
    most=-1,
    failed=255,
)
