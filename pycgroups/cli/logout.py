"""``pycgroups logout``: forget the user and the password for a registry."""

from __future__ import annotations

import sys

from pycgroups.cli import OURS
from pycgroups.cli.flags import Flag, describe, parse
from pycgroups.cli.login import AUTHFILE
from pycgroups.cli.text import complain, escaped

FLAGS = (Flag("--all -a", "those for all registries"), AUTHFILE)
ABOUT = """\
usage: pycgroups logout [FLAGS] [HOST[:PORT][/NAMESPACE]]

Forget the user and the password for a registry, Docker Hub by default.
"""


def main(arguments: list[str]) -> int:
    """Run the command; the exit code.

    Raises:
        UsageError: a flag is wrong.
        NotFound: there are none.
    """
    found, rest, _ = parse(FLAGS, arguments)
    if found.get("help"):
        print(f"{ABOUT}\n{describe(FLAGS)}", end="")
        return 0
    if len(rest) > (0 if found.get("all") else 1):
        complain(f"logout takes one registry, or --all; see --help: {rest[-1]!r}")
        return OURS
    from pycgroups.images import registry

    name = None if found.get("all") else rest[0] if rest else "docker.io"
    options = registry.RegistryOptions(authfile=found.get("authfile"))
    for where in registry.logout(name, options=options):
        sys.stderr.write(f"Removed from {escaped(where)}\n")
    return 0
