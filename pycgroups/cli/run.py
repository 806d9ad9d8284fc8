"""``pycgroups run``: docker's, with the streams of the command itself."""

from __future__ import annotations

import sys

from pycgroups.cli import TIMED_OUT, health, options, shell_code
from pycgroups.cli.flags import Flag, UsageError
from pycgroups.cli.text import complain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from attrs import evolve

    from pycgroups.containers.config import ContainerConfig
    from pycgroups.containers.job import Outcome
else:
    from pycgroups.frozen import evolve

OWN = (
    Flag(
        "--interactive -i",
        "pass our stdin to the program; with -d, that of whoever attaches. Without it stdin is empty",
    ),
    Flag("--detach -d", "start it, tell its id, and leave it to itself; see pycgroups ps"),
    Flag("--rm", "with -d: remove the container when it ends (without -d that always happens)"),
    Flag(
        "--restart",
        "with -d, start it again when it has ended: no, on-failure[:MOST], always, unless-stopped",
        value="POLICY",
    ),
    *health.FLAGS,
    Flag("--usage", "tell on stderr, at the end, why it ended and what it took"),
    Flag("--quiet -q", "show nothing of how the image is fetched"),
)
ABOUT = """\
Run a program in a container of its own. Its exit code is this command's; else 124 says that the timeout passed, 125
that pycgroups failed, 126 that the program cannot be executed, 127 that there is none, 128+n that signal n ended it.

stdout and stderr are the command's own, unless -t gives the program a terminal: job control, Ctrl-C and Ctrl-Z are
then inside. Without -t, signals are passed on; the third Ctrl-C or SIGTERM within two seconds kills."""

_STOPPED = {
    "timeout": "the time was up, and everything in the container was killed",
    "oom": "the memory limit was hit",
    "pids": "the limit of processes was hit",
    "disk": "the limit of what may be written was hit",
}


def main(arguments: list[str]) -> int:
    """Run the command; the exit code.

    Raises:
        Error: of the kinds that `pycgroups.run` names, or a UsageError.
    """
    words, own = options.read("run", arguments, OWN)
    if "help" in own:
        print(options.usage("run", ABOUT, OWN), end="")
        return 0
    from pycgroups.containers.config import ContainerConfig

    if own.get("detach"):
        return _detach(words, own)
    if own.get("restart", "no") != "no":
        raise UsageError("flag '--restart': with -d, as this command tells of the first end")
    if "log" in words:
        raise UsageError("flags '--log-driver' and '--log-opt': with -d, as nothing is kept of what this one writes")
    if (health.asked(own) or {}).keys() - {"test"} or own.get("health_cmd"):
        raise UsageError("flags '--health-...': with -d, as nobody asks for the health of this one")
    interactive = bool(own.get("interactive"))
    if interactive and words.get("tty"):
        from pycgroups.cli.console import require_keyboard

        require_keyboard()
    config = with_image(ContainerConfig(**words), quiet=bool(own.get("quiet")))
    if config.tty:
        from pycgroups.cli import terminal

        outcome = terminal.run(config, interactive=interactive)
    else:
        from pycgroups.cli import plain

        outcome = plain.run(config, interactive=interactive)
    _report(outcome, usage=bool(own.get("usage")))
    return exit_code(outcome)


def _detach(words: dict[str, Any], own: dict[str, Any]) -> int:
    from pycgroups.containers import collection
    from pycgroups.containers.config import ContainerConfig

    with_image(ContainerConfig(**words), quiet=bool(own.get("quiet")))
    made = collection.default().started(
        detach=True,
        remove=bool(own.get("rm")),
        stdin_open=bool(own.get("interactive")),
        restart=own.get("restart", "no"),
        healthcheck=health.asked(own),
        **words,
    )
    print(made.id)
    return 0


def with_image(config: ContainerConfig, *, quiet: bool) -> ContainerConfig:
    """Fetch the image, where that is to be, and show how far it is.

    Raises:
        Error: of the kinds that `pycgroups.images.pull` names.
    """
    if not isinstance(config.image, str) or config.image == "host":
        return config
    from pycgroups.cli import progress
    from pycgroups.containers.image_root import find
    from pycgroups.errors import Error

    try:
        with progress.shown({"quiet": quiet}) as told:
            return evolve(config, image=find(config, progress=told))
    except Error as error:
        options.taken_for_image(error, config.image)
        raise


def exit_code(outcome: Outcome) -> int:
    """Return the code by which docker, timeout(1) and a shell tell of such an end."""
    if outcome.reason == "timeout":
        return TIMED_OUT
    return shell_code(outcome.returncode)


def _report(outcome: Outcome, *, usage: bool) -> None:
    if outcome.unenforced:
        complain(f"not in force on this host: {', '.join(outcome.unenforced)} (pycgroups doctor tells why)")
    if usage:
        sys.stderr.write(table(outcome))
    elif outcome.reason in _STOPPED:
        complain(f"{outcome.reason}: {_STOPPED[outcome.reason]}")


def table(outcome: Outcome) -> str:
    """Write the verdict and the usage, a line for each figure."""
    usage = outcome.usage
    rows = {
        "reason": f"{outcome.reason}, {_STOPPED[outcome.reason]}" if outcome.reason in _STOPPED else outcome.reason,
        "returncode": str(shell_code(outcome.returncode)),
        "hits": ", ".join(f"{name} {count}" for name, count in outcome.hits.items() if count) or "none",
        "wall time": f"{usage.wall_time:.3f} s",
        "cpu time": f"{usage.cpu_time:.3f} s (user {usage.user_time:.3f}, system {usage.system_time:.3f})",
        "peak memory": "not counted" if usage.peak_memory is None else _size(usage.peak_memory),
        "read": _size(usage.io_read),
        "written": _size(usage.io_written),
        "processes": "not counted" if usage.processes is None else str(usage.processes),
    }
    return "".join(f"{name.ljust(12)}{value}\n" for name, value in rows.items())


def _size(count: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:  # noqa: PLR2004 (powers of 1024)
            return f"{count:.4g} {unit}"
        count /= 1024
    return f"{count:.4g} GiB"
