"""What bin/pycgroups-oci.c has Python do: as a program where it finds this file beside that Python, else imported.

It is compiled anew each time, so it is short.
"""

import posix
import sys

_LOCALE, _CALLERS = b"LC_ALL", b"PYCGROUPS_LC_ALL"


def enter() -> None:
    """Run the command that the arguments of this process ask for, with the locale of its caller; it ends here."""
    callers = posix.environ.pop(_CALLERS, None)
    posix.unsetenv(_CALLERS)
    if callers is None:
        posix.environ.pop(_LOCALE, None)
        posix.unsetenv(_LOCALE)
    else:
        posix.environ[_LOCALE] = callers
        posix.putenv(_LOCALE, callers)
    from pycgroups.oci_cli import main

    main()


if __name__ == "__main__":
    sys.path.append(__file__.rsplit("/", 3)[0])
    enter()
