"""The account of a user's own orders."""

from typing import Any

from openbell.strategies.strategy import Strategy


class Manual(Strategy):
    """Decides nothing: its account holds what users buy and sell by hand, within the same risk checks."""

    def on_fill(self, fill: Any, broker: Any) -> None:
        """Nothing to decide."""
