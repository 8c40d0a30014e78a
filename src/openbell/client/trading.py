"""Trading, as a client does it: orders that are placed once however often they are sent, the portfolio, and strategies."""

from typing import Literal
from urllib.parse import quote
from uuid import uuid4

from openbell.client.asking import Asking
from openbell.client.transport import LostError
from openbell.errors import BusError, OrderInDoubtError
from openbell.services.views import (
    Equity,
    NewOrder,
    Order,
    Orders,
    OrderType,
    Portfolio,
    Side,
    Strategies,
    StrategyState,
    StrategyView,
    TimeInForce,
)

#: Orders in one answer.
PAGE_MAX = 2_000


class Trading(Asking):
    """A part of the client. `owner`: of this user; an administrator may name others, and by default sees all."""

    def submit(
        self,
        symbol: str,
        side: Side,
        quantity: float,
        *,
        type: OrderType = "market",
        limit_price: float | None = None,
        stop_price: float | None = None,
        time_in_force: TimeInForce = "gtc",
        idempotency_key: str = "",
    ) -> Order:
        """Place an order and return it as it stands; a denied one says why in `reason`.

        It is sent again when no answer comes, with the same Idempotency-Key (by default a new one), so it is placed once. OrderInDoubtError
        when there is no answer even so: it names the key, with which it can be submitted again.
        """
        key = idempotency_key or uuid4().hex
        wanted = NewOrder(symbol, side, quantity, type, limit_price, stop_price, time_in_force)
        try:
            return self._send("POST", "/orders", Order, wanted, key)
        except (LostError, BusError) as error:
            do = f"submit it again with idempotency_key={key!r}, which places it once, or look at orders()"
            raise OrderInDoubtError(error.found, "an answer that says what became of the order", do) from None

    def cancel(self, order_id: str) -> Order:
        """Cancel an open order. UsageError for one that is not open any more; it is not sent again when no answer comes."""
        return self._send("DELETE", f"/orders/{quote(order_id, safe='')}", Order)

    def orders(self, *, owner: str = "", limit: int = 100) -> list[Order]:
        """The newest orders, newest first; longer lists are asked for in pages."""
        return self._pages("/orders", Orders, lambda page: page.orders, limit, PAGE_MAX, owner=owner)

    def portfolio(self, *, owner: str = "") -> Portfolio:
        """Positions, cash and the newest executions, at the latest prices."""
        return self._get("/portfolio", Portfolio, owner=owner)

    def equity(self, *, owner: str = "", limit: int = 2_000) -> list[tuple[int, float]]:
        """The equity curve: pairs of time (ms since 1970 UTC) and equity."""
        return self._get("/portfolio/equity", Equity, owner=owner, limit=limit).points

    def strategies(self, *, owner: str = "") -> list[StrategyView]:
        """Strategies with their accounts, and the accounts for orders of users."""
        return self._get("/strategies", Strategies, owner=owner).strategies

    def steer(self, strategy: str, action: Literal["start", "pause", "kill"]) -> StrategyState:
        """Start a strategy, pause it (what it holds stays), or kill it (its open orders are canceled too)."""
        return self._send("POST", f"/strategies/{quote(strategy, safe='')}/{action}", StrategyState)
