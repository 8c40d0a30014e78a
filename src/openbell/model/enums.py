"""The integers of the field: event kinds, order words, reasons. Plain ints, because compiled code folds them."""

# Kinds of event: everything that can change a decision.
#: A trade printed by the venue.
TRADE = 1
#: A change of the best bid or offer.
QUOTE = 2
#: A finished candle from history.
BAR = 3
#: Time passed: closes candles in quiet markets, fires strategy timers.
TIMER = 4
#: What a broker outside the kernel answered about one order.
REPLY = 5
#: What a user asked for: an order, a cancellation, a pause.
REQUEST = 6
EVENT_NAMES = {TRADE: "trade", QUOTE: "quote", BAR: "bar", TIMER: "timer", REPLY: "reply", REQUEST: "request"}

# Kinds of command: everything the kernel tells the outside.
#: Submit the order to the venue.
SUBMIT = 1
#: Change the price or quantity of a working order.
MODIFY = 2
#: Cancel a working order.
CANCEL = 3
#: An order reached a new status.
ORDER = 4
#: An order traded.
FILL = 5
#: A strategy decided something, before any risk check.
SIGNAL = 6
#: A candle closed.
CANDLE = 7
#: The worth of all accounts at a moment.
EQUITY = 8
#: An event was not used: `reason` says why.
REFUSED = 9
#: The state of a strategy changed.
STATE = 10
COMMAND_NAMES = {
    SUBMIT: "submit", MODIFY: "modify", CANCEL: "cancel", ORDER: "order", FILL: "fill", SIGNAL: "signal", CANDLE: "candle",
    EQUITY: "equity", REFUSED: "refused", STATE: "state",
}  # fmt: skip

BUY = 1
SELL = -1
SIDE_NAMES = {BUY: "buy", SELL: "sell", 0: "none"}

# Order types.
MARKET = 1
LIMIT = 2
STOP = 3
STOP_LIMIT = 4
ORDER_TYPE_NAMES = {MARKET: "market", LIMIT: "limit", STOP: "stop", STOP_LIMIT: "stop_limit"}

# Time in force.
#: Until canceled.
GTC = 1
#: Until the end of the instrument's trading day.
DAY = 2
#: What trades at once trades, the rest is canceled.
IOC = 3
#: All at once or nothing.
FOK = 4
TIME_IN_FORCE_NAMES = {GTC: "gtc", DAY: "day", IOC: "ioc", FOK: "fok"}

# What an order's size is stated in.
#: Lots of the instrument.
BY_QUANTITY = 1
#: Money, turned into lots at the price of the fill.
BY_NOTIONAL = 2
#: A fraction of the free cash at the fill, fees included: 1.0 is all-in.
BY_CASH = 3

# Order status (FIX OrdStatus words).
#: Checked, on its way to the venue.
SUBMITTED = 1
#: Working at the venue.
ACCEPTED = 2
PARTIALLY_FILLED = 3
#: A cancellation is on its way.
PENDING_CANCEL = 4
#: A modification is on its way.
PENDING_MODIFY = 5
#: Sent, and nobody knows whether it arrived; its exposure stays reserved.
UNKNOWN = 6
FILLED = 7
CANCELED = 8
EXPIRED = 9
#: Refused by the venue.
REJECTED = 10
#: Refused by our own risk checks; never sent.
DENIED = 11
STATUS_NAMES = {
    SUBMITTED: "submitted", ACCEPTED: "accepted", PARTIALLY_FILLED: "partially_filled", PENDING_CANCEL: "pending_cancel",
    PENDING_MODIFY: "pending_modify", UNKNOWN: "unknown", FILLED: "filled", CANCELED: "canceled", EXPIRED: "expired",
    REJECTED: "rejected", DENIED: "denied",
}  # fmt: skip

# Trading state of a strategy's account.
#: Orders pass the checks.
ACTIVE = 1
#: No new orders; what is held stays.
PAUSED = 2
#: Only orders that reduce a position.
REDUCING = 3
#: Killed: open orders canceled, nothing new until a person arms it again.
HALTED = 4
#: A handler raised an exception.
FAULTED = 5
TRADING_STATE_NAMES = {ACTIVE: "active", PAUSED: "paused", REDUCING: "reducing", HALTED: "halted", FAULTED: "faulted"}

# What a user's request asks for.
REQUEST_SUBMIT = 1
REQUEST_CANCEL = 2
REQUEST_MODIFY = 3
REQUEST_START = 4
REQUEST_PAUSE = 5
REQUEST_KILL = 6

# Why an order was denied or ended, and why an event was refused.
NONE = 0
TRADING_STATE = 1
UNAUTHORISED = 2
INSTRUMENT_NOT_PERMITTED = 3
NOT_WELL_FORMED = 4
MAX_ORDER_QUANTITY = 5
MAX_ORDER_VALUE = 6
PRICE_COLLAR = 7
PRICE_COLLAR_OVER_TIME = 8
MARKET_PROTECTION = 9
STALE_PRICE = 10
MAX_OPEN_ORDERS = 11
INSUFFICIENT_CASH = 12
ORDER_TABLE_FULL = 13
POSITION_LIMIT = 14
UNKNOWN_ORDER = 15
NOT_FILLED_AT_ONCE = 16
END_OF_DAY = 17
BY_USER = 18
BY_STRATEGY = 19
KILLED = 20
STRATEGY_FAULT = 21
BY_VENUE = 22
LATE = 23
BAD_PRICE = 24
BAD_QUANTITY = 25
UNKNOWN_INSTRUMENT = 26
ILLEGAL_TRANSITION = 27
CROSSED_QUOTE = 28
OVERFILL = 29
REASONS = {
    NONE: "",
    TRADING_STATE: "the strategy is not active (or only allowed to reduce)",
    UNAUTHORISED: "the strategy is not authorised to trade",
    INSTRUMENT_NOT_PERMITTED: "the instrument is not in the strategy's configuration",
    NOT_WELL_FORMED: "kind, price, quantity, type or time in force is not valid",
    MAX_ORDER_QUANTITY: "above the maximum order quantity",
    MAX_ORDER_VALUE: "above the maximum order value",
    PRICE_COLLAR: "limit price outside the price collar",
    PRICE_COLLAR_OVER_TIME: "own order prices drifted beyond the collar over time",
    MARKET_PROTECTION: "no price to protect a market order with",
    STALE_PRICE: "the reference price is missing or too old",
    MAX_OPEN_ORDERS: "too many open orders",
    INSUFFICIENT_CASH: "not enough free cash",
    ORDER_TABLE_FULL: "the order table is full",
    POSITION_LIMIT: "beyond the position limit (short selling is off unless allowed)",
    UNKNOWN_ORDER: "no open order with this id",
    NOT_FILLED_AT_ONCE: "could not be filled at once",
    END_OF_DAY: "day order at the end of its day",
    BY_USER: "asked for by a user",
    BY_STRATEGY: "asked for by the strategy",
    KILLED: "the strategy was killed",
    STRATEGY_FAULT: "a handler of the strategy raised an exception",
    BY_VENUE: "refused by the venue",
    LATE: "arrived after its candle had closed",
    BAD_PRICE: "price not finite or not positive",
    BAD_QUANTITY: "quantity not positive",
    UNKNOWN_INSTRUMENT: "unknown instrument",
    ILLEGAL_TRANSITION: "not a legal step in the order's life cycle",
    CROSSED_QUOTE: "bid above offer",
    OVERFILL: "the venue filled more than the order asked for",
}

# How the simulated venue chooses the price of a market order.
#: The venue is outside: orders leave as commands, fills come back as replies.
FILL_OUTSIDE = 0
#: The next event after the order arrives: its trade, its offer or bid, its open. The default.
FILL_NEXT = 1
#: The price that stood when the order arrived, booked when the next event comes; optimistic, as most tick engines do it.
FILL_PREVAILING = 2

# Slippage, fee and latency models.
SLIPPAGE_NONE = 0
SLIPPAGE_BPS = 1
SLIPPAGE_INCREMENTS = 2
FEE_BPS = 1
FEE_PER_UNIT = 2
LATENCY_CONSTANT = 1
LATENCY_UNIFORM = 2

# Handlers a strategy may have; the order is the layout of the handler table.
ON_BAR = 0
ON_TRADE = 1
ON_QUOTE = 2
ON_FILL = 3
ON_TIMER = 4
ON_SLICE = 5
HANDLER_NAMES = ("on_bar", "on_trade", "on_quote", "on_fill", "on_timer", "on_slice")
#: Slots a strategy has in the handler table.
HANDLER_SLOTS = 8

#: A limit that is meant to be absent says so; 0 denies.
UNLIMITED = (1 << 62) - 1
UNLIMITED_BPS = 1e18
