"""What is to be reached, and what was: ratios of rows of one run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from benchmarks import table

if TYPE_CHECKING:
    from collections.abc import Sequence


@attrs.frozen(kw_only=True)
class Figure:
    """One line of the comparison.

    Attributes:
        what: what was measured.
        against: what it is divided by; "" where the value stands for itself.
        value: the ratio, or the value in `unit`; None when a part of it couldn't be measured.
        target: what it must not exceed, or stay below if `more`; None where it is to be known and no more.
        aim: the same, for what would be fine; None where there is none.
        unit: "x" for a ratio, else that of the value: "ms", "MiB".
        more: whether more is better.
    """

    what: str
    against: str = ""
    value: float | None
    target: float | None = None
    aim: float | None = None
    unit: str = "x"
    more: bool = False

    @property
    def reached(self) -> str:
        """Return "aim", "target", "no", "not measured", or "" where there is no target."""
        if self.value is None:
            return "not measured"
        if self.target is None:
            return ""
        for name, bound in (("aim", self.aim), ("target", self.target)):
            if bound is not None and (self.value >= bound if self.more else self.value <= bound):
                return name
        return "no"

    def cells(self) -> list[str]:
        """Return the line of the table."""
        sign = ">=" if self.more else "<="
        bounds = ["" if bound is None else f"{sign} {bound:g} {self.unit}" for bound in (self.target, self.aim)]
        value = "" if self.value is None else f"{self.value:.3g} {self.unit}"
        return [self.what, self.against, value, *bounds, self.reached]


def ratio(part: float | None, whole: float | None) -> float | None:
    """Divide what was measured."""
    return None if part is None or not whole else part / whole


def render(figures: Sequence[Figure]) -> str:
    """Return all of them as a table."""
    header = ["what", "against", "measured", "to reach", "aim", "reached"]
    return table.render(header, [figure.cells() for figure in figures], right=(2, 3, 4))
