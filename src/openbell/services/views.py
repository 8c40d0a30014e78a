"""What the platform shows of itself, as it stands in the JSON of the gateway: times in ms since 1970 UTC, amounts as plain numbers."""

from typing import Annotated, Literal

import msgspec

from openbell.adapters.stores.alert_rules import Mode, Schedule, Spec
from openbell.adapters.stores.speed_layer import Candle as Candle
from openbell.adapters.stores.speed_layer import Number as Number
from openbell.adapters.stores.speed_layer import PlacedPrice as PlacedPrice
from openbell.adapters.stores.speed_layer import Price as Price
from openbell.services.analytics.records import Analytics as Analytics
from openbell.services.analytics.records import Anomalies as Anomalies
from openbell.services.analytics.records import Anomaly as Anomaly
from openbell.services.analytics.records import Bands as Bands
from openbell.services.analytics.records import Correlations as Correlations
from openbell.services.analytics.records import Mover as Mover
from openbell.services.analytics.records import Movers as Movers
from openbell.services.analytics.records import Pair as Pair
from openbell.services.analytics.records import SessionFigures as SessionFigures
from openbell.services.analytics.records import SymbolFigures as SymbolFigures
from openbell.services.analytics.records import WindowFigures as WindowFigures

Side = Literal["buy", "sell"]
OrderType = Literal["market", "limit", "stop", "stop_limit"]
TimeInForce = Literal["gtc", "day", "ioc", "fok"]
Above = Annotated[float, msgspec.Meta(gt=0.0, lt=1e15)]


class LastPrice(Price):
    """A price that says whose it is."""

    symbol: str


class Candles(msgspec.Struct):
    """Candles of one instrument and timeframe, oldest first."""

    symbol: str
    timeframe: str
    candles: list[Candle]


class Order(msgspec.Struct):
    """An order as it stands."""

    id: str
    symbol: str
    strategy: str
    side: Side
    type: OrderType
    time_in_force: TimeInForce
    status: str
    quantity: float
    filled: float
    limit_price: Number
    stop_price: Number
    average_price: Number
    reason: str | None
    ts: int


class Orders(msgspec.Struct):
    """Orders, newest first."""

    orders: list[Order]


class NewOrder(msgspec.Struct, forbid_unknown_fields=True):
    """What a user asks for."""

    symbol: Annotated[str, msgspec.Meta(min_length=1, max_length=32)]
    side: Side
    quantity: Above
    type: OrderType = "market"
    limit_price: Above | None = None
    stop_price: Above | None = None
    time_in_force: TimeInForce = "gtc"


class Fill(msgspec.Struct):
    """One execution."""

    order_id: str
    symbol: str
    strategy: str
    side: Side
    quantity: float
    price: float
    fee: float
    realised_pnl: float
    ts: int
    seq: int


class Signal(msgspec.Struct):
    """What a strategy decided, before any risk check."""

    strategy: str
    symbol: str
    side: Side
    price: float
    ts: int


class Alert(msgspec.Struct, kw_only=True):
    """An alert as it stands; on the stream, as it came."""

    id: str
    owner: int = 0  # id of the user; 0 is the house
    symbol: str  # empty for a drawdown
    condition: str
    target_price: float  # whatever is compared with it
    spec: Spec | None = None  # what is compared; none for a price
    mode: Mode = "once"
    cooldown_s: float = 0.0
    hysteresis: float = 0.0
    ts_expires: int | None = None
    schedule: Schedule | None = None
    note: str = ""
    status: str
    ts_created: int
    number: int = 0  # how often it came
    ts_triggered: int | None  # the latest time, by the tick that met the condition
    triggered_price: Number  # of the symbol then
    triggered_value: Number = None  # what was compared with the target then


class Position(msgspec.Struct):
    """What a strategy holds of an instrument, at the latest price."""

    symbol: str
    strategy: str
    quantity: float
    average_price: float
    price: float
    value: float
    unrealised_pnl: float
    realised_pnl: float


class Portfolio(msgspec.Struct, omit_defaults=True):
    """All accounts together; the stream leaves out the executions."""

    currency: str
    cash: float
    equity: float
    initial_cash: float
    realised_pnl: float
    unrealised_pnl: float
    fees: float
    ts: int
    positions: list[Position]
    executions: list[Fill] | None = None


class Equity(msgspec.Struct):
    """The equity curve: pairs of time and equity."""

    points: list[tuple[int, float]]


class StrategyView(msgspec.Struct, rename={"class_name": "class"}):
    """One strategy and its account."""

    id: str
    class_name: str
    state: str
    symbols: list[str]
    timeframe: str
    params: dict[str, float]
    equity: float
    initial_cash: float  # what it has gained, after fees, is `equity` less this
    realised_pnl: float  # before fees
    orders: int
    fills: int
    position_value: float


class Strategies(msgspec.Struct):
    """Every strategy of the run."""

    strategies: list[StrategyView]


class StrategyState(msgspec.Struct):
    """The trading state of a strategy after an action."""

    id: str
    state: str


class ServiceView(msgspec.Struct):
    """How a service stands."""

    name: str
    state: str
    detail: str
    processed: int
    lag_ms: Number
    queue: int
    failure: str = ""


class Services(msgspec.Struct):
    """Every service of the process."""

    services: list[ServiceView]


class Check(msgspec.Struct, omit_defaults=True):
    """One back-end or service."""

    status: str
    detail: str = ""


class Health(msgspec.Struct):
    """Whether the platform works."""

    status: Literal["healthy", "unhealthy"]
    timestamp: str
    version: str
    checks: dict[str, Check]


class Root(msgspec.Struct):
    """What the platform is, and where everything is."""

    name: str
    version: str
    links: dict[str, str]
    openapi: str
    sign_in: bool  # whether users sign in here
    sign_up: bool  # whether everybody may make an account
    signed_in: bool  # whether somebody is known to ask: without accounts it is always the user `local`


class Problem(msgspec.Struct):
    """An error, as in RFC 9457."""

    type: str
    title: str
    status: int
    detail: str


class Snapshot(msgspec.Struct):
    """What a client is told first."""

    run: str
    symbols: list[str]
    timeframes: list[str]
    portfolio: Portfolio
    strategies: list[StrategyView]
    services: list[ServiceView]
    orders: list[Order]
    fills: list[Fill]
    prices: dict[str, Price]
