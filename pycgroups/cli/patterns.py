"""Docker's ``--filter name=``: a regular expression, which is searched for in the name. Pure."""

from __future__ import annotations


def read(text: str) -> str:
    """Return an expression that `is_called` takes.

    Raises:
        ValueError: it is none.
    """
    import re  # few filter by names

    try:
        re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"name= and a regular expression, and that is none: {error}") from None
    return text


def is_called(name: str, pattern: str) -> bool:
    """Tell whether a name is meant; as in docker also with the slash that its names begin with: ``^/web$``."""
    import re

    return any(re.search(pattern, each) for each in (name, f"/{name}"))
