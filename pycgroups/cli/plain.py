"""A program whose streams are those of the command."""

from __future__ import annotations

from pycgroups.cli import signals
from pycgroups.containers.job import Job
from pycgroups.containers.streams import DEVNULL, Streams

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycgroups.containers.config import ContainerConfig
    from pycgroups.containers.job import Outcome
    from pycgroups.containers.supervisor import Supervisor


def run(config: ContainerConfig, *, interactive: bool, supervisor: Supervisor | None = None) -> Outcome:
    """Run it until it ends; the supervisor answers its system calls.

    Raises:
        Error: of the kinds that `pycgroups.run` names.
    """
    streams = Streams(stdin=None if interactive else DEVNULL, stdout=None, stderr=None, data=None)
    job = Job(config, streams, supervisor=supervisor)
    try:
        signals.start(job)
        return job.wait()
    finally:
        job.close()
