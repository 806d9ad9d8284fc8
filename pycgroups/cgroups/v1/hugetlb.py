"""Huge pages on v1 (cgroup-v1/hugetlb.rst)."""

from __future__ import annotations

from pycgroups.cgroups.v2 import hugetlb


class Hugetlb(hugetlb.Hugetlb):
    """hugetlb.SIZE.limit_in_bytes, hugetlb.SIZE.rsvd.limit_in_bytes (kernel 5.7)."""

    suffix = "limit_in_bytes"
