"""Which option of a container it was that a step of its launch has failed for."""

from __future__ import annotations

from pycgroups.containers.config import WORKSPACE
from pycgroups.errors import LaunchError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pycgroups.containers.config import ContainerConfig
    from pycgroups.errors import Error

_TREE = "tree"  # the step that opens what is to be mounted


def tell(error: Error, config: ContainerConfig) -> None:
    """Have an error about the source of a mount say which option has that."""
    if isinstance(error, LaunchError) and error.step == _TREE:
        for option, source, destination in _sources(config):
            if source == error.path:
                error.operation = f"{option}, mount at {destination}: source"
                return


def _sources(config: ContainerConfig) -> Iterator[tuple[str, str | None, str]]:
    """Yield each option that has sources on the host, with one of them and where that is mounted."""
    yield "workspace", config.workspace, WORKSPACE
    for option, some in (("mounts", config.mounts), ("volumes", config.volumes)):
        for index, mount in enumerate(some):
            for source in (mount.source, *mount.lowers, mount.upper, mount.work):
                yield f"{option}[{index}]", source, mount.destination
    for index, (source, destination, _) in enumerate(config.devices):
        yield f"devices[{index}]", source, destination
