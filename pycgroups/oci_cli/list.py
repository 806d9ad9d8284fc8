"""``list``: the containers of a root."""

from __future__ import annotations

from pycgroups.cli.flags import Flag
from pycgroups.cli.text import escaped
from pycgroups.errors import Error, NotFound
from pycgroups.oci.json_text import dumps
from pycgroups.oci_cli.command import FORMAT, Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycgroups.oci_cli.command import Given
    from pycgroups.runtime import State

FLAGS = (FORMAT, Flag("--quiet -q", "names alone"))
_HEADER = ("ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER")
_NARROWEST, _GAP = 12, 3  # runc's


def run(given: Given) -> int:
    """Print them."""
    from pycgroups import runtime

    containers = runtime.containers(root=given.settings.root)
    if given.flags.get("quiet"):
        print("".join(f"{container.id}\n" for container in containers), end="")
        return 0
    states = []
    for container in containers:
        try:
            states.append(container.state())
        except NotFound:  # removed meanwhile, or not yet there
            continue
        except Error as error:  # one that is damaged hides no other
            given.settings.log.write("warning", str(error))
    if given.flags.get("format") == "json":
        print(dumps([state.to_json() for state in states]))
    else:
        print(table(states), end="")
    return 0


def table(states: list[State]) -> str:
    """Write a line for each, as wide as the widest; the name of a bundle steers no terminal."""
    cells = ((one.id, str(one.pid), one.status, escaped(one.bundle), one.created, one.owner) for one in states)
    rows = [_HEADER, *cells]
    widths = [max(_NARROWEST, _GAP + max(map(len, column))) for column in zip(*rows, strict=True)]
    widths[-1] = 0
    lines = ("".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "".join(f"{line}\n" for line in lines)


COMMAND = Command(run, "[FLAGS]", "List the containers of this root.", FLAGS, least=0, most=0)
