"""Tar archives as streams, read with suspicion and written reproducibly; tar(5), pax(1), and the manual of GNU tar."""
