"""Symlinks of the host that a container gets a copy of, where others get what they lead to: mounts with "copy-symlink".

By this option crun knows podman's ``--mount type=bind,no-dereference``.
"""

from __future__ import annotations

import os

from pycgroups.runtime import mount_options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from pycgroups.oci.runtime_spec import Mount


def read(mounts: Iterable[Mount], bundle: str) -> dict[str, str]:
    """Return where those lead that are symlinks, by their places in the container; the others are mounted."""
    found = {}
    for mount in mounts:
        options = mount_options.parse(mount.options)
        if options.copy_link and options.bind:
            source = os.path.join(bundle, mount.source or "")
            if os.path.islink(source):
                found[mount.destination] = os.readlink(source)
    return found
