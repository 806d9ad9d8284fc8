"""What `reading` does, for a short command: objects with the attributes of the models, without loading the models.

The classes of the models take longer to make than a container takes to start. To a type checker these objects are the
models. Unknown properties are ignored: nobody writes these objects back.
"""

from __future__ import annotations

from pycgroups.oci.checks import check, check_process, check_resources
from pycgroups.oci.json_text import parse
from pycgroups.oci.reader import CONFIG, Reader, config_text, ignore
from pycgroups.oci.tables import MODELS

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from typing import Any

    from pycgroups.oci.runtime_spec import Spec

_CHECKS: dict[str, Callable[[Any, str], None]] = {"Process": check_process, "Resources": check_resources}


class Plain:
    """What a model is, by its attributes; equal and hashable by them, too."""

    __slots__ = ("__dict__", "_model")

    def __init__(self, model: str, fields: dict[str, Any]) -> None:
        self.__dict__ = fields
        self._model = model

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Plain) and self.__dict__ == other.__dict__ and self._model == other._model

    def __hash__(self) -> int:
        return hash(tuple(self.__dict__.values()))

    def __repr__(self) -> str:
        """Show what is set, as the models do."""
        rows = [(name, getattr(self, name), absent) for _, name, _, absent in MODELS[self._model]]
        return f"{self._model}({', '.join(f'{name}={value!r}' for name, value, absent in rows if value != absent)})"


_READER = Reader(Plain)


def load_spec(path: str | os.PathLike[str]) -> Spec:
    """Read a bundle's config.json, as `reading.load_spec` does."""
    return read_spec(config_text(path))


def read_spec(text: bytes | str) -> Spec:
    """Return what a config.json describes, as `reading.read_spec` does."""
    return spec_of(parse(text, CONFIG))


def spec_of(document: object) -> Spec:
    """Return what a config.json describes that `json_text.parse` gave."""
    spec: Spec = _READER.read("Spec", document, (), ignore)
    check(spec)
    return spec


def read(model: str, document: object, key: str) -> Any:
    """Return what a part of a config.json describes, and check it as if it stood in one.

    Args:
        model: ``Process``, as for ``exec``, or ``Resources``, as for ``update``.
        document: what `json_text.parse` gave.
        key: its key path, for errors.

    Raises:
        InvalidConfig: names the key path of what is missing, of a wrong type or range, or contradictory.
    """
    result: Any = _READER.read(model, document, (key,), ignore)
    _CHECKS[model](result, key)
    return result
