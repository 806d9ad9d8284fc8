"""``kill``: runtime.md, "Kill"."""

from __future__ import annotations

from pycgroups.cli.flags import Flag
from pycgroups.errors import InvalidConfig
from pycgroups.oci_cli.command import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal

    from pycgroups.oci_cli.command import Given
else:
    import _signal as signal  # signal itself loads enum, which takes longer than the command

FLAGS = (Flag("--all -a", "to all processes of the container, not only the first"),)
_TERM = "TERM"


def run(given: Given) -> int:
    """Send it."""
    number = signal_number(given.words[1] if len(given.words) > 1 else _TERM)
    given.container().kill(number, every=bool(given.flags.get("all")))
    return 0


def signal_number(text: str) -> int:
    """Read a signal: its number, or its name with or without SIG; signal(7).

    Raises:
        InvalidConfig: there is none.
    """
    name = text.upper().removeprefix("SIG")
    if text.isascii() and text.isdecimal():
        number = int(text)
    elif name.startswith(("RTMIN+", "RTMAX-")):
        start, offset = name[:5], name[6:]
        distance = int(offset) if offset.isascii() and offset.isdecimal() else signal.NSIG
        number = signal.SIGRTMIN + distance if start == "RTMIN" else signal.SIGRTMAX - distance
    else:
        # SIG_DFL and its like begin with SIG, too.
        number = -1 if name.startswith("_") else int(getattr(signal, f"SIG{name}", -1))
    if not 0 <= number < signal.NSIG:  # 0 asks whether there is somebody: kill(2)
        raise InvalidConfig(f"unknown signal {text!r}", operation="kill", hint="a number or a name of signal(7)")
    return number


COMMAND = Command(
    run,
    "CONTAINER [SIGNAL]",
    "Send a signal to the first process of a container; SIGTERM by default.",
    FLAGS,
    most=2,
)
