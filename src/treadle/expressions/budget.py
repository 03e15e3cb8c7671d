"""The bound on work: queries and XPath expressions count what they do, since the core knows no clock.

One unit is about a tenth of a microsecond on a machine of these days, so that a whole budget is gone in a fraction of a
second, whatever the document and the data are.
"""

from treadle.errors import ExpressionInvalid

UNITS = 1_000_000
"""What one query or expression may spend on one context."""
MAX_LENGTH = 20_000
"""How many characters a query or expression may have: libraries take time and memory for each."""


class OutOfBudget(ExpressionInvalid):
    """The work on one context came to more than the budget; the expression was not evaluated."""


class Budget:
    """What is left to spend."""

    __slots__ = ("left",)

    def __init__(self, units: int = UNITS) -> None:
        self.left = units

    def spend(self, units: int) -> None:
        """Take units away.

        Raises:
            OutOfBudget: there are not as many.
        """
        self.left -= units
        if self.left < 0:
            raise OutOfBudget("it takes too long on this data")
