"""``pycgroups attach``, and ``start -a``: our terminal, or our streams, are those of a container that is held.

our keyboard  ->  a thread  ->  its stdin or terminal, which its monitor has lent us
its log       ->  here      ->  our screen
SIGWINCH      ->  its window size
other signals ->  its program, if it has no terminal; else we leave it
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import suppress

from pycgroups.cli import BY_SIGNAL, FAILED, shell_code, signals
from pycgroups.cli.console import raw, require_keyboard, window_size
from pycgroups.cli.flags import Flag
from pycgroups.cli.keys import CTRL_P_CTRL_Q, DETACH_KEYS, split
from pycgroups.cli.text import complain
from pycgroups.cli.usage import Usage
from pycgroups.errors import Error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple

    from pycgroups.containers.attaching import Attachment
    from pycgroups.containers.container import Container
else:
    from pycgroups.records import NamedTuple

_KEYBOARD = 0
_CHUNK = 65536
_DETACH = signal.SIGRTMIN  # our own, from the thread that reads the keyboard to the one that shows the output
_LEAVING = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT)

USAGE = Usage(
    "attach [FLAGS] CONTAINER",
    """\
Show what a container writes from now on, and hand on what is typed, if it was made with -i. This command's exit code is
the container's. If it has a terminal, ctrl-p ctrl-q leaves it, and it goes on; else Ctrl-C and other signals are passed
on, and --sig-proxy=false has them end this command alone. The end of our stdin is the end of its own.""",
    (
        DETACH_KEYS,
        Flag("--no-stdin", "hand on nothing"),
        Flag("--sig-proxy", "hand on signals to a container without a terminal; on unless =false"),
    ),
    least=1,
    most=1,
)


class Wishes(NamedTuple):
    """How to join a container."""

    start: bool = False
    interactive: bool = True
    sig_proxy: bool = True
    detach_keys: bytes = CTRL_P_CTRL_Q


class _Leave(BaseException):  # no error: it is to be caught here alone
    """The container goes on without us."""

    def __init__(self, code: int) -> None:
        self.code = code


def main(arguments: list[str]) -> int:
    """Run the command; the exit code.

    Raises:
        Error: of the kinds that `Container.attach` names, or a UsageError.
    """
    asked = USAGE.read(arguments)
    if asked is None:
        return 0
    found, (name,) = asked
    from pycgroups import containers

    wishes = Wishes(interactive=not found.pop("no_stdin", False), **found)
    return join(containers.get(name), wishes)


def join(held: Container, wishes: Wishes) -> int:
    """Join a container until it ends, or somebody leaves it; the exit code.

    Raises:
        Error: of the kinds that `Container.attach` names.
        UsageError: it has a terminal that would be typed at, and we have none.
    """
    facts = held.inspect()
    if wishes.interactive and facts["stdin_open"] and facts["config"].get("tty"):
        require_keyboard()
    try:
        code = _join(held, wishes, starts=wishes.start and facts["state"]["status"] != "running")
        _overhear()
    except _Leave as left:
        return left.code
    if code is None:
        complain(f"{held.short_id}: nobody saw how it ended")
        return FAILED
    return shell_code(code)


def _join(held: Container, wishes: Wishes, *, starts: bool) -> int | None:
    joined = None
    try:
        with signals.held_back():
            joined = held.attach(start=starts)
            typing = wishes.interactive and joined.interactive
            _settle_signals(held, proxy=wishes.sig_proxy and not joined.tty)
        with raw(wanted=typing and joined.tty):
            if joined.tty:
                _fit(joined)
                signal.signal(signal.SIGWINCH, lambda *_: _fit(joined))
            if typing:
                keys = wishes.detach_keys if joined.tty and os.isatty(_KEYBOARD) else b""
                threading.Thread(target=_type, args=(joined, keys), name="pycgroups-typing", daemon=True).start()
            _show(joined)
            return joined.exit_code
    finally:
        if joined is not None:
            joined.close()


def _settle_signals(held: Container, *, proxy: bool) -> None:
    def leave(number: int, _: object) -> None:
        _overhear()  # nothing is to come between the end and the terminal as it was
        raise _Leave(0 if number == _DETACH else BY_SIGNAL + number)

    def kill(number: int) -> None:
        with suppress(Error):  # it has ended
            held.kill(number)

    signals.none_overslept()
    if proxy:
        signals.hand_on(kill)
    # That our terminal is gone is no wish to end what others may be attached to.
    for number in (signal.SIGHUP, _DETACH) if proxy else (signal.SIGHUP, _DETACH, *_LEAVING):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, leave)


def _overhear() -> None:
    for number in (signal.SIGHUP, signal.SIGCONT, _DETACH, *_LEAVING):
        if signal.getsignal(number) not in {signal.SIG_IGN, signal.SIG_DFL}:
            signal.signal(number, signals.overhear)


def _show(joined: Attachment) -> None:
    for stream, data in joined:
        out = sys.stderr.buffer if stream == "stderr" else sys.stdout.buffer
        out.write(data)
        out.flush()


def _fit(joined: Attachment) -> None:
    size = window_size()
    if any(size):
        with suppress(Error):  # it has ended
            joined.resize(*size)


def _type(joined: Attachment, keys: bytes) -> None:
    """Hand on what is typed; a thread's: whoever does not read holds up nothing else."""
    with suppress(Error, OSError):  # it reads no more, or the keyboard is gone
        held_back = b""
        while data := os.read(_KEYBOARD, _CHUNK):
            data, held_back, is_leaving = split(held_back + data, keys)
            if data:
                joined.write(data)
            if is_leaving:
                signal.pthread_kill(threading.main_thread().ident or 0, _DETACH)
                return
        joined.end_input()
