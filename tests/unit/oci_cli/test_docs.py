"""The page about the command shows the help of each of its commands."""

from __future__ import annotations

import re
from pathlib import Path

from pycgroups.oci_cli import COMMANDS

PAGE = Path(__file__).parents[3] / "docs/reference/oci-command.md"


def test_each_command_has_its_paragraph():
    text = PAGE.read_text()
    assert re.findall(r"^### (\S+)$", text, re.MULTILINE) == [*COMMANDS]
    assert set(re.findall(r"_generated/oci-(\S+)\.txt", text)) == {*COMMANDS, "pycgroups-oci"}
