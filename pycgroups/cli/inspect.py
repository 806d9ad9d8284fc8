"""``pycgroups inspect``: all of a container that is held, or of an image, here or elsewhere."""

from __future__ import annotations

from pycgroups.cli import FAILED, registries
from pycgroups.cli.facts import container_fields, facts_of, image_fields
from pycgroups.cli.flags import Flag, one_of
from pycgroups.cli.tables import print_json
from pycgroups.cli.text import complain
from pycgroups.cli.usage import Usage
from pycgroups.errors import Error, ImageNotFound, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

USAGE = Usage(
    "inspect [FLAGS] NAME [NAME ...]",
    """\
Tell all of containers and images as one JSON list: of a container by its name or id; else of an image: names and
digests, the manifest, the configuration. Of those that are here, by name or id; of those elsewhere, by
docker://REFERENCE, oci:DIR[:NAME] and the like, without fetching them.""",
    (
        Flag("--format -f", "a template, as {{.State.Status}}, of each; json, the default, is the list", value="FORM"),
        Flag("--type", "container or image: of that kind alone", value="KIND", read=one_of("container", "image")),
        Flag("--platform", "of an image for several, which; default: this machine's", value="PLATFORM"),
        *registries.FLAGS,
    ),
    least=1,
)


def main(arguments: list[str]) -> int:
    """Run the command; the exit code: 1 when there is one that cannot be told of.

    Raises:
        UsageError: a flag is wrong.
    """
    asked = USAGE.read(arguments)
    if asked is None:
        return 0
    found, names = asked
    options: dict[str, Any] = {"platform": found.get("platform"), "registry": registries.options(found)}
    facts, failed = [], False
    for name in names:
        try:
            facts.append(_inspect(name, found.get("type"), options))
        except Error as error:
            complain(str(error))
            failed = True
    form = found.get("format", "json")
    if form == "json":
        print_json(facts)
    else:
        from pycgroups.cli.templates import render

        for each in facts:
            print(render(form, container_fields(each) if "state" in each else image_fields(each)))
    return FAILED if failed else 0


def _inspect(name: str, kind: str | None, options: dict[str, Any]) -> Any:
    """Tell of a container, if there is one of this name; else of an image."""
    from pycgroups import containers, images

    if kind != "image":
        try:
            return facts_of(containers.get(name))
        except NotFound:
            if kind == "container":
                raise
    try:
        return images.inspect(name, **options)
    except ImageNotFound as error:
        if kind == "image":
            raise
        raise NotFound("no container and no image of this name", operation="inspect", path=name) from error
