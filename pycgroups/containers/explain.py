"""`explain`: what `run` would do, as data and as text; touches nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pycgroups.containers import joining
from pycgroups.containers.assemble import assemble
from pycgroups.containers.config import OPTIONS, ContainerConfig
from pycgroups.containers.devices import device_rules
from pycgroups.containers.job import needs_group
from pycgroups.misnamed import check_options
from pycgroups.runtime.steps import Terminal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from attrs import frozen
    from typing_extensions import Unpack

    from pycgroups.containers.vocabulary import Options, Path
    from pycgroups.images.collection import Root
    from pycgroups.oci.resources import DeviceRule
    from pycgroups.oci.runtime_spec import Spec
    from pycgroups.runtime.rootfs import Rootfs
    from pycgroups.runtime.steps import Plan
else:
    from pycgroups.frozen import frozen


@frozen(kw_only=True)
class Explanation:
    """What would be done.

    Attributes:
        config: what was asked, in normal form.
        spec: the OCI runtime Spec; ``spec.to_json()`` is a config.json. A range of ids that is leased at the
            start shows as beginning at 1879048192.
        rootfs: what the root is made of.
        plan: the steps, in order; ``str(plan)`` for people.
    """

    config: ContainerConfig
    spec: Spec
    rootfs: Rootfs
    plan: Plan

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain dicts, lists and scalars."""
        return {
            "spec": self.spec.to_json(),
            "plan": {part: [str(step) for step in getattr(self.plan, part)] for part in ("prepare", "setup", "main")},
        }

    def __str__(self) -> str:
        """Show the Spec as JSON and the plan as a list."""
        import json

        return f"{json.dumps(self.spec.to_json(), indent=2)}\n\n{self.plan}"


def explain(command: Path | Sequence[Path] | None = None, **options: Unpack[Options]) -> Explanation:
    """Return what `run` with these arguments would do: the OCI spec and the launch plan.

    Reads files of the host (its mounts, the passwd file of the container) and changes nothing.

    Raises:
        InvalidConfig: an option is wrong.
        Unsupported: this account cannot do it.
        NotFound: ``rootfs``, a device or a namespace does not exist.
        ImageNotFound: the image is not here: it is not fetched, nor unpacked.
    """
    check_options(explain, options, OPTIONS)
    config = ContainerConfig(command=command, **options)
    if config.image in {None, "host"}:
        return _explain(config, None)
    from pycgroups.containers import image_root  # the usual run has the host's root

    with image_root.prepare(config, change=False) as image:
        return _explain(image.config, image.root)


def _explain(config: ContainerConfig, image: Root | None) -> Explanation:
    if config.names_volumes:
        from pycgroups.containers import volumes
        from pycgroups.containers.volumes import mounting

        config, _ = mounting.prepare(config, image, volumes.default(), change=False)
    rules = device_rules(config)
    terminal = Terminal() if config.tty else None
    joins = _joins(config, rules)
    with joining.opened(config) as spaces:
        assembly = assemble(config, joins=joins, terminal=terminal, devices=rules, joined=spaces.joined, image=image)
    return Explanation(config=config, spec=assembly.spec, rootfs=assembly.rootfs, plan=assembly.plan)


def _joins(config: ContainerConfig, rules: tuple[DeviceRule, ...]) -> int:
    """How many v1 hierarchies the process would enter by itself; into a v2 group it is born."""
    if not needs_group(config, rules):
        return 0
    from pycgroups.cgroups import disks, resources, translate
    from pycgroups.cgroups.places import DEVICES, places

    needed = resources.controllers(translate.of_limits(config.limits, disks.numbers(config.limits)))
    if rules:
        needed |= {DEVICES}
    return sum(place.version == 1 for place in places(needed))
