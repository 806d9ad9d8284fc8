"""Where the command tells of errors: stderr, or the file that its caller reads; the lines are runc's.

conmon and containerd show their users the message of the last line of level "error".
"""

from __future__ import annotations

import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple
else:
    from pycgroups.records import NamedTuple

FORMATS = ("text", "json")
LEVELS = ("error", "warning", "info", "debug")
"""From the fewest lines to the most."""

_ESCAPED = {"\\": r"\\", '"': r"\"", "\n": r"\n", "\t": r"\t", "\r": r"\r"}


class Log(NamedTuple):
    """How to log.

    Attributes:
        path: the file that lines are appended to; empty for stderr.
        form: "text" or "json".
        level: the least urgent of `LEVELS` that is written.
    """

    path: str = ""
    form: str = "text"
    level: str = "warning"

    def fail(self, message: str) -> None:
        """Tell why the command fails. Where there is a file, people at the terminal are told as well, as runc does."""
        self.write("error", message)
        if self.path:
            _say(f"{_printable(message)}\n")

    def write(self, level: str, message: str) -> None:
        """Append a line. A file that cannot be written is told of, and changes nothing else."""
        if LEVELS.index(level) > LEVELS.index(self.level):
            return
        line = self._line(level, message)
        if not self.path:
            _say(line)
            return
        try:
            fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            try:
                os.write(fd, line.encode())
            finally:
                os.close(fd)
        except OSError as error:
            _say(f"cannot write the log {_printable(self.path)}: {error.strerror}\n")

    def _line(self, level: str, message: str) -> str:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        if self.form == "json":
            from pycgroups.oci.json_text import dumps

            return dumps({"level": level, "msg": message, "time": now}) + "\n"
        return f'time="{now}" level={level} msg="{_quoted(message)}"\n'


def _say(text: str) -> None:
    """Write to stderr, where perhaps nobody listens: containerd closes the pipe of a pod's before it starts us."""
    try:
        sys.stderr.write(text)
    except OSError:
        return


def _quoted(text: str) -> str:
    """Write a text as Go's strconv.Quote does, without its quotes."""
    if text.isprintable() and '"' not in text and "\\" not in text:
        return text
    return "".join([_ESCAPED.get(char) or (char if char.isprintable() else ascii(char)[1:-1]) for char in text])


def _printable(text: str) -> str:
    from pycgroups.cli.text import escaped

    return escaped(text)
