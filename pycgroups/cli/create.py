"""``pycgroups create``: make a container that is held, to be started later."""

from __future__ import annotations

from pycgroups.cli import health, options
from pycgroups.cli.flags import Flag

OWN = (
    Flag("--interactive -i", "pass the stdin of whoever attaches to the program. Without it stdin is empty"),
    Flag(
        "--restart", "start it again when it has ended: no, on-failure[:MOST], always, unless-stopped", value="POLICY"
    ),
    *health.FLAGS,
    Flag("--rm", "remove the container when it ends"),
    Flag("--quiet -q", "show nothing of how the image is fetched"),
)
ABOUT = "Make a container, and tell its id; pycgroups start starts it. It goes on when whoever starts it ends."


def main(arguments: list[str]) -> int:
    """Run the command; the exit code.

    Raises:
        Error: of the kinds that `pycgroups.containers.create` names, or a UsageError.
    """
    words, own = options.read("create", arguments, OWN)
    if "help" in own:
        print(options.usage("create", ABOUT, OWN, held=True), end="")
        return 0
    from pycgroups import containers
    from pycgroups.cli.run import with_image
    from pycgroups.containers.config import ContainerConfig

    with_image(ContainerConfig(**words), quiet=bool(own.get("quiet")))
    made = containers.create(
        detach=True,
        stdin_open=bool(own.get("interactive")),
        restart=own.get("restart", "no"),
        remove=bool(own.get("rm")),
        healthcheck=health.asked(own),
        **words,
    )
    print(made.id)
    return 0
