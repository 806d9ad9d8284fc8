"""Profiles in Docker's form: what rules count on which host, and what is wrong with them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from pycgroups.containers.config import ContainerConfig
from pycgroups.errors import InvalidConfig
from pycgroups.oci.reading import from_json
from pycgroups.oci.runtime_spec import Seccomp
from pycgroups.security.bpf import compile_filter
from pycgroups.security.docker_profile import Host, is_docker, read, this_host
from tests.unit.security.bpf_machine import ALLOW, ENOSYS, EPERM, decode, real_table, run

ALLOWED = "SCMP_ACT_ALLOW"
NEW, OLD = (6, 12), (4, 7)


def profile(*rules, **more):
    return {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"action": ALLOWED, **rule} for rule in rules], **more}


def names(document, architecture="amd64", capabilities=(), kernel=NEW):
    resolved = read(document, "seccomp").resolve(Host(architecture, frozenset(capabilities), kernel))
    return [name for rule in resolved.syscalls for name in rule.names]


def conditional(**conditions):
    return profile({"names": ["ptrace"], **conditions})


@pytest.mark.parametrize(
    ("conditions", "host", "counts"),
    [
        ({}, {}, True),
        ({"includes": {}, "excludes": {}, "comment": "why"}, {}, True),
        ({"includes": None, "excludes": None}, {}, True),
        ({"includes": {"arches": ["arm64", "amd64"]}}, {}, True),
        ({"includes": {"arches": ["arm64"]}}, {}, False),
        ({"includes": {"arches": ["arm64"]}}, {"architecture": "arm64"}, True),
        ({"excludes": {"arches": ["amd64"]}}, {}, False),
        ({"excludes": {"arches": ["s390x"]}}, {}, True),
        ({"includes": {"caps": ["CAP_A", "CAP_B"]}}, {"capabilities": ["CAP_A", "CAP_B"]}, True),
        ({"includes": {"caps": ["CAP_A", "CAP_B"]}}, {"capabilities": ["CAP_A"]}, False),
        ({"excludes": {"caps": ["CAP_A", "CAP_B"]}}, {"capabilities": ["CAP_A"]}, False),
        ({"excludes": {"caps": ["CAP_A", "CAP_B"]}}, {"capabilities": ["CAP_C"]}, True),
        ({"includes": {"minKernel": "4.8"}}, {}, True),
        ({"includes": {"minKernel": "6.12"}}, {}, True),
        ({"includes": {"minKernel": "6.13"}}, {}, False),
        ({"includes": {"minKernel": "4.8"}}, {"kernel": OLD}, False),
        ({"excludes": {"minKernel": "4.8"}}, {}, False),
        ({"excludes": {"minKernel": "4.8"}}, {"kernel": OLD}, True),
        ({"includes": {"arches": ["amd64"], "caps": ["CAP_A"]}}, {}, False),
        ({"includes": {"arches": ["amd64"]}, "excludes": {"caps": ["CAP_A"]}}, {"capabilities": ["CAP_A"]}, False),
    ],
)
def test_which_rules_count(conditions, host, counts):
    assert names(conditional(**conditions), **host) == (["ptrace"] if counts else [])


def test_a_name_alone_and_architectures():
    document = profile(
        {"name": "read"},
        archMap=[
            {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]},
            {"architecture": "SCMP_ARCH_RISCV64", "subArchitectures": None},
        ],
    )
    assert names(document) == ["read"]
    found = read(document, "seccomp").profile.architectures
    assert found == ("SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_RISCV64")


def test_names_of_errors():
    document = profile({"names": ["bpf"], "action": "SCMP_ACT_ERRNO", "errno": "EACCES"}, defaultErrno="ENOSYS")
    found = read(document, "seccomp").profile
    assert (found.default_errno_ret, found.syscalls[0].errno_ret) == (38, 13)
    document["syscalls"][0]["errnoRet"] = 13
    assert read(document, "seccomp").profile == found


@pytest.mark.parametrize(
    ("document", "path"),
    [
        (profile({"names": ["a"], "includes": {"minKernel": "new"}}), "seccomp.syscalls[0].includes.minKernel"),
        (profile({"names": ["a"], "excludes": {"minKernel": 6}}), "seccomp.syscalls[0].excludes.minKernel"),
        (profile({"names": ["a"]}, {"name": "b", "names": ["c"]}), "seccomp.syscalls[1].name"),
        (profile({"names": ["a"], "includes": {"cap": ["CAP_A"]}}), "seccomp.syscalls[0].includes.cap"),
        (profile({"names": ["a"], "includes": {"caps": "CAP_A"}}), "seccomp.syscalls[0].includes.caps"),
        (profile({"names": ["a"], "includes": {"caps": [1]}}), "seccomp.syscalls[0].includes.caps"),
        (profile({"names": ["a"], "includes": ["CAP_A"]}), "seccomp.syscalls[0].includes"),
        (profile({"name": 7}), "seccomp.syscalls[0].names[0]"),
        (profile({"names": ["a"], "comment": "", "surprise": 1}), "seccomp.syscalls[0]"),
        (profile({"names": ["a"], "errno": "EWHAT"}), "seccomp.syscalls[0].errno"),
        (profile({"names": ["a"], "errno": "EPERM", "errnoRet": 2}), "seccomp.syscalls[0].errno"),
        (profile(archMap=[{"architecture": "SCMP_ARCH_X86"}], architectures=["SCMP_ARCH_X86"]), "seccomp.archMap"),
        (profile(archMap=[{"architecture": "SCMP_ARCH_X86", "sub": []}]), "seccomp.archMap[0].sub"),
        (profile(archMap={"architecture": "SCMP_ARCH_X86"}), "seccomp.archMap"),
        ({"syscalls": [{"name": "a", "action": ALLOWED}]}, "seccomp"),
    ],
)
def test_errors_name_the_place(document, path):
    assert is_docker(document)
    with pytest.raises(InvalidConfig) as caught:
        read(document, "seccomp")
    assert caught.value.path == path


def test_the_oci_form_is_not_dockers():
    assert not is_docker(profile({"names": ["read"], "errnoRet": 1}))
    assert not any(map(is_docker, ([], None, "default", {"syscalls": 1}, {"syscalls": [1]})))


def test_this_machine():
    host = this_host(frozenset({"CAP_A"}))
    assert host.architecture == {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
    assert host.kernel >= (5, 12)
    assert host.capabilities == {"CAP_A"}


def test_an_option_is_resolved_with_the_containers_capabilities(tmp_path):
    mount = {"names": ["mount"], "includes": {"caps": ["CAP_SYS_ADMIN"], "minKernel": "4.8"}}
    document = profile(mount, {"names": ["mount"], "action": "SCMP_ACT_KILL", "excludes": {"caps": ["CAP_SYS_ADMIN"]}})

    def action(**options):
        made = ContainerConfig(command="true", **options)
        assert isinstance(made.seccomp, Seccomp)
        return [rule.action for rule in made.seccomp.syscalls]

    assert action(seccomp=document) == ["SCMP_ACT_KILL"]
    assert action(seccomp=document, caps_add=["SYS_ADMIN"]) == action(seccomp=document, privileged=True) == [ALLOWED]
    assert action(seccomp=document, privileged=True, caps_drop=["SYS_ADMIN"]) == ["SCMP_ACT_KILL"]
    (tmp_path / "profile.json").write_text(json.dumps(document))
    assert action(seccomp=tmp_path / "profile.json", caps_add=["SYS_ADMIN"]) == [ALLOWED]
    plain = from_json(Seccomp, profile({"names": ["read"]}), "seccomp")
    assert ContainerConfig(command="true", seccomp=profile({"name": "read"})).seccomp == plain


PODMANS = Path("/usr/share/containers/seccomp.json")


@pytest.mark.requires("podman")
def test_podmans_own_profile():
    table = real_table()
    document = json.loads(PODMANS.read_text())

    def answer(call, *args, caps=()):
        resolved = read(document, "seccomp").resolve(this_host(frozenset(caps)))
        return run(decode(compile_filter(resolved, table)), table.audit_arch, table.numbers[call], args)

    assert [answer(call) for call in ("read", "execve", "openat")] == [ALLOW] * 3
    assert (answer("fanotify_init"), answer("fanotify_init", caps=["CAP_SYS_ADMIN"])) == (EPERM, ALLOW)
    assert (answer("personality", 8), answer("personality", 1)) == (ALLOW, ENOSYS)
