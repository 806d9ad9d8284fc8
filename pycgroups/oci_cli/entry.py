"""What bin/pycgroups-oci.c has Python do that is beside this file, where the file of a command's modules is not.

It is compiled anew each time, so it is short.
"""

import sys

if __name__ == "__main__":
    sys.path.append(__file__.rsplit("/", 3)[0])
    from pycgroups.oci_cli.bundle import enter

    enter()
