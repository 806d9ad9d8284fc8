"""A container in a mount namespace of others: what it has, and what is refused since it would have to be mounted. Pure.

Its root file system is that of the namespace, as its mounts are: nothing is mounted, made or covered there. So it has
neither masked paths nor a /proc of its own, which shows the processes of whoever mounted it. All else a container has:
namespaces of the other kinds, a user and capabilities, no_new_privs, a filter, limits.

What has to be written in /proc, whose files in there are somebody else's to arrange, is written before, or refused.
"""

from __future__ import annotations

from pycgroups.errors import invalid

_ROOT = "nothing is mounted in a mount namespace that is there, and its root is what it is"
_PROC = "it is set by /proc, and that is somebody else's in a mount namespace that is there"
_REFUSED = {
    **dict.fromkeys(
        ("rootfs", "image", "pull", "platform", "disk", "mounts", "volumes", "workspace", "read_only"), _ROOT
    ),
    **dict.fromkeys(("devices", "masked_paths", "readonly_paths", "dns", "extra_hosts"), _ROOT),
    **dict.fromkeys(("apparmor", "selinux_label", "sysctls"), _PROC),
}
_AS_IT_IS = {"image": "host"}


def check(given: dict[str, object]) -> None:
    """Refuse what cannot be had in a mount namespace of others.

    Args:
        given: the options that are not as they are by default.

    Raises:
        InvalidConfig: there is such an option.
    """
    for option, reason in _REFUSED.items():
        if option in given and given[option] != _AS_IT_IS.get(option):
            raise invalid(option, given[option], f"{option} or namespaces['mnt'], not both: {reason}")
    user, groups = given.get("user") or (), given.get("groups") or ()
    for option, ids in (("user", user), ("groups", groups)):
        for id_ in ids:  # type: ignore[attr-defined]
            if isinstance(id_, str):
                raise invalid(
                    option, id_, "numbers with namespaces['mnt']: its names are not known before it is joined"
                )
