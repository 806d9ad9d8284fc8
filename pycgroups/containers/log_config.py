"""`LogConfig`: how the output of a container that is held is kept."""

from __future__ import annotations

from pycgroups.cgroups.limits import parse_size
from pycgroups.containers import values
from pycgroups.errors import invalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Literal

    from attrs import field, frozen
else:
    from pycgroups.frozen import field, frozen

FORMS = ("json", "plain")
MOST_FILES = 999
SMALLEST = 4096


def _as_given(value: Any) -> Any:
    """Let type checkers accept what is parsed below."""
    return value


@frozen
class LogConfig:
    """How the output of a container that is held is kept.

    A log that reaches its size is renamed, ``log`` to ``log.1`` and so on, and the oldest file goes: what a program
    writes cannot fill the disk.

    Attributes:
        form: "json", the default, is Docker's json-file, in which bytes that are not UTF-8 become U+FFFD; "plain" is
            the CRI's, which has all bytes as they are.
        max_bytes: the size of a file of the log, 4096 at least, or as "20M", the default; None for no limit.
        max_files: so many of them there are at most, 1 to 999; default 5.

    Raises:
        InvalidConfig: one of them is none of these.
    """

    form: Literal["json", "plain"] = field(default="json", converter=_as_given)
    max_bytes: int | None = field(default=20 * 2**20, converter=_as_given)
    max_files: int = field(default=5, converter=_as_given)

    def __attrs_post_init__(self) -> None:
        """Turn each into its normal form."""
        made = vars(self)
        made["form"] = values.choice(self.form, "log.form", FORMS)
        if self.max_bytes is not None:
            made["max_bytes"] = parse_size("log.max_bytes", self.max_bytes, least=SMALLEST)
        made["max_files"] = values.integer(self.max_files, "log.max_files", 1, MOST_FILES)


DEFAULT = LogConfig()


def parse(value: Any, key: str) -> LogConfig:
    """Take a `LogConfig`, its form alone, or a dict of its attributes, or these in pairs."""
    if isinstance(value, LogConfig):
        return value
    if isinstance(value, str):
        values.choice(value, key, FORMS)
        return LogConfig(value)
    try:
        given = dict(value)
    except (TypeError, ValueError):
        given = {"": ""}
    if not given.keys() <= vars(DEFAULT).keys():
        raise invalid(key, value, "a LogConfig, 'json' or 'plain'")
    return LogConfig(**given)
