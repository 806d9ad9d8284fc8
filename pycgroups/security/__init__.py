"""What stands between the program inside and the host: capabilities, seccomp, masked paths, security labels.

Policy as data and pure functions; the launch plan carries the outcome to the kernel.
"""
