"""Settings of the unit tests alone (hypothesis takes seconds to import in the virtual machine)."""

from __future__ import annotations

import hypothesis

# No deadline, and none for making examples: the machine may be busy. No database: the tree may be read-only.
SLOW = hypothesis.HealthCheck.too_slow
hypothesis.settings.register_profile("tests", deadline=None, database=None, suppress_health_check=[SLOW])
hypothesis.settings.load_profile("tests")
