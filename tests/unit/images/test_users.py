"""What containers were made of, by their records on disk."""

from __future__ import annotations

import json
import os

import pytest

import pycgroups as pc
from pycgroups.containers.volumes.users import users as users_of_volumes
from pycgroups.images.users import users

ONE, TWO, THREE = ("1" * 64, "2" * 64, "3" * 64)
VOLUME = {"kind": "volume", "source": "data", "destination": "/data"}


def put(root, id_, text):
    directory = root / "containers" / id_
    directory.mkdir(parents=True)
    (directory / "container.json").write_text(text)


def record(name, image="", **config):
    return json.dumps({"name": name, "image": image, "config": config})


def test_of_no_store_nobody_is(tmp_path):
    assert users(str(tmp_path)) == users_of_volumes(str(tmp_path)) == {}


def test_by_what_they_were_made_of(tmp_path):
    put(tmp_path, ONE, record("web", "sha256:1", mounts=[VOLUME]))
    put(tmp_path, TWO, record("job", "sha256:1", volumes=[VOLUME, {"kind": "bind", "source": "/data"}]))
    put(tmp_path, THREE, record("host"))
    assert users(str(tmp_path)) == {"sha256:1": ["web", "job"]}
    assert users_of_volumes(str(tmp_path)) == {"data": ["web", "job"]}


def test_what_is_half_made_or_removed_needs_nothing(tmp_path):
    for name in (f"{ONE}.new", f"{TWO}.gone", "names"):
        put(tmp_path, name, record("web", "sha256:1", mounts=[VOLUME]))
    (tmp_path / "containers" / THREE).mkdir()
    assert users(str(tmp_path)) == users_of_volumes(str(tmp_path)) == {}


@pytest.mark.parametrize(
    "text", ["", "5", "[]", "{}", '{"image": 5}', '{"config": 5}', '{"config": {"mounts": 5}}', "[" * 10**5]
)
def test_a_damaged_one_needs_nothing(tmp_path, text):
    put(tmp_path, ONE, text)
    assert users(str(tmp_path)) == users_of_volumes(str(tmp_path)) == {}


def test_one_that_is_removed_meanwhile_needs_nothing(tmp_path, monkeypatch):
    put(tmp_path, ONE, record("web", "sha256:1"))
    names = os.listdir(tmp_path / "containers")
    monkeypatch.setattr("pycgroups.images.users.os.listdir", lambda _: [*names, TWO])
    assert users(str(tmp_path)) == {"sha256:1": ["web"]}


def test_what_cannot_be_read_now_is_an_error(tmp_path, monkeypatch):
    put(tmp_path, ONE, record("web", "sha256:1"))

    def fail(*_args, **_words):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("pycgroups.images.users.read_file", fail)
    with pytest.raises(pc.Error, match="EIO"):
        users(str(tmp_path))
