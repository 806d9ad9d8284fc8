"""``ps``: the processes of a container, by their pids outside."""

from __future__ import annotations

from pycgroups.errors import Unsupported
from pycgroups.oci.json_text import dumps
from pycgroups.oci_cli.command import FORMAT, Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pycgroups.oci_cli.command import Given


def run(given: Given) -> int:
    """Print them."""
    pids = given.container().processes()
    if given.flags.get("format") == "json":
        print(dumps(list(pids)))
    else:
        print(table(listing(given.words[1:] or ["-ef"]), pids), end="")
    return 0


def listing(options: Sequence[str]) -> str:
    """Return what ps(1) prints.

    Raises:
        Unsupported: it is not installed.
        Error: it refused, and said why on stderr.
    """
    import subprocess

    try:
        done = subprocess.run(["ps", *options], stdout=subprocess.PIPE, check=False)  # noqa: S607 (where the caller has it)
    except FileNotFoundError:
        raise Unsupported("there is no ps", operation="ps", hint="install procps, or ask for --format json") from None
    if done.returncode:
        raise Unsupported(f"ps ended with {done.returncode}", operation="ps")
    return done.stdout.decode(errors="backslashreplace")


def table(text: str, pids: Sequence[int]) -> str:
    """Keep the header and the lines of these processes.

    Raises:
        Unsupported: there is no column PID.
    """
    lines = text.splitlines(keepends=True)
    names = lines[0].split() if lines else []
    if "PID" not in names:
        raise Unsupported("its output has no column PID", operation="ps", hint="choose columns with -o pid,...")
    column, wanted = names.index("PID"), set(map(str, pids))
    kept = (line for line in lines[1:] if line.split()[column : column + 1] and line.split()[column] in wanted)
    return lines[0] + "".join(kept)


COMMAND = Command(
    run,
    "CONTAINER [PS-FLAGS]",
    "List the processes of a container with ps(1), whose flags may follow; -ef by default.",
    (FORMAT,),
    most=-1,
)
