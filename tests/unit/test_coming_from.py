"""The words that docs/how-to/coming-from.md promises to those who come from elsewhere are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import pycgroups as pc
from pycgroups.containers.vocabulary import Options

PAGE = Path(__file__).parents[2] / "docs/how-to/coming-from.md"
OURS = [line.split(" | ")[1] for line in PAGE.read_text().splitlines() if line.startswith("| `")]
PLACES = {"pc": pc, "c": pc.Container, "containers": pc.containers, "images": pc.images, "volumes": pc.volumes}


def chains():
    """Yield each dotted name of the column of ours; one that begins with a dot goes on from the one before."""
    for cell in OURS:
        place = ""
        for name in re.findall(r"(?<=`)(?:pc|c|)(?:\.[a-zA-Z_]+)+", cell):
            full = f"{place}{name}" if name.startswith(".") else name
            place = full.rpartition(".")[0]
            yield full


@pytest.mark.parametrize("chain", sorted(set(chains())))
def test_a_name_is_there(chain):
    first, *rest = chain.split(".")
    made = PLACES[first]
    for name in rest:
        made = PLACES.get(name) if made is pc and name in PLACES else getattr(made, name)
    assert made is not None


def test_the_page_has_names():
    assert {"pc.run", "pc.containers.prune", "c.exec", "c.wait", "pc.images.push"} <= set(chains())


KEYWORDS = {word for cell in OURS for word in re.findall(r"`([a-z_]+)=", cell)}


@pytest.mark.parametrize("word", sorted(KEYWORDS))
def test_an_option_is_there(word):
    assert (
        word in Options.__annotations__
        or word in pc.run.__annotations__
        or word in pc.Container.__init__.__annotations__
    )
