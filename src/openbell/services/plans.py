"""From settings to a plan: what is listed where, who trades it, and within which limits."""

from collections.abc import Sequence

from openbell.config import FeedSettings, StrategySettings, TradingSettings
from openbell.engine.plan import Assignment, Plan
from openbell.errors import ConfigError, suggest
from openbell.model.plan import Limits, Listing, Venue
from openbell.model.time import SECOND
from openbell.services.names import MANUAL, USER

#: First prices of the simulated market; what is not named begins at 100.
FIRST_PRICES = {
    "BTCUSDT": 61_600.0, "ETHUSDT": 2_680.0, "SOLUSDT": 152.0, "AAPL": 226.0, "MSFT": 415.0, "GOOGL": 178.0, "AMZN": 186.0, "NVDA": 121.0,
}  # fmt: skip
#: The trader of whatever names no other.
MAIN = "main"
_LIMITS = tuple(Limits.__dataclass_fields__)


def simulated_listing(symbol: str) -> Listing:
    """A listing for a symbol of the simulated market: coins in small lots, everything else in shares."""
    if symbol.endswith("USDT"):
        return Listing(symbol, 0.01, 1e-5, "USDT")
    return Listing(symbol, 0.01, 1.0, "USD")


def first_price(symbol: str) -> float:
    """Where a symbol of the simulated market begins."""
    return FIRST_PRICES.get(symbol, 100.0)


def symbols_of(strategies: Sequence[StrategySettings]) -> list[str]:
    """Every symbol that some strategy follows, in the order they are named."""
    return list(dict.fromkeys(symbol for strategy in strategies for symbol in strategy.symbols))


def user_accounts(trading: TradingSettings) -> list[str]:
    """The accounts for the orders of users who sign in, in the plan of the trader `main`.

    >>> user_accounts(TradingSettings(user_accounts=2))
    ['user-1', 'user-2']
    """
    return [f"{USER}{number}" for number in range(1, trading.user_accounts + 1)]


def make_plan(trading: TradingSettings, listings: Sequence[Listing]) -> Plan:
    """The plan of a platform that trades these listings in one process, with accounts more for the orders of users."""
    return _plan(trading, listings, trading.strategies, True)


def make_plans(trading: TradingSettings, listings: Sequence[Listing]) -> dict[str, Plan]:
    """The plan of each trader by its name, `main` first: it has the accounts for the orders of users, and it is there in any case."""
    traders = list(dict.fromkeys((MAIN, *(strategy.trader for strategy in trading.strategies))))
    return {
        trader: _plan(trading, listings, [item for item in trading.strategies if item.trader == trader], trader == MAIN)
        for trader in traders
    }


def _plan(trading: TradingSettings, listings: Sequence[Listing], strategies: Sequence[StrategySettings], with_manual: bool) -> Plan:
    spare = user_accounts(trading)
    assignments = [_assignment(strategy, spare) for strategy in strategies]
    if with_manual:
        everything = tuple(listing.symbol for listing in listings)
        assignments += [Assignment(name, MANUAL, everything, "", {}, 100_000.0, Limits(order_value_share=1.0)) for name in (MANUAL, *spare)]
    return Plan(
        listings=tuple(listings),
        assignments=tuple(assignments),
        venue=Venue(trading.fill, trading.fee_bps),
        candles=trading.timeframes,
        publish_candles=True,
        equity_interval_ns=SECOND,
    )


def check_fill(trading: TradingSettings) -> None:
    """Raise ConfigError where orders are to be filled outside by a platform that runs in one process."""
    if trading.fill == "outside":
        raise ConfigError(
            "trading.fill is outside, and everything runs in one process", "next or prevailing",
            "choose one of these, or run each service in a process of its own: openbell serve orders",
        )  # fmt: skip


def check_feed(settings: FeedSettings, strategies: Sequence[StrategySettings]) -> None:
    """Raise ConfigError for a feed without anything to trade."""
    if settings.source == "simulated" and not symbols_of(strategies):
        raise ConfigError("no strategy has symbols", "at least one symbol to simulate", "add symbols under trading.strategies")


def _assignment(settings: StrategySettings, spare: Sequence[str]) -> Assignment:
    if settings.id == MANUAL or settings.id in spare:
        raise ConfigError(f"a strategy is called '{settings.id}'", "another id", "that one is the account for orders of users")
    for name in settings.limits:
        if name not in _LIMITS:
            raise ConfigError(f"strategy {settings.id}: unknown limit '{name}'", do=suggest(name, _LIMITS))
    limits = Limits(**settings.limits)  # type: ignore[arg-type]
    strategy = settings.strategy or settings.id
    return Assignment(
        settings.id, strategy, settings.symbols, settings.timeframe, dict(settings.params), settings.cash, limits, settings.enabled
    )
