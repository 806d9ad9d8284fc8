"""Handles and objects of RDMA devices on v1 (cgroup-v1/rdma.rst): the file of v2."""

from __future__ import annotations

from pycgroups.cgroups.v2 import rdma


class Rdma(rdma.Rdma):
    """rdma.max."""
