"""What the commands tell of a container or an image: as `inspect` of Python, but for exit codes, which are a shell's."""

from __future__ import annotations

from pycgroups.cli import shell_code

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pycgroups.containers.container import Container


def facts_of(held: Container) -> dict[str, Any]:
    """Tell of a container.

    Raises:
        Error: of the kinds that `Container.inspect` names.
    """
    facts = held.inspect()
    if facts["state"]["exit_code"] is not None:
        facts["state"]["exit_code"] = shell_code(facts["state"]["exit_code"])
    return facts
