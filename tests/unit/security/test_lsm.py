"""A label that was asked for is applied or refused, never forgotten."""

from __future__ import annotations

import pytest

from pycgroups.errors import InvalidConfig, Unsupported
from pycgroups.security.lsm import check_apparmor, check_selinux


@pytest.fixture
def sysfs(tmp_path):
    def write(path, text):
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return str(tmp_path)

    return write


def test_apparmor(sysfs):
    sys = sysfs("module/apparmor/parameters/enabled", "Y\n")
    assert check_apparmor("mine", sysfs=sys) == ("attr/apparmor/exec", "exec mine")
    sysfs("kernel/security/apparmor/profiles", "docker-default (enforce)\n/usr/bin/man (x) (complain)\n")
    assert check_apparmor("docker-default", sysfs=sys) == ("attr/apparmor/exec", "exec docker-default")
    assert check_apparmor("/usr/bin/man (x)", sysfs=sys) == ("attr/apparmor/exec", "exec /usr/bin/man (x)")
    assert check_apparmor("unconfined", sysfs=sys) == ("attr/apparmor/exec", "exec unconfined")
    with pytest.raises(Unsupported, match="apparmor_parser"):
        check_apparmor("mine", sysfs=sys)


@pytest.mark.parametrize("enabled", [None, "N\n", ""])
def test_no_apparmor(sysfs, tmp_path, enabled):
    if enabled is not None:
        sysfs("module/apparmor/parameters/enabled", enabled)
    with pytest.raises(Unsupported, match="AppArmor is not enabled") as caught:
        check_apparmor("docker-default", sysfs=str(tmp_path))
    assert caught.value.path == "docker-default"
    assert caught.value.hint


def test_selinux(sysfs):
    sys = sysfs("fs/selinux/enforce", "1")
    assert check_selinux("u:r:t:s0", sysfs=sys) == ("attr/exec", "u:r:t:s0")


def test_no_selinux(tmp_path):
    with pytest.raises(Unsupported, match="SELinux is not enabled") as caught:
        check_selinux("u:r:t:s0", sysfs=str(tmp_path))
    assert caught.value.hint


@pytest.mark.parametrize("text", ["", "a\nb", "a\0b", 5, None])
@pytest.mark.parametrize(("check", "option"), [(check_apparmor, "apparmor"), (check_selinux, "selinux_label")])
def test_text_that_is_no_label(check, option, text):
    with pytest.raises(InvalidConfig) as caught:
        check(text)
    assert caught.value.path == option
