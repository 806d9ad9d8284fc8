"""`record`: the smallest seccomp profile that a program needs, by running it.

Every call that the container's own filter would allow waits for the library, which notes it and lets it go on:
seccomp_unotify(2). docs/explanation/seccomp.md says why that way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pycgroups.containers.config import OPTIONS, ContainerConfig
from pycgroups.containers.handlers import base_profile
from pycgroups.containers.run import checked, complete, make_result, open_streams
from pycgroups.containers.streams import PIPE
from pycgroups.containers.supervisor import Supervisor
from pycgroups.errors import InvalidConfig
from pycgroups.misnamed import check_options
from pycgroups.security.recorder import Recorder
from pycgroups.security.seccomp_policy import has_listener

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Unpack

    from pycgroups.containers.streams import Stream
    from pycgroups.containers.vocabulary import Options, Path
    from pycgroups.oci.runtime_spec import Seccomp


def record(
    command: Path | Sequence[Path] | None = None,
    *,
    input: bytes | memoryview | None = None,  # noqa: A002 (subprocess's name)
    stdin: Stream = None,
    stdout: Stream = PIPE,
    stderr: Stream = PIPE,
    check: bool = True,
    **options: Unpack[Options],
) -> Seccomp:
    """Run a program and return the smallest seccomp profile that it needs.

    What the filter of the container (``seccomp``, by default the default one) refuses is refused while recording, too,
    and stays so: the profile is a part of that filter. Of calls that do many things, such as socket, ioctl and clone,
    only what was asked for is in it. What the program did not do in this run is not: give it work that is like its
    later work, and all the errors that it is to survive.

    Args:
        command: as for `pycgroups.run`, and so are the others.
        input: what the program reads as its standard input.
        stdin: where it reads from instead.
        stdout: where its output goes; captured and dropped by default.
        stderr: likewise.
        check: raise an exception if the program does not exit 0, or the timeout passes.
        **options: see `pycgroups.run`. With ``seccomp="unconfined"`` nothing is refused.

    Returns:
        The profile, for ``seccomp=``; ``json.dumps(profile.to_json())`` is it in the OCI form.

    Raises:
        Error: of the kinds that `pycgroups.run` names.
        CalledProcessError: with ``check``: the program did not exit 0.
        TimeoutExpired: with ``check``: the timeout passed.

    Linux 5.12 or newer; from 5.19 on, signals do not disturb calls that wait.
    """
    check_options(record, options, OPTIONS)
    config = ContainerConfig(command=command, **options)
    recorder = recorder_for(config)
    options["seccomp"] = recorder.asking()
    config = ContainerConfig(command=command, **options)
    streams = open_streams(stdin, stdout, stderr, None if input is None else memoryview(input).cast("B"))
    outcome = complete(config, streams, Supervisor(recorder.decide, recorder.note))
    if check:
        out, err = (None if output is None else output.getvalue() for output in streams.captured)
        checked(make_result(config, outcome, out, err), config.timeout)
    return recorder.recorded()


def recorder_for(config: ContainerConfig) -> Recorder:
    """Return what records on top of the container's own profile.

    Raises:
        InvalidConfig: some of its calls wait for somebody else already.
    """
    base = base_profile(config, "a recorder")
    if base is not None and has_listener(base):
        raise InvalidConfig("SCMP_ACT_NOTIFY: who records is who answers", operation="option", path="seccomp")
    return Recorder(base)
