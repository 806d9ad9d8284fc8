"""A `Spec` as the text of a config.json, and as the file."""

from __future__ import annotations

import json
import os
from functools import lru_cache
from typing import TYPE_CHECKING

from pycgroups.errors import AlreadyExists, Error
from pycgroups.oci.checks import check

if TYPE_CHECKING:
    from pycgroups.oci.runtime_spec import Spec


def spec_text(spec: Spec) -> str:
    """Return the config.json, in ASCII; `pycgroups.oci.reading.read_spec` makes an equal Spec of it."""
    return json.dumps(spec.to_json(), indent="\t") + "\n"


@lru_cache(maxsize=64)  # a program may start the same container a thousand times
def checked_text(spec: Spec) -> bytes:
    """Return the config.json of a Spec that may contradict itself.

    Raises:
        InvalidConfig: it does; names the key path.
    """
    check(spec)
    return spec_text(spec).encode()


def write_spec(spec: Spec, path: str | os.PathLike[str]) -> None:
    """Write a bundle's config.json, readable for its owner alone: the environment in it may hold secrets.

    Raises:
        AlreadyExists: a file is there, and stays as it is.
        Error: the file system refused.
    """
    text = spec_text(spec)
    try:
        with open(path, "x", encoding="ascii", opener=_for_the_owner) as file:
            file.write(text)
    except FileExistsError as error:
        raise AlreadyExists(operation="write", path=path, errno=error.errno, hint="remove it first") from None
    except OSError as error:
        raise Error(operation="write", path=path, errno=error.errno) from error


def _for_the_owner(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)
