"""Networks of containers.

rtnetlink.py    links and addresses of a network namespace, as messages to the kernel
devices.py      a device of the host for a container
counters.py     what went through the interfaces of a network namespace
listening.py    who listens on which port
"""
