"""``pycgroups top``: the processes of a container that is held."""

from __future__ import annotations

from pycgroups.cli.tables import FORMAT, as_object, print_json, print_table, size
from pycgroups.cli.usage import Usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycgroups.containers.top import ProcessInfo

USAGE = Usage(
    "top [FLAGS] CONTAINER",
    """\
List the processes of a container. PID is what the host knows them by, and INNER what the container does; USER is the
container's, %CPU is over the whole life of the process.""",
    (FORMAT,),
    least=1,
    most=1,
)
_COLUMNS = ("USER", "PID", "INNER", "PPID", "%CPU", "RSS", "STATE", "TIME", "COMMAND")
_MINUTE = 60


def main(arguments: list[str]) -> int:
    """Run the command; the exit code.

    Raises:
        Error: there is no such container, it does not run, or a UsageError.
    """
    asked = USAGE.read(arguments)
    if asked is None:
        return 0
    found, (name,) = asked
    from pycgroups import containers

    listed = containers.get(name).top()
    if found.get("format") == "json":
        print_json([as_object(process) for process in listed])
    else:
        print_table(_COLUMNS, [_row(process) for process in listed], right=("PID", "INNER", "PPID", "%CPU", "RSS"))
    return 0


def _row(process: ProcessInfo) -> list[str]:
    return [
        process.user,
        str(process.pid),
        str(process.inner_pid),
        str(process.parent),
        f"{process.cpu_percent:.1f}",
        size(process.rss),
        process.state,
        f"{int(process.cpu_time) // _MINUTE}:{process.cpu_time % _MINUTE:05.2f}",
        process.command,
    ]
