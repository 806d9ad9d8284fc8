"""cgroup v2: one hierarchy for all (kernel: Documentation/admin-guide/cgroup-v2.rst)."""
