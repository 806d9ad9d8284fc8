"""What confines a process of a container, as far as its config.json says."""

from __future__ import annotations

import pytest

from pycgroups._native.calls import lib
from pycgroups.errors import InvalidConfig
from pycgroups.oci import runtime_spec as oci
from pycgroups.oci.uncommon import Hook, Hooks
from pycgroups.runtime import confinement, hooks

PROCESS = oci.Process(args=("a",))
NOTIFY, ALLOW = "SCMP_ACT_NOTIFY", "SCMP_ACT_ALLOW"


def rule(action, *names):
    return oci.SyscallRule(names=names, action=action)


def profile(*rules, default=ALLOW, **options):
    return oci.Seccomp(default_action=default, syscalls=rules, **options)


def test_without_a_profile_there_is_no_filter():
    manner = confinement.manner(PROCESS, None)
    assert (manner.seccomp_filter, manner.init, manner.home) == (b"", False, True)


@pytest.mark.parametrize(
    ("of", "listens"),
    [
        (profile(), False),
        (profile(rule("SCMP_ACT_ERRNO", "mkdir")), False),
        (profile(rule(NOTIFY, "mkdir")), True),
        (profile(rule(ALLOW, "read", "write"), default=NOTIFY), True),
    ],
)
def test_who_asks_for_a_listener(of, listens):
    assert confinement.has_listener(of) is listens
    flags = confinement.manner(PROCESS, of).seccomp_flags
    assert bool(flags & lib.SECCOMP_FILTER_FLAG_NEW_LISTENER) is listens


def test_threads_are_not_synchronised_where_there_is_one():
    flags = ("SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG")
    asked = confinement.manner(PROCESS, profile(rule(NOTIFY, "mkdir"), flags=flags)).seccomp_flags
    assert asked == lib.SECCOMP_FILTER_FLAG_LOG | lib.SECCOMP_FILTER_FLAG_NEW_LISTENER
    alone = confinement.manner(PROCESS, profile(flags=flags)).seccomp_flags
    assert alone == lib.SECCOMP_FILTER_FLAG_LOG | lib.SECCOMP_FILTER_FLAG_TSYNC


def test_a_listener_needs_a_socket():
    with pytest.raises(InvalidConfig, match="listenerPath"):
        confinement.connect(profile(rule(NOTIFY, "mkdir")))


def test_labels_for_mounts(monkeypatch):
    from pycgroups.security import lsm

    assert confinement.mount_label(None) is None
    monkeypatch.setattr(lsm.os.path, "exists", lambda _: False)
    assert confinement.mount_label("a:b:c") is None
    monkeypatch.setattr(lsm.os.path, "exists", lambda _: True)
    assert confinement.mount_label("a:b:c") == "a:b:c"


def test_hooks_by_their_names():
    one = (Hook(path="/a"),)
    made = Hooks(
        prestart=one, create_runtime=one, create_container=one, start_container=one, poststart=one, poststop=one
    )
    expected = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"]
    assert dict(hooks.by_name(made)) == dict.fromkeys(expected, one)
    assert [name for name, _ in hooks.by_name(made)] == expected == list(made.to_json())
    assert set(expected[:3]) == hooks.EARLY
