"""The parts of a report that are plain HTML: a panel, the months, the trades."""

import html

import numpy as np

from openbell.backtest.figures import duration, money, percent
from openbell.backtest.report_data import monthly_returns
from openbell.backtest.round_trips import FloatArray, Int64Array, RoundTrips

TRADES_SHOWN = 500

_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
_COLUMNS = ("#", "Symbol", "Side", "Entry", "Exit", "Held", "Quantity", "Price in", "Price out", "Return", "Profit")


def escape(value: object) -> str:
    """Text for HTML, also inside an attribute."""
    return html.escape(str(value), quote=True)


def signed(text: str) -> str:
    """A number for HTML, with a true minus sign, as wide as the plus."""
    return escape(text).replace("-", "−")


def panel(name: str, title: str, hint: str, body: str, tools: str = "") -> str:
    """A card with a heading; `hint` is small print beside it, `tools` its buttons."""
    beside = f'<span class="hint">{hint}</span>' if hint else ""
    head = f'<div class="head"><h2>{title}</h2>{beside}{tools}</div>'
    return f'<section class="panel {name}">{head}\n{body}</section>\n'


def months_panel(ts: Int64Array, equity: FloatArray) -> str:
    """Heat map of monthly returns; empty text for a run inside one month."""
    years, table, growth = monthly_returns(ts, equity)
    if np.isfinite(table).sum() < 2:
        return ""
    # The deepest colour is for the 95th percentile, so that one wild month does not pale the others.
    deepest = float(np.nanquantile(np.abs(table), 0.95)) or 1.0
    rows = "".join(
        f"<tr><th>{year}</th>{''.join(_month(value, deepest) for value in row)}{_month(total, deepest * 3)}</tr>"
        for year, row, total in zip(years[::-1], table[::-1], growth[::-1], strict=True)
    )
    head = "".join(f"<th>{name}</th>" for name in (*_MONTHS, "Year"))
    body = f"<thead><tr><th></th>{head}</tr></thead><tbody>{rows}</tbody>"
    return panel("monthly", "Monthly returns", "percent", f'<div class="scroll"><table class="months">{body}</table></div>')


def trades_panel(trades: RoundTrips, symbols: tuple[str, ...], lot_size: "float | FloatArray") -> str:
    """The first round trips, one a row, sortable by a click; empty text when there are none."""
    if not len(trades):
        return ""
    shown = min(len(trades), TRADES_SHOWN)
    digits = max(_decimals(trades.entry_price[:shown]), _decimals(trades.exit_price[:shown]))
    lots = np.asarray(lot_size, np.float64)
    rows = []
    for row in range(shown):
        index = int(trades.symbol_index[row])
        symbol = symbols[index] if index < len(symbols) else str(index)
        units = float(trades.quantity[row] * (lots if lots.ndim == 0 else lots[index]))
        rows.append(_trade(trades, row, symbol, units, digits))
    head = "".join(f'<th><button type="button">{name}</button></th>' for name in _COLUMNS)
    hint = f"the first {shown} of {len(trades):,}" if shown < len(trades) else f"all {shown}"
    body = f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody>"
    return panel("trades", "Trades", hint, f'<div class="scroll tall"><table class="trades">{body}</table></div>')


def _month(value: float, deepest: float) -> str:
    if not np.isfinite(value):
        return "<td></td>"
    tone = "up" if value > 0 else "down" if value < 0 else ""
    depth = min(1.0, abs(value) / deepest)
    text = f"{value * 100:.1f}".removeprefix("-" if abs(value) < 0.0005 else " ")
    return f'<td class="{tone}" style="--depth:{depth:.2f}">{signed(text)}</td>'


def _trade(trades: RoundTrips, row: int, symbol: str, units: float, digits: int) -> str:
    """One row; `data-v` is what its column sorts by."""
    entry, exit_ = int(trades.entry_ts[row]), int(trades.exit_ts[row])
    price_in, price_out = float(trades.entry_price[row]), float(trades.exit_price[row])
    gain, profit = float(trades.returns[row]), float(trades.pnl[row])
    tone = "good" if profit > 0 else "bad" if profit < 0 else ""
    long = int(trades.side[row]) > 0
    cells: list[tuple[object, str, str]] = [
        (row, str(row + 1), "muted"),
        (symbol, escape(symbol), ""),
        (int(long), "long" if long else "short", "side"),
        (entry, _clock(entry), ""),
        (exit_, _clock(exit_), ""),
        (exit_ - entry, duration(exit_ - entry), ""),
        (units, f"{units:,.8g}", ""),
        (price_in, f"{price_in:,.{digits}f}", ""),
        (price_out, f"{price_out:,.{digits}f}", ""),
        (gain, signed(percent(gain, True)), tone),
        (profit, signed(money(profit, signed=True)), tone),
    ]
    inside = "".join(f'<td data-v="{escape(key)}" class="{css}">{text}</td>' for key, text, css in cells)
    return f"<tr>{inside}</tr>"


def _decimals(prices: FloatArray) -> int:
    """Decimals that show every price, at most six, at least two."""
    longest = max((len(f"{price:.8g}".partition(".")[2]) for price in prices.tolist()), default=0)
    return min(6, max(2, longest))


def _clock(ts: int) -> str:
    """`2024-01-31`, with the time of day when it is not midnight."""
    text = str(np.datetime64(ts, "ns").astype("datetime64[s]"))
    return text[:10] if ts % 86_400_000_000_000 == 0 else text.replace("T", " ")
