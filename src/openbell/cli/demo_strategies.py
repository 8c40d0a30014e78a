"""What trades in the demo."""

from openbell.config import StrategySettings


def strategies() -> tuple[StrategySettings, ...]:
    """What trades in the demo: short averages and tight bands, so that within a minute there is something to see."""
    limits = {"order_value_share": 1.0}

    def strategy(name: str, kind: str, symbols: tuple[str, ...], timeframe: str, **params: float) -> StrategySettings:
        return StrategySettings(
            id=name, strategy=kind, symbols=symbols, timeframe=timeframe, params=params, cash=100_000.0, limits=dict(limits)
        )

    return (
        strategy("crossover", "moving_avg_crossover", ("BTCUSDT",), "1s", short_period=8, long_period=30),
        strategy("rsi", "rsi", ("ETHUSDT",), "1s", period=14, oversold=28, overbought=68),
        strategy("bollinger-btc", "bollinger", ("BTCUSDT",), "5s", period=12, deviations=1.5),
        strategy("bollinger-eth", "bollinger", ("ETHUSDT",), "1s", period=20, deviations=2.0),
    )
