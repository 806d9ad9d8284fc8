"""``pycgroups-oci``: the runtime as a command with runc's command line, for podman, containerd and their like.

    __init__.py     which commands there are
    entry.py        where Python begins, as long as it cannot with the file that bundle.py tells of
    line.py         the command line: flags before the command, which command; errors and exit codes
    command.py      what a command is
    bundle.py       the modules of a command in one file; bundler.py makes it
    light_os.py     what they have of os
    log.py          --log
    affinity.py     on which CPUs containers are
    foreground.py   run and exec that wait: signals and the terminal
    handover.py     run that needs Python no longer
    notify.py       that a container is ready goes on to a service manager; readiness.py, where there is one
    create.py ...   each command, loaded only when it is asked for

What is called is bin/pycgroups-oci.c. It starts, signals and deletes plain containers itself; this does the rest.

As for `pycgroups.cli`, what a command does not need, it does not import: Python's own start is most of its time.
"""

from __future__ import annotations

PROGRAM = "pycgroups-oci"
COMMANDS = {
    "create": "create a container, whose program waits for its start",
    "start": "let the program of a created container run",
    "run": "create and start a container, and wait for its end",
    "exec": "run another program in a container",
    "state": "print the state of a container",
    "list": "list containers",
    "ps": "list the processes of a container",
    "kill": "send a signal to a container",
    "pause": "freeze the processes of a container",
    "resume": "let them go on",
    "update": "change the limits of a container",
    "events": "print what a container uses, and that it is out of memory",
    "delete": "remove a container",
    "spec": "write a config.json to begin with",
    "features": "print what this runtime can do",
    "checkpoint": "save a running container with criu",
    "restore": "bring a saved container back with criu",
}
SPEC_VERSION = "1.3.0"
"""The newest version of the OCI runtime specification that is understood."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command that the arguments ask for; the exit code.

    Without arguments, those of this process are taken, and it ends here.
    """
    if arguments is None:
        from pycgroups.oci_cli.bundle import enter

        enter()
    from pycgroups.oci_cli.line import perform

    return perform(arguments)
