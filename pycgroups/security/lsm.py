"""AppArmor profiles and SELinux labels: what to write before exec, or why this host cannot.

A label that was asked for and cannot be applied is an error: a container never runs with less than that.
"""

from __future__ import annotations

import os

from pycgroups.errors import InvalidConfig, Unsupported


def check_apparmor(profile: str, *, sysfs: str = "/sys") -> tuple[str, str]:
    """Return the file and the text that confine the next exec by an AppArmor profile.

    The path is relative to ``/proc/thread-self``, and needs Linux 5.8. Source: aa_change_onexec(2).

    Args:
        profile: name of a loaded profile, or ``"unconfined"``.
        sysfs: where sysfs is mounted.

    Raises:
        InvalidConfig: the name is empty or has control characters.
        Unsupported: AppArmor is not enabled, or the profile is not loaded.
    """
    _check_text("apparmor", profile)
    if _read(f"{sysfs}/module/apparmor/parameters/enabled").strip() != "Y":
        raise Unsupported(
            "AppArmor is not enabled in this kernel",
            operation="use AppArmor profile",
            path=profile,
            hint="boot with apparmor=1 security=apparmor, or leave the option apparmor out",
        )
    # Root only, and only where securityfs is mounted: otherwise the kernel answers at the write.
    loaded = _read(f"{sysfs}/kernel/security/apparmor/profiles")
    names = {line.rpartition(" (")[0] for line in loaded.splitlines()} | {"unconfined"}
    if loaded and profile not in names:
        raise Unsupported(
            "no such profile is loaded",
            operation="use AppArmor profile",
            path=profile,
            hint="load it with apparmor_parser -r FILE; aa-status lists what is loaded",
        )
    return "attr/apparmor/exec", f"exec {profile}"


def check_selinux(label: str, *, sysfs: str = "/sys") -> tuple[str, str]:
    """Return the file and the text that give the next exec an SELinux label.

    The path is relative to ``/proc/thread-self``. Source: setexeccon(3).

    Args:
        label: a context, for example ``"system_u:system_r:container_t:s0:c1,c2"``.
        sysfs: where sysfs is mounted.

    Raises:
        InvalidConfig: the label is empty or has control characters.
        Unsupported: SELinux is not enabled.
    """
    _check_text("selinux_label", label)
    if not has_selinux(sysfs):
        raise Unsupported(
            "SELinux is not enabled in this kernel, or selinuxfs is not mounted",
            operation="use SELinux label",
            path=label,
            hint="boot with security=selinux selinux=1, or leave the option selinux_label out",
        )
    return "attr/exec", label


def has_selinux(sysfs: str = "/sys") -> bool:
    """Tell whether SELinux is enabled, enforcing or not."""
    return os.path.exists(f"{sysfs}/fs/selinux/enforce")


def _check_text(option: str, text: object) -> None:
    if not isinstance(text, str) or not text or not text.isprintable():
        raise InvalidConfig("allowed: a string of printable characters", operation="option", path=option)


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError:
        return ""
