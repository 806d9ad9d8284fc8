"""cgroup v1: one hierarchy per controller, or per few (kernel: Documentation/admin-guide/cgroup-v1/)."""
