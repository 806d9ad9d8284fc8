"""The worlds that the tests run in, one pytest session each.

    python -m tests.worlds [--world NAME]... [-- PYTEST ARGUMENTS...]

| world | where | who |
| --- | --- | --- |
| unit | this machine | whoever calls; needs no privilege |
| host | this machine | root |
| rootless | this machine | an ordinary user with subordinate ids in /etc/subuid |
| rootless-single | this machine | an ordinary user with a single id; with --long also what is the same with many |
| account | this machine | the caller, where that is not root (instead of the three above) |
| vm | a virtual machine with cgroup v2 alone | root; with --long also what asks nothing of cgroups |
| vm-user | the same | an ordinary user with a delegated cgroup; with --long also what does not depend on that |
| vm-bare | the same | an ordinary user in a cgroup of root's; the tests of limits alone |
| vm-systemd | the same, with systemd as its init | root; the tests of systemd alone |
| vm-session | the same | an ordinary user with a systemd of his own, in a cgroup of root's; likewise |

What a test needs of its world it says with ``@pytest.mark.requires(...)``, in the words of `tests.worlds.features`.
"""
