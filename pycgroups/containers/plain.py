"""Values that come back from a program which is not trusted: pickles of plain data and of exceptions.

A pickle can call whatever it names. So what it may name is in a list here, and exceptions of modules that the caller
has loaded are as well: to make one calls nothing but their own constructor.
"""

from __future__ import annotations

import io
import pickle  # the list below is what makes it bearable
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_ALLOWED = {
    "builtins": {"bytearray", "complex", "frozenset", "range", "set", "slice"},
    "collections": {"Counter", "OrderedDict", "deque"},
    "datetime": {"date", "datetime", "time", "timedelta", "timezone"},
    "decimal": {"Decimal"},
    "fractions": {"Fraction"},
    "pathlib": {"PosixPath", "PurePosixPath"},
    "pathlib._local": {"PosixPath", "PurePosixPath"},  # Python 3.13
    "uuid": {"UUID"},
    "pycgroups.errors": {"_rebuild"},  # makes an exception of ours
}


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Return what a pickle names, if it may."""
        if name in _ALLOWED.get(module, ()):
            return super().find_class(module, name)
        found: Any = sys.modules.get(module)
        for word in name.split("."):
            found = vars(found).get(word) if hasattr(found, "__dict__") else None
        if isinstance(found, type) and issubclass(found, BaseException):
            return found
        raise pickle.UnpicklingError(f"it holds a {module}.{name}, and is to be plain data")


def loads(data: bytes) -> Any:
    """Unpickle it.

    Raises:
        Exception: whatever a broken pickle makes the reader raise; `pickle.UnpicklingError` if it is not plain.
    """
    return _Reader(io.BytesIO(data)).load()
