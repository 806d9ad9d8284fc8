"""Settings of the unit tests alone (hypothesis takes seconds to import in the virtual machine)."""

from __future__ import annotations

import hypothesis

# No deadline: the machine may be busy. No database: the tree may be read-only.
hypothesis.settings.register_profile("tests", deadline=None, database=None)
hypothesis.settings.load_profile("tests")
