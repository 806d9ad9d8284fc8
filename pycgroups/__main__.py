"""``python -m pycgroups``."""

import sys

from pycgroups.cli import main

if __name__ == "__main__":
    sys.exit(main())
