"""`ContainerFactory`: what the fixtures `container` and `container_session` are."""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple, cast

from typing_extensions import Unpack

from pycgroups.containers.config import ContainerConfig
from pycgroups.containers.config_json import to_json
from pycgroups.containers.values import pairs
from pycgroups.containers.vocabulary import Options
from pycgroups.errors import Error, NotFound, StateError
from pycgroups.images.image import Image
from pycgroups.oci.json_text import dumps
from pycgroups.pytest_plugin import words
from pycgroups.pytest_plugin.runs import LABEL, remove

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from pycgroups.containers.container import Container
    from pycgroups.containers.healthcheck import Healthcheck
    from pycgroups.containers.vocabulary import Path
    from pycgroups.pytest_plugin.runs import Run

_ASKED = f"{LABEL}.asked"
"""The label of a container for all: a hash of its options, which are the same for everybody who asks for it."""
_LINES, _CHARACTERS = 20, 8000


class Made(NamedTuple):
    """A container that a test has, or had."""

    container: Container
    options: Options

    @property
    def name(self) -> str:
        """Its name, or its id when it is gone."""
        try:
            return self.container.name or self.container.short_id
        except NotFound:
            return self.container.short_id

    def verdict(self) -> str:
        """Say what became of it, and what it wrote in the end."""
        try:
            log = self.container.logs(tail=_LINES).decode(errors="replace")[-_CHARACTERS:]
            return f"{self._state()}\n{log}".rstrip()
        except NotFound:
            return "removed"
        except Error as error:
            return str(error)

    def _state(self) -> str:
        status, code, reason = self.container.status, self.container.exit_code, self.container.reason
        if status != "stopped":
            return status
        if code is None or reason is None:
            return "stopped, and nobody saw how"
        return words.reason(reason, code, self.options)


class HeldOptions(Options, total=False):
    """What `pycgroups.Container` takes."""

    detach: bool
    remove: bool
    restart: str
    healthcheck: Healthcheck | Mapping[str, Any] | str | None


_OF_LIFE = frozenset({"detach", "remove", "restart", "healthcheck"})


class ContainerFactory:
    """Makes containers and starts them, as `pycgroups.Container` does; they are removed by the fixture.

    What a call does not say comes from the command line and the ini file of pytest: ``pycgroups_image``,
    ``pycgroups_memory`` and the other limits, ``pycgroups_store``.

    Attributes:
        made: what was made, for the report of a failure.
    """

    def __init__(self, run: Run, options: Options) -> None:
        """Make nothing yet.

        Args:
            run: that the containers are of.
            options: where a call says nothing else.
        """
        self._run = run
        self._options = options
        self.made: list[Made] = []

    def __call__(
        self,
        command: Path | Sequence[Path] | None = None,
        **options: Unpack[HeldOptions],
    ) -> Container:
        """Make a container, and start it.

        Args:
            command: as for `pycgroups.Container`.
            **options: likewise; with ``detach``, too, it is removed in the end.

        Raises:
            Error: of the kinds that `pycgroups.Container` raises.
        """
        return self._make(command, self._settled(options))

    def close(self) -> None:
        """Kill and remove what was made, the last first.

        Raises:
            Error: one cannot be removed; the others are.
        """
        with ExitStack() as stack:
            for made in self.made:
                stack.callback(remove, made.container)

    def _settled(self, options: HeldOptions) -> dict[str, Any]:
        """Return all options; a root that is given needs no image, and its files have no limit."""
        usual: dict[str, Any] = dict(self._options)
        if options.get("rootfs") is not None:
            usual = {name: value for name, value in usual.items() if name not in {"image", "disk"}}
        return {**usual, **options}

    def _make(self, command: Any, options: dict[str, Any], **labels: str) -> Container:
        own = {str(name): value for _, name, value in pairs(options.get("labels") or {}, "labels")}
        labelled = {**options, "labels": {**own, **labels, LABEL: self._run.id}}
        made = self._run.containers.create(command, **labelled)
        self.made.append(Made(made, cast("Options", options)))
        try:
            made.start()
        except BaseException:
            remove(made)
            raise
        return made


class SessionFactory(ContainerFactory):
    """Makes containers for the whole run. One that has a name is the same for all who ask for it, in every process."""

    def __call__(
        self,
        command: Path | Sequence[Path] | None = None,
        **options: Unpack[HeldOptions],
    ) -> Container:
        """Make a container, and start it; or find it, if it has a name that the run has a container of already.

        Args:
            command: as for `pycgroups.Container`.
            **options: likewise. The name is one of the run, to which the store's adds the run's own; one that has such
                a name is always detached: it goes on when the process ends that made it.

        Raises:
            StateError: the run has a container of the name, with other options.
            Error: of the kinds that `pycgroups.Container` raises.
        """
        settled = self._settled(options)
        if settled.get("name") is None:
            return self._make(command, settled)
        name = str(settled["name"])
        settled |= {"name": f"{name}-{self._run.id[:8]}", "detach": True}
        asked = _fingerprint(command, settled)
        with self._run.making():
            try:
                found = self._run.containers.get(settled["name"])
            except NotFound:
                return self._make(command, settled, **{_ASKED: asked})
            return self._shared(found, name, asked, cast("Options", settled))

    def _shared(self, found: Container, name: str, asked: str, options: Options) -> Container:
        if found.labels.get(_ASKED) != asked:
            message = "the run has a container of this name, with other options"
            raise StateError(message, operation="container_session", path=name, hint="give them different names")
        if all(made.container != found for made in self.made):
            self.made.append(Made(found, options))
        if found.status == "created":  # who made it has died over it
            found.start()
        return found

    def close(self) -> None:
        """Kill and remove what is not for all: that goes with the last process of the run."""
        self.made = [made for made in self.made if not _is_shared(made.container)]
        super().close()


def _is_shared(container: Container) -> bool:
    try:
        return _ASKED in container.labels
    except Error:
        return False


def _fingerprint(command: Any, options: dict[str, Any]) -> str:
    """Return a hash that is the same in all processes that ask for the same."""
    plain = {name: value for name, value in options.items() if name not in _OF_LIFE}
    if isinstance(plain.get("image"), Image):
        plain["image"] = plain["image"].digest
    life = sorted((name, repr(value)) for name, value in options.items() if name in _OF_LIFE)
    document = [to_json(ContainerConfig(command=command, **plain)), life]
    return hashlib.sha256(dumps(document).encode()).hexdigest()[:16]
