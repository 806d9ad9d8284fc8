"""``pycgroups start|stop|restart|kill|pause|unpause|rm|wait|rename``: one thing done to containers that are held."""

from __future__ import annotations

from pycgroups.cli import FAILED, shell_code
from pycgroups.cli.flags import Flag, UsageError
from pycgroups.cli.keys import CTRL_P_CTRL_Q, DETACH_KEYS
from pycgroups.cli.text import complain
from pycgroups.cli.usage import Usage
from pycgroups.errors import Error, NotFound, StateError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NamedTuple

    from pycgroups.containers.container import Container
else:
    from pycgroups.records import NamedTuple

_NAMES = "CONTAINER is a name, an id, or the beginning of one."


class Verb(NamedTuple):
    """What is done, with the values of the flags; what it returns is printed, and the name where that is None."""

    about: str
    act: Callable[[Container, dict[str, Any]], object]
    flags: tuple[Flag, ...] = ()


def _seconds(text: str) -> float:
    """Read how long to wait; no end is 30 years from now."""
    from pycgroups.containers.values import LONGEST_TIME

    try:
        number = float(text)
    except ValueError:
        number = LONGEST_TIME + 1
    if not number <= LONGEST_TIME:  # nor is nan
        raise ValueError(f"a number of seconds up to {LONGEST_TIME}, or -1 for no end")
    return float(LONGEST_TIME) if number < 0 else number


def _start(held: Container) -> None:
    """Start it, unless it runs."""
    try:
        held.start()
    except StateError:
        if held.status != "running":
            raise


def _signal(text: str) -> int:
    from pycgroups.containers.options import signal_number
    from pycgroups.errors import InvalidConfig

    try:
        return signal_number(text, "signal")
    except InvalidConfig:
        raise ValueError("a signal's number or name, as TERM") from None


_TIME = Flag(
    "--time -t --timeout",
    "seconds to wait before SIGKILL, -1 for no end; default: its --stop-timeout, else 10",
    value="SECONDS",
    read=_seconds,
)
VERBS = {
    "start": Verb(
        "Start containers, stopped ones anew; those that run go on.",
        lambda held, _: _start(held),
        (
            Flag("--attach -a", "one container: show what it writes; the exit code is its own; see pycgroups attach"),
            Flag("--interactive -i", "likewise, and pass our stdin to it"),
            DETACH_KEYS,
            Flag(
                "--after-boot",
                "those with --restart always or unless-stopped, once the machine is up: no daemon does that",
            ),
        ),
    ),
    "stop": Verb(
        "Stop containers: their stop signal, then SIGKILL.",
        lambda held, f: held.stop(f.get("time"), signal=f.get("signal")),
        (_TIME, Flag("--signal -s", "instead of their stop signal", value="SIGNAL", read=_signal)),
    ),
    "restart": Verb("Stop containers, and start them.", lambda held, f: held.restart(f.get("time")), (_TIME,)),
    "kill": Verb(
        "Send a signal to the programs of containers.",
        lambda held, f: held.kill(f.get("signal", 9)),
        (Flag("--signal -s", "which; KILL by default", value="SIGNAL", read=_signal),),
    ),
    "pause": Verb("Freeze all processes of containers.", lambda held, _: held.pause()),
    "unpause": Verb("Let the processes of containers go on.", lambda held, _: held.resume()),
    "rm": Verb(
        "Remove containers, with what they have written.",
        lambda held, f: held.remove(force=bool(f.get("force"))),
        (
            Flag("--force -f", "kill those that run, and remove damaged ones; one that is not there is no failure"),
            Flag("--volumes -v", "for docker's sake: all volumes have names here, and stay"),
        ),
    ),
    "wait": Verb("Wait for the end of containers, and tell their exit codes.", lambda held, _: shell_code(held.wait())),
}


def main(arguments: list[str], name: str) -> int:
    """Run the command of this name; the exit code: 1 when one of several failed.

    Raises:
        UsageError: a flag is wrong.
    """
    if name == "rename":
        return _rename(arguments)
    verb = VERBS[name]
    line = f"{name} [FLAGS] CONTAINER [CONTAINER ...]"
    asked = Usage(line, f"{verb.about}\n\n{_NAMES}", verb.flags).read(arguments)
    if asked is None:
        return 0
    found, words = asked
    if name == "start" and (found.get("attach") or found.get("interactive")):
        return _start_attached(words, found)
    if bool(words) == bool(found.get("after_boot")):
        raise UsageError(f"it is: pycgroups {line}; see --help")
    from pycgroups import containers

    words = words or [container.id for container in containers.after_boot()]
    failed = False
    for word in words:
        try:
            told = verb.act(containers.get(word), found)
            print(word if told is None else told, flush=True)  # the next one may take long: wait, stop
        except Error as error:
            complain(str(error))
            failed = failed or not (found.get("force") and isinstance(error, NotFound))
    return FAILED if failed else 0


def _start_attached(words: list[str], found: dict[str, Any]) -> int:
    from pycgroups import containers
    from pycgroups.cli.attach import Wishes, join

    if len(words) != 1:
        raise UsageError("flags '--attach', '--interactive': one container only")
    keys = found.get("detach_keys", CTRL_P_CTRL_Q)
    wishes = Wishes(start=True, interactive=bool(found.get("interactive")), detach_keys=keys)
    return join(containers.get(words[0]), wishes)


def _rename(arguments: list[str]) -> int:
    asked = Usage("rename CONTAINER NAME", f"Give a container another name.\n\n{_NAMES}", least=2, most=2).read(
        arguments
    )
    if asked is None:
        return 0
    from pycgroups import containers

    container, name = asked[1]
    containers.get(container).rename(name)
    return 0
