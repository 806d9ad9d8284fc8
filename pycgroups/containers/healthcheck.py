"""`Healthcheck`: how it is found out whether a container does its work, with Docker's words and meaning. Pure."""

from __future__ import annotations

from pycgroups.containers import values
from pycgroups.errors import InvalidConfig, invalid
from pycgroups.frozen import brief

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from attrs import field, fields, frozen

    from pycgroups.oci.image_spec import ImageDefaults, ImageHealthcheck
else:
    from pycgroups.frozen import field, fields, frozen

NONE = "NONE"
_SHELL = ("/bin/sh", "-c")
_DEFAULTS = {"interval": 30.0, "timeout": 30.0, "start_period": 0.0, "start_interval": 5.0, "retries": 3}
_MOST_RETRIES = 10**6
_LONGEST = 10**6  # seconds; the monitor has milliseconds in 32 bits
_NANO = 10**9


def _as_given(value: Any) -> Any:
    """Let type checkers accept what `_PARSERS` will turn into the type of the field."""
    return value


@frozen(kw_only=True)
class Healthcheck:
    """A check that is executed in a container now and then, as its own program is, and says whether that is well.

    What is None is as the image says, or else as by default; so it is in Docker. Times are seconds.

    Attributes:
        test: a command for a shell (the image's, or /bin/sh), or ``["CMD", PROGRAM, ARGUMENTS...]``,
            ``["CMD-SHELL", COMMAND]``, ``["NONE"]`` for no check. It exits with 0 if all is well.
        interval: from the end of one check to the next, and from the start to the first; default 30.
        timeout: after which a check is killed, and all is not well; default 30.
        start_period: after the start a check may fail for so long, and does not count; default 0.
        start_interval: that period's own interval; default 5.
        retries: so many that fail, one after the other, make it unhealthy; default 3.

    Raises:
        InvalidConfig: one is of a wrong type or out of range.
    """

    __repr__ = brief

    test: tuple[str, ...] | None = field(default=None, converter=_as_given)
    interval: float | None = field(default=None, converter=_as_given)
    timeout: float | None = field(default=None, converter=_as_given)
    start_period: float | None = field(default=None, converter=_as_given)
    start_interval: float | None = field(default=None, converter=_as_given)
    retries: int | None = field(default=None, converter=_as_given)

    def __attrs_post_init__(self) -> None:
        """Turn each into its normal form."""
        for name, parse in _PARSERS.items():
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, parse(value, f"healthcheck.{name}"))


def read(value: object) -> Healthcheck | None:
    """Take what the option ``healthcheck`` may be: a `Healthcheck`, a dict of its words, a command for a shell, None.

    Raises:
        InvalidConfig: it is none of these.
    """
    if value is None or isinstance(value, Healthcheck):
        return value
    if isinstance(value, str):
        return Healthcheck(test=value)
    if isinstance(value, dict):
        words = [field.name for field in fields(Healthcheck)]
        for word in value:
            values.choice(word, "healthcheck", words)
        return Healthcheck(**value)
    raise invalid("healthcheck", value, "a Healthcheck, a dict of its words, or a command for a shell")


def settle(asked: Healthcheck | None, image: ImageDefaults | None) -> dict[str, Any]:
    """Return the check that a container has, with what its image says, as JSON; empty for none.

    Beside the words of `Healthcheck` it has ``command``, what is executed.

    Raises:
        InvalidConfig: there is no test, or the image has one that is none.
    """
    own = None if image is None or image.healthcheck is None else _of_image(image.healthcheck)
    given = [each for each in (asked, own) if each is not None]
    if not given:
        return {}
    found = {name: _first(getattr(each, name) for each in given) for name in _PARSERS}
    test = found["test"]
    if test is None:
        message = "there is no test, and the image has none either"
        raise InvalidConfig(message, operation="option", path="healthcheck.test")
    if test[0] == NONE:
        return {}
    shell = (image.shell if image is not None else ()) or _SHELL
    command = test[1:] if test[0] == "CMD" else (*shell, test[1])
    settled = {name: default if found[name] is None else found[name] for name, default in _DEFAULTS.items()}
    return {"test": list(test), "command": list(command), **settled}


def _first(found: Iterable[Any]) -> Any:
    return next((value for value in found if value is not None), None)


def _of_image(image: ImageHealthcheck) -> Healthcheck:
    """Read what an image says; 0 is nothing said there."""
    names = ("interval", "timeout", "start_period", "start_interval")
    times = {name: getattr(image, name) / _NANO or None for name in names}
    return Healthcheck(test=image.test or None, retries=image.retries or None, **times)


def _test(value: object, key: str) -> tuple[str, ...]:
    if isinstance(value, str):
        return "CMD-SHELL", values.text(value, key)
    allowed = "a command for a shell, ['CMD', PROGRAM, ...], ['CMD-SHELL', COMMAND] or ['NONE']"
    words = tuple(values.text(word, key) for word in values.items(value, key, allowed))
    kind, count = words[:1], len(words)
    if (kind == ("CMD",) and count > 1) or (kind == ("CMD-SHELL",) and count == 2) or words == (NONE,):  # noqa: PLR2004
        return words
    raise invalid(key, value, allowed)


def _time(value: object, key: str) -> float:
    return min(values.seconds(value, key), _LONGEST)


_PARSERS: dict[str, Callable[[Any, str], Any]] = {
    "test": _test,
    "interval": _time,
    "timeout": _time,
    "start_period": lambda value, key: min(values.seconds(value, key, zero=True), _LONGEST),
    "start_interval": _time,
    "retries": lambda value, key: values.integer(value, key, 1, _MOST_RETRIES),
}
