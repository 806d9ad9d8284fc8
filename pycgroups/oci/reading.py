"""JSON documents of the OCI specifications into the models of this room."""

from __future__ import annotations

from pycgroups.oci.checks import check, check_process, check_resources
from pycgroups.oci.json_text import keep, parse
from pycgroups.oci.reader import CONFIG, config_text, ignore, path_of, read, refuse

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping
    from functools import lru_cache
    from typing import Any, TypeVar

    from attrs import evolve

    from pycgroups.oci.model import Model
    from pycgroups.oci.reader import Keys
    from pycgroups.oci.runtime_spec import Spec

    M = TypeVar("M", bound=Model)
else:
    from pycgroups.caches import lru_cache
    from pycgroups.frozen import evolve

_CHECKS: dict[str, Callable[[Any, str], None]] = {"Process": check_process, "Resources": check_resources}


def load_spec(path: str | os.PathLike[str]) -> Spec:
    """Read a bundle's config.json; like `read_spec`.

    Raises:
        NotFound: there is no such file.
        InvalidConfig: it cannot be read, is no regular file, or is no config.json.
    """
    return read_spec(config_text(path))


def read_spec(text: bytes | str) -> Spec:
    """Return what a config.json describes.

    Properties that the specification does not have are kept in `Spec.extra` ("runtimes MUST ignore unknown
    properties"), so that reading, writing and reading again gives an equal `Spec`. Null, an empty string and an empty
    list are, as for runc, the same as leaving an optional property out: to no property of the specification it makes
    a difference.

    Args:
        text: JSON, as UTF-8 without a byte order mark when it is bytes; up to 16 MiB.

    Raises:
        InvalidConfig: names the key path of what is no JSON, missing, of a wrong type or range, or contradictory.
    """
    from pycgroups.oci.runtime_spec import Spec

    extra: list[tuple[Keys, str]] = []

    def remember(keys: Keys, value: object, _known: Mapping[str, object]) -> None:
        extra.append((keys, keep(value, path_of(keys))))

    spec: Spec = read(Spec, parse(text, CONFIG), (), remember)
    if extra:
        # In an order of their own: `to_json` appends them to what is known.
        spec = evolve(spec, extra=tuple(sorted(extra, key=lambda item: list(map(str, item[0])))))
    check(spec)
    return spec


def spec_of(document: object) -> Spec:
    """Return what a config.json describes that `json_text.parse` gave, without what nobody knows: to be run."""
    from pycgroups.oci.runtime_spec import Spec

    spec: Spec = read(Spec, document, (), ignore)
    check(spec)
    return spec


@lru_cache(16)  # of one container it is asked for again and again
def spec_of_text(text: bytes) -> Spec:
    """Do so with what is in its config.json."""
    return spec_of(parse(text, CONFIG))


def part_of(model: type[M], document: object, key: str) -> M:
    """Return what a part of a config.json describes, and check it as if it stood in one.

    Args:
        model: `Process`, as for ``exec``, or `Resources`, as for ``update``.
        document: what `json_text.parse` gave; unknown properties are ignored.
        key: its key path, for errors.

    Raises:
        InvalidConfig: names the key path of what is missing, of a wrong type or range, or contradictory.
    """
    result = from_json(model, document, key, strict=False)
    _CHECKS[model.__name__](result, key)
    return result


def from_json(model: type[M], document: object, key: str, *, strict: bool = True) -> M:
    """Return the model that ``document``, as `json.loads` gives it, describes.

    Args:
        model: a class of `pycgroups.oci`.
        document: a mapping; a property that is null counts as left out.
        key: the key path of the document, for errors.
        strict: an unknown property is an error, and not ignored: a seccomp profile in another dialect (docker's
            ``includes`` and ``excludes``) would otherwise be read as something weaker than its author meant.

    Raises:
        InvalidConfig: an unknown or missing property, or one of a wrong type; names its key path.
    """
    result: M = read(model, document, (key,), refuse if strict else ignore)
    return result
