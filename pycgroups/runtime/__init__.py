"""From an OCI runtime Spec to a running process: the launch plan (pure), and its launch."""
