"""Routes about trading: the portfolio, orders, strategies. What changes something goes through the trader's one order of events."""

import asyncio
import math
from hashlib import blake2b
from typing import Annotated, Any, Literal

import structlog
from fastapi import APIRouter, Header, Path, Query, Request, Response

from openbell.errors import BusError, StorageError, UnknownNameError, UsageError
from openbell.model import enums
from openbell.services.accounts.callers import Caller
from openbell.services.gateway.access import Access, Dealer, Reader
from openbell.services.gateway.backstage import Backstage
from openbell.services.gateway.bodies import body_of, json_response, tagged_record, with_next
from openbell.services.gateway.openapi import answers, takes
from openbell.services.plans import MAIN
from openbell.services.trader.asking import PATIENCE
from openbell.services.trader.intake import request_event
from openbell.services.trader.service import Answer
from openbell.services.views import Equity, NewOrder, Order, Orders, Portfolio, Strategies, StrategyState

_ACTIONS = {"start": enums.REQUEST_START, "pause": enums.REQUEST_PAUSE, "kill": enums.REQUEST_KILL}
_TYPES = {name: number for number, name in enums.ORDER_TYPE_NAMES.items()}
_FORCES = {name: number for number, name in enums.TIME_IN_FORCE_NAMES.items()}
_NEEDED = {"market": "none", "limit": "limit_price", "stop": "stop_price", "stop_limit": "limit_price and stop_price"}
Action = Literal["start", "pause", "kill"]
Owner = Annotated[str, Query(max_length=64, description="of this user; an administrator may name others")]
After = Annotated[str, Query(max_length=512, description="what the page before said")]
OrderId = Annotated[str, Path(pattern=r"^([A-Za-z0-9_.-]{1,64}-)?[0-9]{1,19}$")]


log = structlog.get_logger("gateway")


class Desk:
    """Takes requests to the trader and waits until their effect can be seen."""

    def __init__(self, backstage: Backstage) -> None:
        self._ask = backstage.ask
        self.names = backstage.names
        self.portfolio = backstage.portfolio
        self.owners = backstage.owners

    async def ask(self, strategy: str, action: int, **fields: Any) -> Answer:
        """Have a request carried out by the strategy's trader, and wait until the books show it. BusError when its fate is unknown."""
        trader, index = self.portfolio.find(strategy)
        answer = await self._ask(trader, request_event(action, strategy=index, **fields))
        try:
            async with asyncio.timeout(PATIENCE):
                await self.portfolio.reached(trader, answer.commands)
        except TimeoutError:
            raise BusError("what the trader decided did not arrive in time", do="look at /orders before asking again") from None
        return answer

    async def submit(self, caller: Caller, wanted: NewOrder, key: str | None) -> Order:
        """Place an order of a caller's; the same key is the same order, and it is placed once."""
        instrument = self.names.instruments.get(wanted.symbol)
        if instrument is None:
            raise UnknownNameError.of("symbol", wanted.symbol, self.names.symbols)
        if ("limit" in wanted.type) != (wanted.limit_price is not None) or ("stop" in wanted.type) != (wanted.stop_price is not None):
            raise UsageError(f"a {wanted.type} order came with {_given(wanted)}", f"{_NEEDED[wanted.type]}")
        lots = lots_of(wanted.quantity, self.names.lot_sizes[instrument])
        answer = await self.ask(
            await self.owners.for_orders(caller),
            enums.REQUEST_SUBMIT,
            instrument=instrument,
            side=enums.BUY if wanted.side == "buy" else enums.SELL,
            order_type=_TYPES[wanted.type],
            time_in_force=_FORCES[wanted.time_in_force],
            quantity=lots,
            limit_price=wanted.limit_price or 0.0,
            stop_price=wanted.stop_price or 0.0,
            order_id=fingerprint(key, caller.user_id) if key else 0,
        )
        order = self.portfolio.order(self.portfolio.replicas[MAIN].names.order_id(answer.order_id))
        assert order is not None, "an order that was answered is in the books"
        return order

    async def cancel(self, caller: Caller, order_id: str) -> Order:
        """Cancel an open order. UnknownNameError for one that is not the caller's to see."""
        order = self.portfolio.order(order_id, await self.owners.visible(caller))
        if order is None:
            raise UnknownNameError(f"there is no order '{order_id}'", do="look at /orders")
        if order.status not in ("submitted", "accepted", "partially_filled"):
            raise UsageError(f"order {order_id} is {order.status}", "an open order")
        await self.ask(order.strategy, enums.REQUEST_CANCEL, order_id=int(order_id.rpartition("-")[2]))
        return self.portfolio.order(order_id) or order

    async def act(self, caller: Caller, strategy: str, action: Action) -> StrategyState:
        """Start, pause or kill a strategy. UnknownNameError for one that is not the caller's to see.

        What was killed is started again by a person who has just proved who she is: StepUpError, and ForbiddenError for an API key.
        """
        self.portfolio.find(strategy, await self.owners.visible(caller))
        if action == "start" and self.portfolio.book(strategy).state == "halted":
            caller.need_fresh()
        await self.ask(strategy, _ACTIONS[action])
        return StrategyState(strategy, self.portfolio.book(strategy).state)


def trading_routes(backstage: Backstage) -> APIRouter:
    """The routes of one platform."""
    routes = APIRouter(tags=["trading"])
    desk, portfolio, owners = Desk(backstage), backstage.portfolio, backstage.owners

    @routes.get("/portfolio", responses=answers(Portfolio, 404, 422))
    async def accounts(caller: Reader, owner: Owner = "") -> Response:
        """Positions, cash and the newest executions of the caller's accounts, at the latest prices; an administrator sees all."""
        return json_response(portfolio.portfolio(50, await owners.chosen(caller, owner)))

    @routes.get("/portfolio/equity", responses=answers(Equity, 404, 422, tagged=True))
    async def equity(request: Request, caller: Reader, owner: Owner = "", limit: Annotated[int, Query(ge=1, le=10_000)] = 2000) -> Response:
        """The equity curve: pairs of time (ms) and equity."""
        return tagged_record(request, Equity(portfolio.equity(limit, await owners.chosen(caller, owner))))

    @routes.get("/orders", responses=answers(Orders, 404, 422, tagged=True))
    async def orders(
        request: Request, caller: Reader, owner: Owner = "", after: After = "", limit: Annotated[int, Query(ge=1, le=2_000)] = 100
    ) -> Response:
        """The newest orders, newest first. The header Link has the next page, while there is one."""
        found, last = portfolio.page(limit, await owners.chosen(caller, owner), after)
        return with_next(tagged_record(request, Orders(found)), request, last or None)

    @routes.post("/orders", status_code=201, responses=answers(Order, 404, 422, ok=201), openapi_extra=takes(NewOrder))
    async def submit(
        request: Request, caller: Dealer, idempotency_key: Annotated[str | None, Header(min_length=1, max_length=255)] = None
    ) -> Response:
        """Place an order. It passes the same risk checks as a strategy's; a denied one says why.

        Repeating an Idempotency-Key with the same body gives the same order, and with another body 422. The keys of each user are her own.
        """
        return json_response(await desk.submit(caller, await body_of(request, NewOrder), idempotency_key), 201)

    @routes.delete("/orders/{order_id}", responses=answers(Order, 404, 422))
    async def cancel(order_id: OrderId, caller: Dealer) -> Response:
        """Cancel an open order."""
        return json_response(await desk.cancel(caller, order_id))

    @routes.get("/strategies", responses=answers(Strategies, 404, 422, tagged=True))
    async def strategies(request: Request, caller: Reader, owner: Owner = "") -> Response:
        """Every strategy with its account, and the accounts for orders of users."""
        return tagged_record(request, Strategies(portfolio.strategies(await owners.chosen(caller, owner))))

    @routes.post("/strategies/{strategy}/{action}", responses=answers(StrategyState, 404, 422))
    async def act(request: Request, strategy: str, action: Action, caller: Dealer) -> Response:
        """Start a strategy, pause it (what it holds stays), or kill it (its open orders are canceled too).

        Starting one that was killed needs a step-up.
        """
        done = await desk.act(caller, strategy, action)
        await _note(request, caller, f"strategy.{action}", strategy)
        return json_response(done)

    return routes


def fingerprint(key: str, user_id: int = 0) -> int:
    """63 bits of an idempotency key of a user's, never 0: it is journaled with the order, so that a repetition is known for good."""
    salt = user_id.to_bytes(8)
    return (int.from_bytes(blake2b(key.encode(), digest_size=8, salt=salt).digest()) >> 1) | 1


def lots_of(quantity: float, lot_size: float) -> int:
    """The quantity in lots; UsageError when it is not a whole number of them: an order is placed as it was asked for, or not at all.

    >>> lots_of(0.3, 0.1), lots_of(1.23456, 0.00001)
    (3, 123456)
    """
    lots = quantity / lot_size
    if not (0.5 < lots < 1 << 60 and math.isclose(lots, round(lots), rel_tol=1e-9)):
        raise UsageError(f"quantity is {quantity!r}", f"a multiple of {lot_size:g}")
    return round(lots)


async def _note(request: Request, caller: Caller, action: str, subject: str) -> None:
    """Write it into the audit log, where there is one. It is done: a database that is away does not make it undone."""
    access: Access = request.app.state.access
    if access.has_accounts:
        try:
            await access.accounts.note(caller, action, subject, request.state.address)
        except StorageError as error:
            log.error("the audit log was not written", caller=caller.name, action=action, subject=subject, error=str(error))


def _given(wanted: NewOrder) -> str:
    given = [name for name in ("limit_price", "stop_price") if getattr(wanted, name) is not None]
    return " and ".join(given) or "no price"
