"""Sphinx: `make docs`."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version as installed_version
from pathlib import Path

from pycgroups.cli import commands
from pycgroups.oci_cli import COMMANDS

HERE = Path(__file__).parent

project = "pycgroups"
author = "the pycgroups developers"
release = version = installed_version("pycgroups")
copyright = f"2026, {author}"  # noqa: A001 (Sphinx's name)

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["_build", "reference/_generated"]
html_theme = "furo"
html_title = "pycgroups"
pygments_style = "default"

default_role = "code"  # docstrings have single backticks, as in Markdown
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_class_signature = "mixed"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_attr_annotations = True
napoleon_use_ivar = True

# Every reference to a name of ours must resolve. Those to the standard library would need its inventory from the
# network, and a build must work without.
nitpick_ignore_regex = [("py:.*", r"(?!pycgroups\.).*|.*\.[A-Z]")]  # not ours, and type variables
# Annotations say Container, of which there are two: that which is held, and the OCI runtime's.
suppress_warnings = ["ref.python"]
# What a container and an image hold inside.
nitpick_ignore = [
    ("py:class", "pycgroups.runtime.launch.Running"),
    ("py:class", "pycgroups.images.store.ImageStore"),
    ("py:class", "pycgroups.images.locks.Lock"),
]


INNER = {
    "image": ("df", "prune", "verify", "repair"),
    "volume": ("create", "ls", "inspect", "rm", "prune"),
    "system": ("df", "prune"),
    "container": ("prune",),
}
"Commands that have commands."


def write_help() -> None:
    """Write what ``--help`` says, for the pages that show it."""
    target = HERE / "reference/_generated"
    target.mkdir(exist_ok=True)
    inner = (f"{command} {name}" for command, names in INNER.items() for name in names)
    for command in ("", *commands.COMMANDS, *inner):
        _write(target / f"help-{command.replace(' ', '-') or 'pycgroups'}.txt", "pycgroups", command)
    for command in ("", *COMMANDS):
        _write(target / f"oci-{command or 'pycgroups-oci'}.txt", "pycgroups.oci_cli", command)


def _write(path: Path, module: str, command: str) -> None:
    words = [sys.executable, "-m", module, *command.split(), "--help"]
    env = {"COLUMNS": "100", "NO_COLOR": "1", "PATH": "/usr/bin:/bin"}
    path.write_text(subprocess.run(words, capture_output=True, text=True, check=True, env=env).stdout)


write_help()
