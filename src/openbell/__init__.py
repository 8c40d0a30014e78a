"""openbell: collect market data, discover and backtest strategies, and trade them live, with one kernel for all three."""

__version__ = "0.1.0"
