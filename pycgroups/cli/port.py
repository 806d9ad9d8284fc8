"""``pycgroups port``: where the programs of a container that is held listen."""

from __future__ import annotations

from pycgroups.cli import FAILED
from pycgroups.cli.flags import UsageError
from pycgroups.cli.tables import FORMAT, as_object, print_json
from pycgroups.cli.text import complain
from pycgroups.cli.usage import Usage
from pycgroups.errors import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycgroups.containers.ports import Port

USAGE = Usage(
    "port [FLAGS] CONTAINER [PORT[/tcp]]",
    """\
List the ports that a container listens on, and by which address the host reaches each: with --network host. In a
network of its own nothing of the host reaches them; they are named on stderr then.""",
    (FORMAT,),
    least=1,
    most=2,
)
_LARGEST = 65535


def main(arguments: list[str]) -> int:
    """Run the command; the exit code.

    Raises:
        Error: there is no such container, it does not run, or a UsageError.
    """
    asked = USAGE.read(arguments)
    if asked is None:
        return 0
    found, (name, *wanted) = asked
    number = _number(wanted[0]) if wanted else None
    from pycgroups import containers

    ports = [port for port in containers.get(name).ports() if number in {None, port.number}]
    if found.get("format") == "json":
        print_json([as_object(port) for port in ports])
    else:
        _print(ports, with_inner=number is None)
        _tell(name, [port for port in ports if port.host is None])
    if number is not None and not ports:
        complain(f"{name} does not listen on port {number}/tcp")
        return FAILED
    return 0 if number is None or any(port.host for port in ports) else FAILED


def _number(text: str) -> int:
    number, _, protocol = text.partition("/")
    is_short = number.isascii() and number.isdecimal() and len(number) <= len(str(_LARGEST))
    if not (is_short and 0 < int(number) <= _LARGEST and protocol in {"", "tcp"}):
        raise UsageError(f"{shown(text)} is no port; as 80 or 80/tcp")
    return int(number)


def _print(ports: list[Port], *, with_inner: bool) -> None:
    for port in ports:
        if port.host is not None:
            address, number = port.host
            host = f"[{address}]:{number}" if ":" in address else f"{address}:{number}"
            print(f"{port.number}/{port.protocol} -> {host}" if with_inner else host)


def _tell(name: str, hidden: list[Port]) -> None:
    """Name those that the host does not reach, apart from what a script reads."""
    if hidden:
        listed = ", ".join(dict.fromkeys(f"{port.number}/{port.protocol}" for port in hidden))
        complain(f"{name} listens on {listed}, in a network of its own, where nothing of the host reaches it")
