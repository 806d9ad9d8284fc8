"""Containers as the OCI runtime specification has them: from a config.json to a process.

    container = pycgroups.runtime.create("bundle", "web")       # created: all is set up, its program waits
    container.start()
    container.exec(process).wait()
    container.kill(); container.wait()
    container.delete()

Any other process finds it: ``pycgroups.runtime.get("web")``. There is no daemon. From the top to the bottom:

    container.py        Container: what can be done to one that is there; deletion.py: its removal
    creation.py         how one comes to be; hooks.py
    execution.py        another process in one
    checkpoint.py       one as files, and back; criu.py
    state.py            what is known of one, on disk
    confinement.py, terminals.py, handing.py   filter and labels; ptys; descriptors for others
    plan.py             Spec -> launch plan; entering.py: of what joins a container; program.py: their last steps
    launch.py           launch plan -> process; id_maps.py, rlimits.py, hints.py, signals.py
    resctrl.py          classes of service of caches and memory bandwidth
    steps.py, rootfs.py, mount_options.py, scheduling.py   what plans are made of; wording.py: steps in words

Source: https://github.com/opencontainers/runtime-spec/blob/v1.3.0/runtime.md.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from pycgroups.oci.runtime_spec import Spec
    from pycgroups.runtime.checkpoint import CheckpointImages
    from pycgroups.runtime.container import Container
    from pycgroups.runtime.execution import Executed
    from pycgroups.runtime.state import State

__all__ = [
    "CheckpointImages",
    "Container",
    "Executed",
    "State",
    "containers",
    "create",
    "default_root",
    "get",
    "restore",
]

_HOMES = {"Container": "container", "CheckpointImages": "checkpoint", "Executed": "execution", "State": "state"}


def __getattr__(name: str) -> Any:
    """Import the module that holds a public name (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def default_root() -> str:
    """Return where the state of containers is kept: /run/pycgroups/oci for root, else below $XDG_RUNTIME_DIR.

    Root of a user namespace of an ordinary user is that user. The directory is gone after a reboot, as are the
    containers.

    Raises:
        InvalidConfig: an ordinary user has no XDG_RUNTIME_DIR.
    """
    from pycgroups.namespaces import own

    if os.geteuid() == 0 and not own.is_nested():
        return "/run/pycgroups/oci"
    if directory := os.environ.get("XDG_RUNTIME_DIR"):
        return f"{directory}/pycgroups/oci"
    if os.geteuid() == 0:
        return "/run/pycgroups/oci"
    from pycgroups.errors import InvalidConfig

    hint = "set it to a directory of this user's, or name another root"
    raise InvalidConfig("an ordinary user needs one", operation="option", path="XDG_RUNTIME_DIR", hint=hint)


def create(
    bundle_or_spec: str | os.PathLike[str] | Spec,
    id: str | None = None,  # noqa: A002 (the specification's name)
    *,
    bundle: str | os.PathLike[str] = "",
    config: bytes | None = None,
    root: str | os.PathLike[str] | None = None,
    console_socket: str | None = None,
    pid_file: str | None = None,
    preserve_fds: int = 0,
    pivot: bool = True,
    keyring: bool = True,
    cgroup_manager: str = "cgroupfs",
    notify: bool = False,
    stdio: Sequence[int] = (0, 1, 2),
) -> Container:
    """Create a container: namespaces, mounts, limits are set up, and its program waits for `Container.start`.

    It outlives this process. Its creator may wait for its end, and is the parent of its process.

    Args:
        bundle_or_spec: a directory with a config.json, or a `pycgroups.oci` Spec.
        id: its name; made up if left out.
        bundle: the directory that relative paths of a Spec are relative to; without, they have to be absolute.
        config: the text that a Spec was read from, if it was: it needs no check, and is kept as it is.
        root: where its state is kept; `default_root()` by default.
        console_socket: the path of a Unix socket that gets the master of its terminal; without, the caller has it
            as `Container.master`.
        pid_file: a file that gets the pid of its process.
        preserve_fds: how many descriptors of this process, from 3 on, it gets beside its streams.
        pivot: change the root by pivot_root(2); False for a root file system in a ramfs, where that is impossible.
        keyring: a session keyring of its own; keyrings(7).
        cgroup_manager: "cgroupfs", "systemd" (``linux.cgroupsPath`` is "SLICE:PREFIX:NAME" then), or "disabled".
        notify: keep an empty directory "notify" beside its state, for a mount that names it.
        stdio: descriptors that become its 0, 1 and 2.

    Raises:
        InvalidConfig: the config.json or an option is wrong; names the key path.
        AlreadyExists: the name is taken.
        NotFound: no config.json, root file system, or namespace to join.
        Unsupported: this host cannot do it.
        CommandNotFound, CommandNotExecutable: its program is not there, or cannot run.
        LaunchError: a step of the set-up, or a hook, failed; names it. Nothing is left.

    Linux 5.12 or newer.
    """
    from pycgroups.oci.runtime_spec import Spec
    from pycgroups.runtime import creation, preserved
    from pycgroups.runtime.container import Container

    wishes = creation.Wishes(
        console_socket=console_socket,
        pid_file=pid_file,
        preserved=preserved.find(preserve_fds, stdio),
        pivot=pivot,
        keyring=keyring,
        cgroup_manager=cgroup_manager,
        notify=notify,
        stdio=stdio,
    )
    if not isinstance(bundle_or_spec, Spec):
        _check_bundle(bundle_or_spec)
        from pycgroups.oci.json_text import parse
        from pycgroups.oci.reader import CONFIG, config_text
        from pycgroups.oci.reading import spec_of

        bundle = bundle_or_spec
        config = config_text(os.path.join(bundle, CONFIG))
        spec = spec_of(parse(config, CONFIG))
    else:
        spec = bundle_or_spec
        if config is None:
            from pycgroups.oci.writing import checked_text

            config = checked_text(spec)
    created = creation.create(
        spec,
        wishes,
        config=config,
        bundle=os.path.abspath(bundle) if bundle else "",
        id_=os.urandom(16).hex() if id is None else id,
        root=_root(root),
    )
    return Container(created.directory, created)


def _check_bundle(bundle: object) -> None:
    if isinstance(bundle, str) or hasattr(bundle, "__fspath__"):  # os.PathLike is a module to load
        return
    from pycgroups.errors import InvalidConfig, shown

    message = f"got {shown(bundle)}, allowed: the path of a directory with a config.json, or a Spec"
    hint = "of what json.loads gave a Spec is made by pycgroups.oci.reading.read_spec(json.dumps(document))"
    is_read = isinstance(bundle, dict)
    raise InvalidConfig(message, operation="option", path="bundle_or_spec", hint=hint if is_read else None)


def restore(
    bundle: str | os.PathLike[str],
    id: str,  # noqa: A002
    images: CheckpointImages,
    *,
    root: str | os.PathLike[str] | None = None,
    console_socket: str | None = None,
    pid_file: str | None = None,
    cgroup_manager: str = "cgroupfs",
) -> Container:
    """Bring the processes of a checkpoint back as a new container, which runs; with criu(8).

    Hooks of the kinds prestart and createRuntime run when its namespaces are there and before anything in it does, as
    with runc; those of poststop at its end. The streams of its first process are those of this process. Where it has a
    terminal, that has the settings, the size, and the foreground that it had; what was on its way there is lost.

    Args:
        bundle: what the container was created from, or an equal one.
        id: its name, which may be another one.
        images: where `Container.checkpoint` saved it.
        root: as for `create`.
        console_socket: likewise.
        pid_file: likewise.
        cgroup_manager: likewise.

    Raises:
        InvalidConfig, AlreadyExists, NotFound: as `create`.
        Unsupported: criu is not installed, or this user may not use it.
        LaunchError: criu failed, or a hook; says why. Nothing is left.
    """
    from pycgroups.oci.json_text import parse
    from pycgroups.oci.reader import CONFIG, config_text
    from pycgroups.oci.reading import spec_of
    from pycgroups.runtime import checkpoint, creation
    from pycgroups.runtime.container import Container

    bundle = os.path.abspath(bundle)
    config = config_text(f"{bundle}/{CONFIG}")
    created = creation.create(
        spec_of(parse(config, CONFIG)),
        creation.Wishes(console_socket=console_socket, pid_file=pid_file, cgroup_manager=cgroup_manager),
        config=config,
        bundle=bundle,
        id_=id,
        root=_root(root),
        perform=lambda begun: checkpoint.restore(begun, images),
    )
    return Container(created.directory, created)


def get(id: str, *, root: str | os.PathLike[str] | None = None) -> Container:  # noqa: A002
    """Find a container by its name.

    Raises:
        NotFound: there is none.
        InvalidConfig: no name of a container.
    """
    from pycgroups.runtime.container import Container
    from pycgroups.runtime.state import Home, check_id

    directory = f"{_root(root)}/{check_id(id)}"
    with Home(directory):
        return Container(directory)


def containers(*, root: str | os.PathLike[str] | None = None) -> tuple[Container, ...]:
    """Return all containers of a root, by name."""
    from pycgroups.runtime.container import Container
    from pycgroups.runtime.state import ids

    top = _root(root)
    return tuple(Container(f"{top}/{id_}") for id_ in ids(top))


def _root(root: str | os.PathLike[str] | None) -> str:
    return default_root() if root is None else os.path.abspath(root)
