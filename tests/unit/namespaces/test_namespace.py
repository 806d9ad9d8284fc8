"""The order to join namespaces in, by what they belong to; on stand-ins."""

from __future__ import annotations

from itertools import permutations

import pytest

from pycgroups.errors import InvalidConfig
from pycgroups.namespaces.namespace import in_order, kind_named


class Space:
    """A namespace with an owner; those of a user namespace is its parent."""

    def __init__(self, kind, owner=None):
        self.kind = kind
        self.above = owner

    def owner(self):
        return self.above

    parent = owner

    def close(self):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


HOST = Space("user")
USER = Space("user", HOST)
BELOW = Space("user", USER)
BESIDE = Space("user", HOST)


def orders(*spaces):
    """Ask for each order that they may be given in."""
    return {tuple(tuple(group) for group in in_order(given)) for given in permutations(spaces)}


def test_without_a_user_namespace_a_mount_namespace_is_the_last():
    mnt, net = Space("mnt", HOST), Space("net", HOST)
    assert orders(mnt, net) == {((), (net, mnt))}
    assert in_order([]) == ((), ())


def test_a_user_namespace_is_before_what_belongs_to_it_and_after_the_rest():
    mnt, net, uts, ipc = Space("mnt", USER), Space("net", BELOW), Space("uts", HOST), Space("ipc", BESIDE)
    assert orders(mnt, USER, net) == {((), (USER, net, mnt))}
    assert orders(USER, uts) == {((uts,), (USER,))}
    assert orders(USER, ipc) == {((ipc,), (USER,))}
    assert orders(mnt, USER, uts, net) == {((uts,), (USER, net, mnt))}


def test_what_it_belongs_to_may_be_out_of_sight():
    pids = Space("pid")
    assert orders(USER, pids) == {((pids,), (USER,))}


@pytest.mark.parametrize(("word", "name"), [("net", "net"), ("network", "net"), ("mount", "mnt"), ("user", "user")])
def test_kinds(word, name):
    assert kind_named(word) == name


@pytest.mark.parametrize("word", ["", "nets", "pid_for_children", None, 5, b"net"])
def test_no_kinds(word):
    with pytest.raises(InvalidConfig, match=r"option here: .*user, cgroup"):
        kind_named(word, "here")
