"""The ticks of one symbol and its alerts: which price a tick has, which alerts it triggers, and what has to be stored of it."""

from collections.abc import Iterable

import msgspec
import numpy as np

from openbell.adapters.stores.alert_rules import PRICE_MAX
from openbell.adapters.stores.alerts import Firing, Standing
from openbell.model import enums
from openbell.services.alerts.thresholds import FloatArray, IntArray, Thresholds
from openbell.services.topics.places import Places, Reached
from openbell.services.trader.intake import EventArray


class Kept(msgspec.Struct, array_like=True):
    """What is stored of one symbol. Its alerts are in their own table."""

    reached: Reached = {}
    last: float | None = None  # the latest price
    has_traded: bool = False


class Watch:
    """One symbol: how far its ticks have been taken, and the alerts that stand."""

    def __init__(self, kept: Kept) -> None:
        self.places = Places(kept.reached)
        self.standing = Thresholds(kept.last)
        self._has_traded = kept.has_traded
        self._revisions: dict[int, int] = {}

    def change(self, rows: Iterable[Standing]) -> None:
        """Alerts are new, or are not active any more; what is known already stays as it is."""
        found = {row.id: row for row in rows}
        self.standing.discard(found)
        self.standing.add((row.id, row.condition, row.target_price) for row in found.values() if row.status == "active")
        self._revisions |= {row.id: row.revision for row in found.values()}

    def take(self, events: EventArray) -> list[Firing]:
        """Take ticks (dtype EVENT); returns what they trigger."""
        rows, prices, self._has_traded = prices_of(events, self._has_traded)
        met = self.standing.take(prices)
        return [
            Firing(id, 1, self._revisions[id], int(events["ts_event"][rows[at]]), float(prices[at]), float(prices[at])) for id, at in met
        ]

    def kept(self) -> Kept:
        """What is to be stored."""
        return Kept(self.places.reached, self.standing.last, self._has_traded)


def prices_of(events: EventArray, has_traded: bool) -> tuple[IntArray, FloatArray, bool]:
    """The prices in ticks, as they are shown: of each trade, and before the first one the middle of each quote.

    Returns their rows, the prices, and whether there has been a trade. What the kernel refuses is passed over.
    """
    kinds = events["kind"]
    rows: IntArray = np.flatnonzero(kinds == enums.TRADE)
    prices, lots = events["trade"]["price"][rows], events["trade"]["quantity"][rows]
    usable = (prices > 0.0) & (prices < PRICE_MAX) & (lots >= 0)
    rows, prices = rows[usable], prices[usable]
    if has_traded:
        return rows, prices, True
    quotes: IntArray = np.flatnonzero(kinds == enums.QUOTE)
    quotes = quotes[: int(np.searchsorted(quotes, rows[0]))] if len(rows) else quotes
    bids, asks = events["quote"]["bid_price"][quotes], events["quote"]["ask_price"][quotes]
    usable = (bids > 0.0) & (bids <= asks) & (asks < PRICE_MAX)
    middles = (bids[usable] + asks[usable]) / 2.0
    return np.concatenate([quotes[usable], rows]), np.concatenate([middles, prices]), len(rows) > 0
