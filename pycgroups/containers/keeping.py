"""What ties containers to the process that started them: a socket, whose end is theirs."""

from __future__ import annotations

import os

_keeper: tuple[int, int] | None = None


def socket() -> int:
    """Return the socket whose other end this process holds until it ends, for all its containers."""
    global _keeper  # noqa: PLW0603 (there is one process)
    if _keeper is None:
        import _socket

        ours, theirs = _socket.socketpair()
        _keeper = ours.detach(), theirs.detach()
    return _keeper[1]


def _forget() -> None:
    """A child that was forked is another process, and keeps nobody alive."""
    global _keeper
    ends, _keeper = _keeper, None
    for fd in ends or ():
        os.close(fd)


os.register_at_fork(after_in_child=_forget)
