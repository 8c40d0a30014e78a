"""A run as one HTML file to look at and to hand on: no network, no library, light and dark, from a phone to a wide screen.

Tables and figures are plain HTML. The charts are drawn by `report.js` as SVG from the numbers inside the page, so that they fit
the width they have; `report.css` holds the colours. A Content-Security-Policy forbids the page to load anything.
"""

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from openbell.backtest.figures import Figure, day, duration, figures, money, parameter_text, percent, ratio
from openbell.backtest.report_data import Candles, candle_chart, distribution, thin_curve
from openbell.backtest.report_tables import escape, months_panel, panel, signed, trades_panel
from openbell.backtest.round_trips import Fills, FloatArray, Int64Array, RoundTrips
from openbell.backtest.statistics import Statistics
from openbell.errors import StorageError

__all__ = ["Candles", "ReportInput", "render_report", "write_report"]

_CHARTS_MAX = 8
_LOGO = (
    '<svg viewBox="0 0 32 32" aria-hidden="true"><path d="M9 4v24M23 4v24" /><rect x="5" y="10" width="8" height="12" '
    'rx="2" /><rect x="19" y="7" width="8" height="14" rx="2" class="hollow" /></svg>'
)


@dataclass(frozen=True, slots=True, eq=False)
class ReportInput:
    """What a report shows. Only the first four are needed; a section without data is left out."""

    strategy: str
    statistics: Statistics
    ts: Int64Array  # ns UTC, of the equity curve
    equity: FloatArray  # money
    symbols: tuple[str, ...] = ()  # what `symbol_index` of fills and trades means
    fills: Fills | None = None
    trades: RoundTrips | None = None
    candles: Sequence[Candles] = ()  # of any symbols; the most traded are drawn
    parameters: Mapping[str, object] = field(default_factory=dict)
    description: str = ""  # one sentence on the strategy
    data_name: str = ""  # file or data set
    timeframe: str = ""
    currency: str = "USD"
    run: str = ""  # the run's name, to find it again
    notes: Sequence[str] = ()  # what the reader should know about the data
    version: str = ""  # of openbell


def write_report(path: str | Path, report: ReportInput) -> Path:
    """Write the report; whoever reads the path sees the old file or the whole new one, never a part.

    Raises StorageError when the folder is missing or cannot be written to.
    """
    target = Path(path).expanduser()
    page = render_report(report).encode()
    try:
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    except OSError as error:
        raise _cannot_write(target, error) from error
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(page)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        os.replace(name, target)
    except OSError as error:
        Path(name).unlink(missing_ok=True)
        raise _cannot_write(target, error) from error
    return target


def render_report(report: ReportInput) -> str:
    """The page as text."""
    charts = _charts(report)
    shown = distribution(report.trades.returns) if report.trades is not None else {}
    data = {
        "currency": report.currency,
        "curve": thin_curve(report.ts, report.equity),
        "charts": charts,
        "distribution": shown,
    }
    lot_size = report.fills.lot_size if report.fills is not None else 1.0
    groups = figures(report.statistics, report.currency)
    sections = [
        _hero(report),
        _cards(report.statistics, report.currency),
        panel("equity", "Equity", "drag to zoom, double-click for all", '<div id="equity" class="chart"></div>', _LOG + _TOOLS),
        _candle_panel(charts),
        f'<div class="pair">{months_panel(report.ts, report.equity)}{_distribution_panel(shown, report)}</div>',
        _all_figures(groups),
        trades_panel(report.trades, report.symbols, lot_size) if report.trades is not None else "",
    ]
    assets = files("openbell") / "backtest"
    embedded = json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    title = escape(f"{report.strategy} – {', '.join(report.symbols[:3])}".rstrip("– "))
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>{title}</title>
<style>
{(assets / "report.css").read_text("utf-8")}</style>
</head>
<body>
<header class="top"><span class="brand">{_LOGO}openbell</span><span class="muted">backtest</span>
<button id="theme" type="button" aria-label="light or dark"><span></span></button></header>
<main>
{"".join(sections)}
</main>
{_footer(report)}
<script type="application/json" id="data">{embedded}</script>
<script>
{(assets / "report.js").read_text("utf-8")}</script>
</body>
</html>
"""


_LOG = '<div class="tools"><button type="button" id="log" aria-pressed="false">Log</button></div>'
_TOOLS = (
    '<div class="tools" role="group" aria-label="zoom">'
    '<button type="button" data-zoom="left" aria-label="earlier">‹</button>'
    '<button type="button" data-zoom="in" aria-label="closer">+</button>'
    '<button type="button" data-zoom="out" aria-label="wider">−</button>'
    '<button type="button" data-zoom="right" aria-label="later">›</button>'
    '<button type="button" data-zoom="all">All</button></div>'
)


def _cannot_write(target: Path, error: OSError) -> StorageError:
    return StorageError(
        f"the report cannot be written to {target} ({error.strerror or error})",
        expected="a folder that is there and may be written to",
        do="choose another path",
    )


def _hero(report: ReportInput) -> str:
    s = report.statistics
    named = len(report.symbols) if len(report.symbols) <= 5 else 4
    symbols = ", ".join(report.symbols[:named])
    if named < len(report.symbols):
        symbols += f" and {len(report.symbols) - named} more"
    facts = [symbols, report.timeframe, f"{day(s.start_ts)} to {day(s.end_ts)}", duration(s.end_ts - s.start_ts)]
    chips = "".join(f"<li><span>{escape(name)}</span> {escape(value)}</li>" for name, value in parameter_text(report.parameters))
    tone = "good" if s.total_return > 0 else "bad" if s.total_return < 0 else ""
    about = f'<p class="about">{escape(report.description)}</p>' if report.description else ""
    return f"""<section class="hero">
<div><p class="eyebrow">{" · ".join(escape(fact) for fact in facts if fact)}</p>
<h1>{escape(report.strategy)}</h1>{about}{f'<ul class="chips">{chips}</ul>' if chips else ""}</div>
<div class="headline"><p class="big {tone}">{signed(percent(s.total_return, True))}</p>
<p class="muted">{signed(money(s.initial_equity))} → <b>{signed(money(s.final_equity, report.currency))}</b></p></div>
</section>
"""


def _cards(s: Statistics, currency: str) -> str:
    cards = [
        ("CAGR", percent(s.cagr, True), f"volatility {percent(s.volatility)}", s.cagr),
        ("Sharpe", ratio(s.sharpe), f"Sortino {ratio(s.sortino)}", s.sharpe),
        ("Max drawdown", percent(s.max_drawdown), f"for {duration(s.max_drawdown_length_ns)}", s.max_drawdown),
        ("Win rate", percent(s.win_rate, digits=1), f"{s.trades:,} trades", 0.0),
        ("Profit factor", ratio(s.profit_factor), f"expectancy {ratio(s.expectancy)}", s.profit_factor - 1),
        ("Average trade", percent(s.average_trade_return, True), money(s.average_trade, currency), s.average_trade),
        ("Exposure", percent(s.exposure, digits=1), f"turnover {ratio(s.turnover, 1)} x", 0.0),
        ("Fees", money(s.fees), f"{percent(s.fees / s.initial_equity)} of the start", 0.0),
    ]
    items = "".join(
        f'<div class="card"><dt>{name}</dt><dd class="{"good" if sign > 0 else "bad" if sign < 0 else ""}">'
        f"{signed(value)}</dd><p>{signed(below)}</p></div>"
        for name, value, below, sign in cards
    )
    return f'<dl class="cards">{items}</dl>\n'


def _charts(report: ReportInput) -> list[dict[str, Any]]:
    """Candles of the symbols with most fills; all of them when they are few."""
    index = {symbol: place for place, symbol in enumerate(report.symbols)}
    count = np.bincount(report.fills.symbol_index, minlength=len(index)) if report.fills is not None else np.zeros(0)

    def traded(candles: Candles) -> int:
        place = index.get(candles.symbol, -1)
        return int(count[place]) if 0 <= place < len(count) else 0

    chosen = sorted(report.candles, key=traded, reverse=True)[:_CHARTS_MAX]
    return [candle_chart(candles, index.get(candles.symbol, -1), report.fills, report.trades) for candles in chosen if len(candles.ts)]


def _candle_panel(charts: list[dict[str, Any]]) -> str:
    if not charts:
        return ""
    tabs = "".join(
        f'<button type="button" data-chart="{place}" aria-pressed="{"true" if place == 0 else "false"}">{escape(chart["symbol"])}</button>'
        for place, chart in enumerate(charts)
    )
    tools = f'<div class="tools tabs" role="group" aria-label="symbol">{tabs}</div>' if len(charts) > 1 else _TOOLS
    return panel("candles", "Trades on the market", "", '<div id="candles" class="chart"></div>', tools)


def _distribution_panel(shown: dict[str, Any], report: ReportInput) -> str:
    """The histogram, and winners beside losers."""
    trades = report.trades
    if not shown or trades is None:
        return ""
    cells = ["", "winners", "losers"]
    held = trades.exit_ts - trades.entry_ts
    sides = [trades.pnl > 0, trades.pnl < 0]
    rows: list[tuple[str, list[str]]] = [
        ("Trades", [f"{int(side.sum()):,}" for side in sides]),
        ("Average return", [percent(_mean(trades.returns[side]), True) for side in sides]),
        ("Average profit", [money(_mean(trades.pnl[side]), signed=True) for side in sides]),
        ("Average time held", [duration(_mean(held[side])) for side in sides]),
        ("Longest run", [f"{_longest_run(side)}" for side in sides]),
    ]
    for name, values in rows:
        cells += [name, *values]
    facts = "".join(f"<span>{signed(cell)}</span>" for cell in cells)
    body = f'<div id="distribution" class="chart"></div><div class="facts">{facts}</div>'
    return panel("returns", "Returns of the trades", f"{len(trades):,} trades", body)


def _mean(values: "FloatArray | Int64Array") -> float:
    return float(values.mean()) if len(values) else float("nan")


def _longest_run(side: "np.ndarray[Any, np.dtype[np.bool_]]") -> int:
    """The longest unbroken row of such trades."""
    ends = np.flatnonzero(~np.concatenate(([False], side, [False])))
    return int(np.diff(ends).max()) - 1


def _all_figures(groups: dict[str, list[Figure]]) -> str:
    columns = "".join(
        f"<div><h3>{name}</h3><dl>"
        + "".join(
            f'<div title="{escape(figure.meaning)}"><dt>{figure.label}</dt><dd class="{figure.tone}">{signed(figure.text)}</dd></div>'
            for figure in group
        )
        + "</dl></div>"
        for name, group in groups.items()
    )
    return panel("figures", "All figures", "", f'<div class="columns">{columns}</div>')


def _footer(report: ReportInput) -> str:
    lines = [f"Annualised from: {report.statistics.sampling}. Times are UTC."]
    lines += list(report.notes)
    names = [f"data {report.data_name}" if report.data_name else "", f"run {report.run}" if report.run else ""]
    made = " · ".join([*filter(None, names), f"openbell {report.version}".strip()])
    return f"<footer>{''.join(f'<p>{escape(line)}</p>' for line in lines)}<p>{escape(made)}</p></footer>"
