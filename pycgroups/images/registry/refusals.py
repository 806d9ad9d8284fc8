"""What went wrong with a registry, as our errors: what it says is cleaned and cut short before anybody sees it."""

from __future__ import annotations

from pycgroups.errors import InvalidConfig, RegistryError
from pycgroups.oci.json_text import parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LARGEST_REFUSAL = 64 * 2**10
"""Bytes of the body of an answer that are looked at for a message."""
_LONGEST_MESSAGE = 300
_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})

_REASONS = {
    400: "bad request",
    401: "not logged in, or not allowed",
    403: "not allowed",
    404: "not there",
    405: "not supported there",
    413: "too large for it",
    416: "no such range",
    429: "too many requests",
    500: "internal error",
    502: "bad gateway",
    503: "not available",
    504: "gateway timeout",
}


class Transient(RegistryError):
    """May go better at another try.

    Attributes:
        asked: the seconds that the registry wants to be left alone, or None.
    """

    asked: float | None = None


def broken(operation: str, path: object, why: str, hint: str | None = None) -> Transient:
    """Make the error for a connection that failed."""
    return Transient(why, operation=operation, path=str(path), hint=hint)


def refusal(
    operation: str, path: object, status: int, body: bytes, *, host: str, asked: float | None = None
) -> RegistryError:
    """Make the error for an answer that is none.

    Args:
        operation: the request's method.
        path: its URL.
        status: of the answer.
        body: the beginning of its body.
        host: as it was named by the user, for the hint.
        asked: seconds of its ``Retry-After``.
    """
    code, said = _said(body)
    reason = _REASONS.get(status, "refused" if 400 <= status < 600 else "no answer that was expected")  # noqa: PLR2004
    message = f"{status} {reason}{f', {code}' if code else ''}{f': {said}' if said else ''}"
    kind = Transient if status in _TRANSIENT else RegistryError
    error = kind(message, operation=operation, path=str(path), hint=_hint(status, host))
    error.status, error.code = status, code
    if isinstance(error, Transient):
        error.asked = asked
    return error


def _hint(status: int, host: str) -> str | None:
    if status in {401, 403}:
        return f"pycgroups login {host}; a repository that does not exist may be refused like this, too"
    if status == 429:  # noqa: PLR2004
        return f"wait, or pycgroups login {host}: accounts may ask more often"
    return None


def _said(body: bytes) -> tuple[str | None, str]:
    """Find the registry's code and message; distribution-spec, "Error Codes". Anything else is taken as text."""
    try:
        errors = _list(parse(body, "answer"))
        first = errors[0] if errors and isinstance(errors[0], dict) else {}
        code, message = first.get("code"), first.get("message")
        if isinstance(code, str) or isinstance(message, str):
            return cleaned(str(code or ""), 60) or None, cleaned(str(message or ""))
    except (InvalidConfig, RecursionError):
        pass
    return None, cleaned(body[: 8 * _LONGEST_MESSAGE].decode(errors="replace"))


def _list(document: Any) -> list[Any]:
    errors = document.get("errors") if isinstance(document, dict) else None
    if errors is None and isinstance(document, dict):  # token services
        return [
            {"code": document.get("error"), "message": document.get("details") or document.get("error_description")}
        ]
    return errors if isinstance(errors, list) else []


def cleaned(text: str, longest: int = _LONGEST_MESSAGE) -> str:
    """Make one printable line of what others wrote."""
    line = "".join([char if char.isprintable() else " " for char in text[: 8 * longest]])
    line = " ".join(line.split())
    return line if len(line) <= longest else f"{line[: longest - 3]}..."
