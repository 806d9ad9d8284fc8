"""``pycgroups record``: run a program, and write the smallest seccomp profile that it needs."""

from __future__ import annotations

from pycgroups.cli import options
from pycgroups.cli.flags import Flag, UsageError

OWN = (
    Flag("--output -o", "where the profile goes: JSON in the OCI form", value="FILE"),
    Flag("--interactive -i", "pass our stdin to the program. Without it stdin is empty"),
    Flag("--rm", "for docker's sake: nothing ever stays"),
    Flag("--quiet -q", "show nothing of how the image is fetched"),
)
ABOUT = """\
Run a program as `pycgroups run` does, and write the smallest seccomp profile that it needs to a file, for
`--seccomp FILE`. What the filter of the container refuses (--seccomp) is refused here as well, and stays so; what the
program does not do in this run is not in the profile."""


def main(arguments: list[str]) -> int:
    """Run the command; the exit code.

    Raises:
        Error: of the kinds that `pycgroups.seccomp.record` names, or a UsageError.
    """
    words, own = options.read("record", arguments, OWN)
    if "help" in own:
        print(options.usage("record", ABOUT, OWN), end="")
        return 0
    if "output" not in own:
        raise UsageError("where to? pycgroups record --output FILE [FLAGS] -- COMMAND ...")
    if words.get("tty"):
        raise UsageError("flag '--tty': programs are recorded without a terminal")
    import json

    from pycgroups.cli import plain
    from pycgroups.cli.run import exit_code, with_image
    from pycgroups.containers.config import ContainerConfig
    from pycgroups.containers.record import recorder_for
    from pycgroups.containers.supervisor import Supervisor

    recorder = recorder_for(ContainerConfig(**words))
    config = ContainerConfig(**{**words, "seccomp": recorder.asking()})
    config = with_image(config, quiet=bool(own.get("quiet")))
    supervisor = Supervisor(recorder.decide, recorder.note)
    outcome = plain.run(config, interactive=bool(own.get("interactive")), supervisor=supervisor)
    with open(own["output"], "w", encoding="utf-8") as file:
        json.dump(recorder.recorded().to_json(), file, indent=2)
        file.write("\n")
    return exit_code(outcome)
