"""A small market to place orders in: one instrument X, one account, one event at a time.

X trades in lots of one unit, prices in steps of 0.01, money in USD with six decimals. Orders are a user's requests, which take the same way
as a strategy's. Every event comes a second after the one before, unless it says when.
"""

import numpy as np

from openbell.engine.engine import Engine
from openbell.engine.plan import Assignment, Plan
from openbell.model import enums
from openbell.model.commands import COMMAND
from openbell.model.events import EVENT
from openbell.model.jit import join
from openbell.model.plan import NO_LIMITS, Listing, Venue
from openbell.model.time import DAY, SECOND
from openbell.strategies.strategy import Strategy

#: Midnight UTC of a day.
MIDNIGHT = 19_000 * DAY
USD = 1_000_000

SIDES = {"buy": enums.BUY, "sell": enums.SELL}
TYPES = {name: value for value, name in enums.ORDER_TYPE_NAMES.items()}
TIMES_IN_FORCE = {name: value for value, name in enums.TIME_IN_FORCE_NAMES.items()}


class Idle(Strategy):
    """Does nothing: the account of a user who trades by hand."""

    compiled = False

    def on_timer(self, _event, _broker):
        """Never called, because there is no timer."""


class Scene:
    """The market, the account, and all commands so far."""

    def __init__(self, *, cash=100_000.0, limits=NO_LIMITS, listing=None, strategy=Idle, timeframe="", plan=None, start=MIDNIGHT, **venue):
        listing = listing or Listing("X", 0.01, 1.0, "USD")
        assignment = Assignment("hand", strategy, (listing.symbol,), timeframe, cash=cash, limits=limits)
        self.engine = Engine(Plan((listing,), (assignment,), Venue(**venue), **(plan or {})))
        self.now = start
        self.commands = np.zeros(0, COMMAND)

    def feed(self, kind, ts=None, **fields):
        """One event; returns the commands it caused, without samples of equity."""
        self.now = self.now + SECOND if ts is None else ts
        event = np.zeros(1, EVENT)
        event["seq"], event["ts_available"], event["ts_event"] = self.engine.head["seq"] + 1, self.now, self.now
        event["kind"] = kind
        member = event[enums.EVENT_NAMES[kind]] if kind != enums.TIMER else event
        for name, value in fields.items():
            member[name] = value
        new = self.engine.run(event)
        self.commands = join([self.commands, new])
        return new[new["kind"] != enums.EQUITY]

    def trade(self, price, quantity=1_000_000, **fields):
        return self.feed(enums.TRADE, price=price, quantity=quantity, **fields)

    def quote(self, bid, ask, bid_quantity=1_000_000, ask_quantity=1_000_000, **fields):
        return self.feed(enums.QUOTE, bid_price=bid, ask_price=ask, bid_quantity=bid_quantity, ask_quantity=ask_quantity, **fields)

    def bar(self, open, high, low, close, volume=1_000_000, timeframe_ns=SECOND, **fields):
        """A candle that starts now and is available at its end."""
        start = fields.pop("start", self.now)
        return self.feed(
            enums.BAR, ts=start + timeframe_ns, ts_event=start, timeframe_ns=timeframe_ns, open=open, high=high, low=low, close=close,
            volume=volume, **fields,
        )  # fmt: skip

    def timer(self, ts=None):
        return self.feed(enums.TIMER, ts)

    def order(self, side, type="market", quantity=10, limit=0.0, stop=0.0, tif="gtc", size_kind=enums.BY_QUANTITY, **fields):
        """Ask for an order; returns its id. It is decided now, and meets the next event."""
        self.ask(
            enums.REQUEST_SUBMIT, side=SIDES.get(side, side), order_type=TYPES.get(type, type), quantity=quantity, limit_price=limit,
            stop_price=stop, time_in_force=TIMES_IN_FORCE.get(tif, tif), size_kind=size_kind, **fields,
        )  # fmt: skip
        return (int(self.engine.head["seq"]) << 10) + 1

    def ask(self, action, **fields):
        """A request of the user, now unless it says when."""
        return self.feed(enums.REQUEST, ts=fields.pop("ts", self.now), action=action, **fields)

    def cancel(self, order_id):
        return self.ask(enums.REQUEST_CANCEL, order_id=order_id)

    def modify(self, order_id, quantity=0, limit=0.0, stop=0.0):
        return self.ask(enums.REQUEST_MODIFY, order_id=order_id, quantity=quantity, limit_price=limit, stop_price=stop)

    def reply(self, order_id, status=0, quantity=0, price=0.0, fee=0, reason=0):
        return self.feed(enums.REPLY, order_id=order_id, status=status, quantity=quantity, price=price, fee=fee, reason=reason)

    def play(self, text):
        """Events in short: `T100` a trade, `T100x5` of 5 lots, `Q99/101` a quote, `B100,105,95,102` a candle."""
        for word in text.split():
            kind, rest = word[0], word[1:]
            body, _, size = rest.partition("x")
            sizes = {"quantity": int(size)} if size else {}
            if kind == "T":
                self.trade(float(body), **sizes)
            elif kind == "Q":
                bid, ask = map(float, body.split("/"))
                self.quote(bid, ask, *([int(size)] * 2 if size else []))
            else:
                self.bar(*map(float, body.split(",")), **({"volume": int(size)} if size else {}))

    @property
    def fills(self):
        """(price, lots) of every fill."""
        return [(round(float(row["price"]), 6), int(row["quantity"])) for row in self.kind(enums.FILL)]

    @property
    def fees(self):
        """The fee of every fill in USD."""
        return [int(row["amount"]) / USD for row in self.kind(enums.FILL)]

    def kind(self, kind):
        return self.commands[self.commands["kind"] == kind]

    def last(self, order_id):
        """(status, reason) the outside was told last about an order."""
        told = self.commands[np.isin(self.commands["kind"], (enums.SUBMIT, enums.MODIFY, enums.CANCEL, enums.ORDER, enums.FILL))]
        row = told[told["order_id"] == order_id][-1]
        return enums.STATUS_NAMES.get(int(row["status"]), ""), int(row["reason"])

    @property
    def account(self):
        return self.engine.table("accounts")[0]

    @property
    def position(self):
        return self.engine.table("positions")[0]

    @property
    def cash(self):
        return int(self.account["cash"]) / USD

    def open_slots(self):
        """Rows of the orders that are open."""
        orders = self.engine.table("orders")
        return orders[(orders["status"] >= enums.SUBMITTED) & (orders["status"] <= enums.UNKNOWN)]
