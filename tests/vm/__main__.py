"""The command line of the test machine: ``python -m tests.vm --help``."""

from __future__ import annotations

import argparse
import os
import sys

from tests import vm
from tests.vm import machine

KEEP = ("CI", "PYCGROUPS_TEST_WORLD", "TERM")
"What the command inherits of the caller's environment."


def main() -> int:
    """Run one command in the machine; 125 is a failure of the machine itself."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.vm", description=vm.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--user", action="store_true", help="run as an ordinary user")
    places = "; ".join(f"{name}: {text}" for name, text in machine.CGROUPS.items())
    parser.add_argument("--cgroups", choices=machine.CGROUPS, default="service", help=places)
    parser.add_argument("--timeout", type=float, default=4500.0, help="seconds, the boot included (default: 4500)")
    parser.add_argument("command", nargs="+", metavar="-- COMMAND")
    args = parser.parse_args()
    env = {name: os.environ[name] for name in KEEP if name in os.environ}
    try:
        job = machine.Job(command=args.command, env=env, as_user=args.user, cgroups=args.cgroups, timeout=args.timeout)
        return machine.run(job)
    except machine.VmError as error:
        print(f"vm: {error}", file=sys.stderr)
        return 125


if __name__ == "__main__":
    sys.exit(main())
