"""Huge pages on v2 (cgroup-v2.rst, "HugeTLB Interface Files"; kernel 5.6)."""

from __future__ import annotations

import os

from pycgroups.cgroups.manager import Controller, Lack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pycgroups.cgroups.files import Directory
    from pycgroups.oci.resources import Resources


class Hugetlb(Controller):
    """hugetlb.SIZE.max, hugetlb.SIZE.rsvd.max (kernel 5.7).

    The second limits what is reserved by mmap(2), which then fails; the first what is touched, by SIGBUS.
    """

    suffix = "max"

    def check(self, files: str, resources: Resources, parent: str | None = None) -> list[Lack]:  # noqa: ARG002
        """Each processor has its own page sizes."""
        sizes = [pages.page_size for pages in resources.hugepage_limits]
        absent = [size for size in sizes if not os.path.exists(f"{files}/hugetlb.{size}.{self.suffix}")]
        if not absent:
            return []
        why = f"there are no huge pages of {', '.join(absent)} here"
        return [Lack("hugepageLimits", why, "ls /sys/kernel/mm/hugepages shows the sizes")]

    def apply(self, directory: Directory, resources: Resources) -> None:
        """Write the limits; the kernel rounds down to whole pages."""
        for pages in resources.hugepage_limits:
            for name in ("", "rsvd."):
                directory.write_if_there(f"hugetlb.{pages.page_size}.{name}{self.suffix}", str(pages.limit))
