"""The public names are there, and importing them is cheap."""

from __future__ import annotations

import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import pycgroups

SLOW = {"asyncio", "hashlib", "json", "logging", "numpy", "rich", "ssl", "subprocess", "tempfile"}
BROUGHT_BY_ATTRS = {"ast", "dis", "inspect"}
SLOW_TO_A_SHORT_COMMAND = {
    "attr",
    "attrs",
    "collections",
    "contextlib",
    "dataclasses",
    "enum",
    "functools",
    "re",
    "typing",
}


@pytest.mark.parametrize("name", pycgroups.__all__)
def test_every_public_name_resolves(name):
    assert getattr(pycgroups, name) is not None
    assert name in dir(pycgroups)


@pytest.mark.parametrize("collection", [pycgroups.containers, pycgroups.images, pycgroups.volumes])
def test_what_a_collection_can_do_is_listed(collection):
    assert set(collection.__all__) <= set(dir(collection))


def test_every_public_name_is_listed_once():
    assert len(pycgroups.__all__) == len(set(pycgroups.__all__))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = pycgroups.no_such_name


@pytest.mark.parametrize("package", [pycgroups.images, pycgroups.namespaces], ids=lambda package: package.__name__)
def test_no_module_takes_the_place_of_a_function(package):
    """Python sets a module as an attribute of its package, once it is imported."""
    assert set(package.__all__) & {module.name for module in pkgutil.iter_modules(package.__path__)} == set()


def test_star_import_gives_the_public_names():
    names: dict[str, object] = {}
    exec("from pycgroups import *", names)  # the only way to write it inside a function
    assert set(pycgroups.__all__) <= set(names)


def loaded_by(statement: str) -> set[str]:
    """Name the modules that a fresh interpreter has after the statement."""
    program = f"import sys; {statement}; names = list(sys.modules); import json; print(json.dumps(names))"
    # -S: a site-packages with .pth files imports what it likes.
    path = f"import sys; sys.path[:] = {sys.path!r}; "
    out = subprocess.run([sys.executable, "-S", "-c", path + program], capture_output=True, check=True).stdout
    return set(json.loads(out))


def test_importing_is_cheap():
    assert loaded_by("import pycgroups") & (SLOW | BROUGHT_BY_ATTRS) == set()


def test_the_first_run_imports_nothing_slow():
    assert loaded_by("import pycgroups; pycgroups.run") & SLOW == set()


def test_names_of_images_need_nothing_slow():
    statement = "from pycgroups.images.reference import Location; Location.parse('debian:13')"
    assert loaded_by(statement) & (SLOW | BROUGHT_BY_ATTRS | SLOW_TO_A_SHORT_COMMAND) == set()


def test_a_registry_costs_nothing_before_it_is_asked():
    assert loaded_by("import pycgroups.images.registry") & (SLOW | BROUGHT_BY_ATTRS | {"urllib3"}) == set()


def test_what_an_oci_runtime_needs_is_cheap():
    rooms = [Path(pycgroups.__file__).parent / room for room in ("runtime", "security")]
    names = [f"pycgroups.{path.parent.name}.{path.stem}" for room in rooms for path in room.glob("[a-z]*.py")]
    # Profiles by other names, which `run` has; what runs criu, or mkfs.ext4 for containers that are held; and what is
    # for the namespaces of Python programs.
    profiles = {f"security.{name}" for name in ("docker_profile", "notification", "recorder", "seccomp", "strict")}
    apart = {f"runtime.{name}" for name in ("calling", "checkpoint", "criu", "loops", "unsharing", "working")}
    others = {f"pycgroups.{name}" for name in profiles | apart}
    needed = sorted({*names, "pycgroups.oci.reading"} - others)
    assert loaded_by(f"import {', '.join(needed)}") & (SLOW | BROUGHT_BY_ATTRS | SLOW_TO_A_SHORT_COMMAND) == set()


def test_a_cgroup_of_an_oci_runtime_is_cheap():
    every_controller = (
        "from pycgroups.cgroups import device_exceptions, device_program, given, placed, places;"
        "[each.modules[name] for each in places.MANAGERS.values() for name in each.modules.names];"
        "device_exceptions.state_of(given.for_new(None, devices=True).devices)"
    )
    assert loaded_by(every_controller) & (SLOW | BROUGHT_BY_ATTRS | SLOW_TO_A_SHORT_COMMAND) == set()


def test_the_package_is_typed():
    assert (Path(pycgroups.__file__).parent / "py.typed").is_file()
