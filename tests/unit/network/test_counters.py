"""The counters of interfaces, as the kernel writes them."""

from __future__ import annotations

import os

from pycgroups.network import counters

TEXT = """\
Inter-|   Receive                  |  Transmit
 face |bytes    packets errs drop  |bytes    packets errs drop
    lo: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16
eth0:1:18446744073709551615 2 0 0 0 0 0 0 90 100 0 0 0 0 0 0
"""


def test_each_interface_has_its_own():
    loopback, alias = counters.parse(TEXT)
    assert loopback == counters.InterfaceStats(
        name="lo",
        received_bytes=1,
        received_packets=2,
        received_errors=3,
        received_dropped=4,
        sent_bytes=9,
        sent_packets=10,
        sent_errors=11,
        sent_dropped=12,
    )
    assert (alias.name, alias.received_bytes, alias.sent_bytes) == ("eth0:1", 2**64 - 1, 90)


def test_what_is_no_line_is_passed_over():
    assert counters.parse("") == counters.parse("eth0: 1 2\nnothing\n") == ()


def test_of_a_process():
    assert counters.read(os.getpid()) is not None
    assert counters.read(2**22 + 1) is None
