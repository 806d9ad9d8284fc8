"""The validation programs of opencontainers/runtime-tools: what they say of `pycgroups-oci`, or of another runtime.

    python -m tests.conformance [--runtime PROGRAM] [NAME...]

Each creates containers by way of the runtime's command line and asserts what the OCI runtime specification says. They
are written in Go; `build` fetches them in the version that Debian has, and builds them. What is expected of each, and
why some cannot pass, is in expected.toml.

Debian packages: those of LONG_PACKAGES in the Makefile.
"""
