"""``python -m pycgroups.oci_cli``."""

from pycgroups.oci_cli import main

if __name__ == "__main__":
    main()
