"""The config.json files of `configs/`: two that ``runc spec`` made, one of podman's, one as containerd's CRI writes
them, and one with every property that there is."""

from pathlib import Path

import pytest

CONFIGS = sorted((Path(__file__).parent / "configs").glob("*.json"))


@pytest.fixture(params=CONFIGS, ids=[path.stem for path in CONFIGS])
def config(request):
    return request.param


@pytest.fixture
def everything():
    return Path(__file__).parent / "configs/everything.json"
