"""A program with a terminal of its own, a pty of the container, shown on ours."""

from __future__ import annotations

import signal

from pycgroups.cli import signals
from pycgroups.cli.console import Console, raw, window_size
from pycgroups.containers.job import Job
from pycgroups.runtime.steps import Terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycgroups.containers.config import ContainerConfig
    from pycgroups.containers.job import Outcome


def run(config: ContainerConfig, *, interactive: bool) -> Outcome:
    """Run it until it ends. Without `interactive` nothing of what is typed is for the program.

    Raises:
        Error: of the kinds that `pycgroups.run` names.
    """
    console = Console(keyboard=interactive)
    rows, columns = window_size()
    job = Job(config, console, Terminal(rows=rows, columns=columns))
    try:
        signals.start(job, config.stop_timeout)
        with raw(wanted=interactive):
            signal.signal(signal.SIGWINCH, lambda *_: console.resize())
            return job.wait()
    finally:
        job.close()
