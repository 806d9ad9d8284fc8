"""Show what the programs say of a runtime: ``python -m tests.conformance --help``."""

from __future__ import annotations

import argparse
from pathlib import Path

from tests import conformance
from tests.conformance import build, suite

OURS = Path(__file__).parents[2] / ".venv/bin/pycgroups-oci"


def main() -> None:
    """Run those that are named, or all."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.conformance",
        description=conformance.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--runtime", metavar="PROGRAM", default=str(OURS))
    parser.add_argument("--verbose", action="store_true", help="all that they write")
    parser.add_argument("names", nargs="*", metavar="NAME")
    args = parser.parse_args()
    build.build()
    good = 0
    names = args.names or suite.names()
    for name in names:
        verdict = suite.run(name, args.runtime)
        good += verdict.passed
        print(f"{'passes' if verdict.passed else 'FAILS '} {name}", flush=True)
        if args.verbose or not verdict.passed:
            print("    " + (verdict.output if args.verbose else verdict.complaints).replace("\n", "\n    "), flush=True)
    print(f"{good} of {len(names)} pass")


if __name__ == "__main__":
    main()
