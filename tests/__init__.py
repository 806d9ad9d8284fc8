"""The tests of pycgroups, and the worlds they run in."""
