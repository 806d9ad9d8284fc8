"""``python -m pycgroups``."""

from pycgroups.cli import main

if __name__ == "__main__":
    main()
