"""A terminal that rich draws on, and redraws. The cursor is never hidden: however this ends, nobody brings it back."""

from __future__ import annotations

from rich.console import Console


class Screen(Console):
    """It is like any other, with a cursor."""

    def show_cursor(self, show: bool = True) -> bool:  # noqa: ARG002, FBT (rich's)
        """Leave it as it is."""
        return False
