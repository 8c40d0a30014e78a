"""Statistics as people read them: each with its name, its value in words, and what it means; for terminals
and reports.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from openbell.backtest.statistics import Statistics

Tone: TypeAlias = Literal["good", "bad", ""]

#: What stands for a figure that is not defined.
UNDEFINED = "n/a"


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure, ready to be shown. `tone` is the colour of its sign, where the sign matters."""

    label: str
    text: str
    meaning: str
    tone: Tone = ""


def percent(value: float, signed: bool = False, digits: int = 2) -> str:
    """0.1234 -> `12.34 %`; with a plus when `signed`."""
    return f"{_number(value * 100, digits, signed)} %" if math.isfinite(value) else UNDEFINED


def money(value: float, currency: str = "", signed: bool = False) -> str:
    """1234.5 -> `1,234.50 USD`; small amounts keep four significant digits."""
    if not math.isfinite(value):
        return UNDEFINED
    digits = 2 if abs(value) >= 1 or value == 0 else min(8, 3 - math.floor(math.log10(abs(value))))
    return f"{_number(value, digits, signed)} {currency}".rstrip()


def ratio(value: float, digits: int = 2) -> str:
    """A plain number."""
    return _number(value, digits, False) if math.isfinite(value) else UNDEFINED


def duration(nanoseconds: float) -> str:
    """The two largest units of a span: `2 y 31 d`, `3 h 5 min`, `850 ms`."""
    if not math.isfinite(nanoseconds):
        return UNDEFINED
    units = (
        ("y", 31_557_600_000_000_000),  # 365.25 days
        ("d", 86_400_000_000_000),
        ("h", 3_600_000_000_000),
        ("min", 60_000_000_000),
        ("s", 1_000_000_000),
        ("ms", 1_000_000),
    )
    parts: list[str] = []
    left = int(nanoseconds)
    for name, size in units:
        count, rest = divmod(left, size)
        if count or parts:
            parts.append(f"{count} {name}" if count else "")
            left = rest
        if len(parts) == 2:
            break
    return " ".join(part for part in parts if part) or "0 s"


def day(ts: int) -> str:
    """The UTC day of a time in ns: `2024-01-31`."""
    return str(np.datetime64(int(ts), "ns").astype("datetime64[D]"))


def figures(statistics: Statistics, currency: str = "USD") -> dict[str, list[Figure]]:
    """Every figure by group, in the order they are read."""
    s = statistics
    return {
        "Return": [
            Figure("Final equity", money(s.final_equity, currency), f"from {money(s.initial_equity, currency)}"),
            Figure("Total return", percent(s.total_return, True), "last equity / first equity - 1", _tone(s.total_return)),
            Figure("CAGR", percent(s.cagr, True), "growth a year, compounded", _tone(s.cagr)),
            Figure("Fees", money(s.fees, currency), "paid on all fills"),
            Figure("Turnover", f"{ratio(s.turnover)} x", "value bought and sold / mean equity"),
            Figure("Exposure", percent(s.exposure), "share of the time with an open position"),
        ],
        "Risk": [
            Figure("Volatility", percent(s.volatility), "standard deviation of returns, a year"),
            Figure("Sharpe ratio", ratio(s.sharpe), "mean return / standard deviation, a year", _tone(s.sharpe)),
            Figure("Sortino ratio", ratio(s.sortino), "mean return / deviation of losses, a year", _tone(s.sortino)),
            Figure("Calmar ratio", ratio(s.calmar), "CAGR / max drawdown", _tone(s.calmar)),
            Figure("Max drawdown", percent(s.max_drawdown), "deepest fall from a peak", _tone(s.max_drawdown)),
            Figure("Its length", duration(s.max_drawdown_length_ns), "from its peak until the peak was reached again"),
            Figure("Longest drawdown", duration(s.longest_drawdown_ns), "longest time below a peak"),
        ],
        "Trades": [
            Figure("Trades", f"{s.trades:,}", "round trips"),
            Figure("Win rate", percent(s.win_rate), "share with a profit after fees"),
            Figure("Profit factor", ratio(s.profit_factor), "sum of gains / sum of losses", _tone(s.profit_factor - 1)),
            Figure("Average trade", money(s.average_trade, currency, True), "after fees", _tone(s.average_trade)),
            Figure("Average return", percent(s.average_trade_return, True), "of a trade", _tone(s.average_trade_return)),
            Figure("Best trade", percent(s.best_trade, True), "highest return", _tone(s.best_trade)),
            Figure("Worst trade", percent(s.worst_trade, True), "lowest return", _tone(s.worst_trade)),
            Figure("Expectancy", ratio(s.expectancy), "average trade / average loss", _tone(s.expectancy)),
        ],
    }


def summary_table(statistics: Statistics, currency: str = "USD", title: str = "") -> str:
    """The figures as aligned plain text for a terminal, a few dozen columns wide.

    >>> import numpy as np
    >>> from openbell.backtest.statistics import compute_statistics
    >>> day = 86_400_000_000_000
    >>> print(summary_table(compute_statistics(np.array([0, day]), np.array([100.0, 110.0]))).splitlines()[2])
      Final equity      110.00 USD
    """
    groups = figures(statistics, currency)
    wide = max(len(figure.label) for group in groups.values() for figure in group)
    right = max(len(figure.text) for group in groups.values() for figure in group)
    span = f"{day(statistics.start_ts)} to {day(statistics.end_ts)}"
    lines = [f"{title}  {span}" if title else span]
    for name, group in groups.items():
        lines.append(name)
        lines += [f"  {figure.label:<{wide}}  {figure.text:>{right}}" for figure in group]
    lines.append(f"Annualised from: {statistics.sampling}.")
    return "\n".join(lines)


def parameter_text(parameters: Mapping[str, object]) -> list[tuple[str, str]]:
    """Names and values of parameters; floats without noise."""
    return [(name.replace("_", " "), f"{value:g}" if isinstance(value, float) else str(value)) for name, value in parameters.items()]


def _number(value: float, digits: int, signed: bool) -> str:
    text = f"{value:+,.{digits}f}" if signed else f"{value:,.{digits}f}"
    if not any(character in "123456789" for character in text):
        text = text.lstrip("+-")  # nothing is left of the sign of a zero
    return text


def _tone(value: float) -> Tone:
    if not math.isfinite(value) or value == 0:
        return ""
    return "good" if value > 0 else "bad"
