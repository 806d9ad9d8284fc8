"""What the commands tell of a container or an image: as `inspect` of Python, but for exit codes, which are a shell's.

For templates all that could be there is there, as in docker's: what nobody has given is as by default, and some facts
have docker's names as well.
"""

from __future__ import annotations

from pycgroups.cli import shell_code

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from attrs import fields

    from pycgroups.containers.container import Container
else:
    from pycgroups.frozen import fields


def facts_of(held: Container) -> dict[str, Any]:
    """Tell of a container.

    Raises:
        Error: of the kinds that `Container.inspect` names.
    """
    facts = held.inspect()
    if facts["state"]["exit_code"] is not None:
        facts["state"]["exit_code"] = shell_code(facts["state"]["exit_code"])
    return facts


def container_fields(facts: dict[str, Any]) -> dict[str, Any]:
    """Return the facts of a container for templates."""
    from pycgroups.containers.config import ContainerConfig

    state, config = facts["state"], facts["config"]
    known = {field.name: _default(field.default) for field in fields(ContainerConfig) if field.init} | config
    dockers = {"running": state["status"] == "running", "paused": state["status"] == "paused"}
    dockers |= {"started_at": state["started"], "finished_at": state["finished"], "oom_killed": state["oom"]}
    environment = ["=".join(pair) for pair in config.get("env", ())]
    return {**facts, "state": state | dockers, "config": {**known, "cmd": known["command"], "env": environment}}


def _default(value: object) -> object:
    return [] if value == () else value if isinstance(value, str | int | float) else None


def image_fields(facts: dict[str, Any]) -> dict[str, Any]:
    """Return the facts of an image for templates."""
    from pycgroups.oci.image_spec import ImageConfig, ImageDefaults
    from pycgroups.oci.model import json_name

    if "config" not in facts:  # an artifact
        return facts
    known = dict.fromkeys(map(json_name, fields(ImageConfig))) | facts["config"]
    known["config"] = dict.fromkeys(map(json_name, fields(ImageDefaults))) | (known["config"] or {})
    return {**facts, "config": known}
