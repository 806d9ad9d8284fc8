"""``os`` as far as it is C: to load the rest of it, which few commands use, takes a twentieth of the time of one.

The modules of a bundle have it instead. Whoever asks it for more gets that from the whole one, which is loaded then.
"""

from __future__ import annotations

import _stat
import posix
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import MappingProxyType, ModuleType
    from typing import Any
else:
    MappingProxyType, ModuleType = type(vars(type)), type(sys)

_NAME = "os"
_CODING = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()


class _Light(ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name == "environ":  # to be read; what changes it needs the whole one
            return MappingProxyType({_fsdecode(key): _fsdecode(value) for key, value in posix.environ.items()})
        found = getattr(__import__(_NAME), name)
        vars(self)[name] = found
        return found


def _fsencode(name: str | bytes) -> bytes:
    path = posix.fspath(name)
    return path.encode(*_CODING) if isinstance(path, str) else path


def _fsdecode(name: str | bytes) -> str:
    path = posix.fspath(name)
    return path.decode(*_CODING) if isinstance(path, bytes) else path


def _made() -> _Light:
    made = _Light(_NAME)
    of_c = {name: each for name, each in vars(posix).items() if not name.startswith("__")}
    del of_c["environ"]
    vars(made).update(of_c, fsencode=_fsencode, fsdecode=_fsdecode)
    lent = {name: light for name, light in ((_NAME, made), ("stat", _stat)) if name not in sys.modules}
    sys.modules.update(lent)
    import posixpath  # does with what there is of them

    for name in lent:
        del sys.modules[name]
    vars(made)["path"] = posixpath
    return made


light = _made()
