"""Docker's ``images --filter``."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from pycgroups.cli.image_filters import chosen, read


def image(reference, *, day=1, labels=None):
    created = datetime(2026, 1, day, tzinfo=UTC)
    return SimpleNamespace(reference=reference, is_artifact=False, created=created, labels=labels or {})


OLD = image("docker.io/library/box:1", labels={"app": "web", "odd": ""})
NEW = image("example.com/team/box:2", day=3)
LOOSE = image(None, day=2)
EVERY = [OLD, NEW, LOOSE]


@pytest.mark.parametrize(
    ("filters", "wanted"),
    [
        ([], EVERY),
        (["reference=box"], [OLD]),
        (["reference=box:1"], [OLD]),
        (["reference=*box*"], [OLD]),
        (["reference=b[^a]x:?"], [OLD]),
        (["reference=b[^n-p]x"], []),
        (["reference=box:"], []),
        (["reference=*/box"], []),
        (["reference=*/*/b*"], [NEW]),
        (["reference=*/*:2"], []),
        (["reference=docker.io/library/box"], []),
        (["reference=docker.io/library/box:1"], []),
        (["reference=box", "reference=example.com/*/*:2"], [OLD, NEW]),
        (["dangling=true"], [LOOSE]),
        (["dangling=0"], [OLD, NEW]),
        (["label=app"], [OLD]),
        (["label=app=web", "label=odd"], [OLD]),
        (["label=app=db"], []),
        (["before=new"], [OLD, LOOSE]),
        (["since=old"], [NEW, LOOSE]),
        (["since=old", "before=new", "dangling=false"], []),
    ],
)
def test_which_are_wanted(filters, wanted):
    assert chosen(EVERY, [read(text) for text in filters], {"old": OLD, "new": NEW}.__getitem__) == wanted


@pytest.mark.parametrize("text", ["", "box", "size=1", "dangling=maybe", "dangling="])
def test_what_is_no_filter(text):
    with pytest.raises(ValueError, match="="):
        read(text)
