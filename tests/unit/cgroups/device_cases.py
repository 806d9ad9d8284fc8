"""Lists of device rules to try, accesses to ask for, and the plain reading of what is to come of them."""

from __future__ import annotations

from itertools import product

from hypothesis import strategies as st

from pycgroups.cgroups.device_rules import MKNOD, READ, WRITE
from pycgroups.oci.resources import DeviceRule

NUMBERS = range(3)
"Numbers that rules name: few, so that rules meet."
DEVICES = tuple(product("bc", range(4), range(4)))
"Devices to ask for: with a major and a minor that no rule names."
KINDS = {"r": READ, "w": WRITE, "m": MKNOD}
ACCESSES = ("r", "w", "m", "rw")
"What the kernel asks for: an open reads, writes, or both; mknod is alone."

_numbers = st.none() | st.just(-1) | st.sampled_from(NUMBERS)
rules = st.lists(
    st.builds(
        DeviceRule,
        allow=st.booleans(),
        type=st.sampled_from([None, "a", "b", "c"]),
        major=_numbers,
        minor=_numbers,
        access=st.sampled_from([None, "r", "w", "m", "rw", "wm", "rm", "mrw"]),
    ),
    max_size=8,
)


def allowed(given, device, access):
    """Tell whether a device may be used in all these ways: for each, the last rule that matches decides."""
    return all(_decided(given, device, letter) for letter in access)


def _decided(given, device, letter):
    type_, major, minor = device
    decision = False
    for rule in given:
        if (
            rule.type in (None, "a", type_)
            and rule.major in (None, -1, major)
            and rule.minor in (None, -1, minor)
            and letter in (rule.access or "rwm")
        ):
            decision = rule.allow
    return decision


def bits(access):
    return sum(KINDS[letter] for letter in access)
