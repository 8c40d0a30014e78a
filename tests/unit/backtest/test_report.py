"""The report: one whole file that loads nothing, says nothing wrong, and is drawn in a real browser."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from openbell.backtest.figures import duration, money, percent, summary_table
from openbell.backtest.report import Candles, ReportInput, render_report, write_report
from openbell.backtest.report_data import distribution, monthly_returns, thin_candles, thin_curve
from openbell.backtest.round_trips import Fills, round_trips
from openbell.backtest.statistics import compute_statistics, drawdown
from openbell.errors import StorageError

DAY = 86_400_000_000_000
VOID = {"meta", "br"}


def make_report(days=400, **changes):
    """A run that is long on even weeks; prices from a seeded walk."""
    ts = 19_723 * DAY + DAY * np.arange(days)
    close = 100 * np.exp(np.cumsum(np.random.default_rng(7).normal(0.001, 0.02, days)))
    opens = np.append(close[:1], close[:-1])
    edges = np.arange(0, days - days % 14, 7)
    count = len(edges)
    fills = Fills(
        ts[edges],
        np.zeros(count, np.int32),
        np.resize(np.array([1, -1], np.int8), count),
        np.full(count, 10),
        close[edges],
        np.ones(count),
    )
    held = np.repeat(np.resize([10, 0], count), 7)[:days]
    held = np.append(held, np.zeros(days - len(held)))
    cash = np.zeros(days)
    cash[edges] = -(fills.side * fills.value) - fills.fee
    equity = 10_000 + np.cumsum(cash) + held * close
    trades = round_trips(fills)
    candles = Candles("ABC", ts, opens, np.maximum(opens, close), np.minimum(opens, close), close, np.ones(days))
    values = {
        "strategy": "Even weeks",
        "statistics": compute_statistics(ts, equity, fills, trades),
        "ts": ts,
        "equity": equity,
        "symbols": ("ABC",),
        "fills": fills,
        "trades": trades,
        "candles": [candles],
        "parameters": {"weeks": 2, "weight": 0.25},
        "timeframe": "1d",
        "run": "even-1",
    }
    return ReportInput(**{**values, **changes})


def minimal(points=1):
    ts = DAY * np.arange(points)
    equity = np.full(points, 100.0)
    return ReportInput("Nothing", compute_statistics(ts, equity), ts, equity)


def data_of(page):
    return json.loads(re.search(r'id="data">(.*?)</script>', page, re.S)[1])


class Balanced(HTMLParser):
    """Every tag that opens is closed, in order."""

    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.mark.parametrize("report", [make_report(), minimal(), minimal(30)], ids=["full", "point", "flat"])
def test_the_page_is_well_formed_and_loads_nothing(report):
    """No address but the name of SVG, no source, no style sheet, no import; the browser is told to refuse any."""
    page = render_report(report)
    parser = Balanced()
    parser.feed(page)
    assert parser.open == []
    assert set(re.findall(r"https?://[^\"' ]+", page)) <= {"http://www.w3.org/2000/svg"}
    assert not re.search(r"""\s(src|href)=|@import|url\((?!#)|fetch\(|XMLHttpRequest""", page)
    assert "default-src 'none'" in page


def test_everything_asked_for_is_there():
    """Strategy, parameters, span, figures, months, trades."""
    report = make_report(notes=["3 rows dropped: a second bar at the same time"])
    page = render_report(report)
    for text in ("Even weeks", "weeks</span> 2", "weight</span> 0.25", "2024-01-01 to 2025-02-03", "run even-1"):
        assert text in page
    assert "3 rows dropped" in page
    assert page.count('class="card"') == 8
    assert page.count("<tr><td") == len(report.trades)
    assert f"{report.statistics.sharpe:.2f}".replace("-", "−") in page
    assert "Monthly returns" in page


def test_names_cannot_break_out_of_the_page():
    """Text of the user's is escaped, in the HTML and in the data."""
    nasty = "</script><script>alert(1)</script>"
    report = make_report()
    candles = [Candles(nasty, *(getattr(report.candles[0], name) for name in ("ts", "open", "high", "low", "close", "volume")))]
    page = render_report(make_report(strategy=nasty, symbols=(nasty,), candles=candles, parameters={nasty: nasty}, notes=[nasty]))
    assert "<script>alert" not in page
    assert data_of(page)["charts"][0]["symbol"] == nasty


def test_the_same_run_gives_the_same_file(tmp_path):
    """No clock and no chance in it, so that a report can be compared."""
    first = write_report(tmp_path / "a.html", make_report()).read_bytes()
    assert first == write_report(tmp_path / "b.html", make_report()).read_bytes()


def test_a_report_is_written_whole_or_not_at_all(tmp_path):
    """A missing folder, or a folder in the file's place, leaves nothing behind."""
    with pytest.raises(StorageError, match="cannot be written"):
        write_report(tmp_path / "missing" / "report.html", minimal())
    (tmp_path / "taken.html").mkdir()
    with pytest.raises(StorageError, match="cannot be written"):
        write_report(tmp_path / "taken.html", minimal())
    assert [path.name for path in tmp_path.iterdir()] == ["taken.html"]
    target = write_report(str(tmp_path / "report.html"), minimal())
    write_report(target, make_report())
    assert b"Even weeks" in target.read_bytes()
    assert oct(target.stat().st_mode)[-3:] == "644"


def test_a_thinned_curve_keeps_its_extremes():
    """Ends, the highest and lowest point, and the deepest drawdown are among the points kept."""
    equity = 1e5 * np.exp(np.cumsum(np.random.default_rng(3).normal(0, 0.001, 100_003)))
    ts = 1_000_000 * np.arange(len(equity))
    thin = thin_curve(ts, equity, 500)
    assert len(thin["t"]) <= 2_500
    assert (np.diff(thin["t"]) > 0).all()
    for value in (equity[0], equity[-1], equity.min(), equity.max()):
        assert min(abs(np.array(thin["equity"]) / value - 1)) < 1e-7
    assert min(thin["drawdown"]) == pytest.approx(drawdown(equity).min(), rel=1e-4)
    assert thin_curve(ts[:10], equity[:10])["t"] == list(range(10))


def test_joined_candles_keep_range_and_volume():
    """At most 2,000; the highest high, lowest low, first open, last close and all of the volume are kept."""
    rng = np.random.default_rng(1)
    low, high = rng.uniform(1, 2, 4_501), rng.uniform(3, 4, 4_501)
    candles = Candles("A", np.arange(4_501), low + 0.5, high, low, high - 0.5, np.ones(4_501))
    thin = thin_candles(candles)
    assert len(thin.ts) == 1_501
    assert (thin.high.max(), thin.low.min(), thin.volume.sum()) == (high.max(), low.min(), 4_501)
    assert (thin.open[0], thin.close[-1], thin.close[0]) == (low[0] + 0.5, high[-1] - 0.5, high[2] - 0.5)
    assert thin_candles(thin) is thin


def test_every_fill_is_counted_on_a_candle():
    """Also when candles are joined."""
    report = make_report(5_000)
    chart = data_of(render_report(report))["charts"][0]
    assert chart["joined"] == 3
    assert sum(count for _, count, _ in chart["buys"]) == (report.fills.side > 0).sum()
    assert sum(count for _, count, _ in chart["sells"]) == (report.fills.side < 0).sum()


def test_months_compound_to_the_whole():
    """The product of the months is the year, the product of the years is the run."""
    report = make_report()
    years, table, growth = monthly_returns(report.ts, report.equity)
    assert years == [2024, 2025]
    np.testing.assert_allclose(np.nanprod(1 + table, axis=1) - 1, growth)
    assert np.prod(1 + growth) - 1 == pytest.approx(report.statistics.total_return)
    assert np.isfinite(table).sum() == 14


def test_the_histogram_holds_every_trade():
    """Zero is a border between bars; what lies outside is in the end bars, which say so."""
    returns = np.r_[np.random.default_rng(2).normal(0, 0.01, 500), 5.0, -3.0, np.nan]
    shown = distribution(returns)
    assert sum(shown["counts"]) == 502
    assert shown["cut"] == [True, True]
    assert sum(shown["counts"][-shown["start"] :]) == (returns >= 0).sum()
    assert distribution(np.array([0.1])) == {}


def test_the_summary_is_aligned_plain_text():
    """Labels to the left, values to the right, the same width on every line of a figure."""
    text = summary_table(make_report().statistics, "USDT", "Even weeks")
    lines = [line for line in text.splitlines() if line.startswith("  ")]
    assert len({len(line) for line in lines}) == 1
    assert text.startswith("Even weeks  2024-01-01 to 2025-02-03\nReturn\n  Final equity")
    assert text.endswith("Annualised from: daily, 365 a year.")
    assert text.isascii()


def test_words_for_numbers():
    """Signs only where they mean something, what is not defined as n/a."""
    assert (percent(0.1234), percent(0.1234, True), percent(-0.00001, True)) == ("12.34 %", "+12.34 %", "0.00 %")
    assert (money(1234.5, "USD"), money(-0.0123456), money(0.0)) == ("1,234.50 USD", "-0.01235", "0.00")
    assert percent(float("nan")) == money(float("inf")) == "n/a"
    assert duration(90_061 * 10**9) == "1 d 1 h"
    assert duration(850 * 10**6) == "850 ms"
    assert duration(0) == "0 s"


CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := Path("/usr/bin", name)).exists()),
    None,
)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
@pytest.mark.parametrize("width", [390, 1440])
def test_the_charts_are_drawn_in_a_browser(tmp_path, width):
    """Charts, zoom, theme and sorting work without an error, a request or a page wider than the screen."""
    from playwright.sync_api import sync_playwright

    report = make_report(900)
    write_report(tmp_path / "report.html", report)
    write_report(tmp_path / "minimal.html", minimal())
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        page = browser.new_page(viewport={"width": width, "height": 800})
        errors, requests = [], []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
        page.on("request", lambda request: requests.append(request.url))
        page.goto(f"file://{tmp_path}/report.html")
        assert page.locator("svg path.equity").count() == 1
        assert page.locator("#candles svg path.body").count() == 2
        assert page.locator("#candles svg path.mark").count() > 20
        assert page.locator("#distribution rect").count() > 5
        assert page.evaluate("document.documentElement.scrollWidth") == width
        before = page.locator("path.equity").get_attribute("d")
        page.locator("[data-zoom=in]").first.click()
        assert page.locator("path.equity").get_attribute("d") != before
        page.locator("#equity svg").dblclick()
        assert page.locator("path.equity").get_attribute("d") == before
        page.locator("#theme").click()
        assert page.locator("html").get_attribute("data-theme") in ("dark", "light")
        page.locator(".trades th button", has_text="Profit").click()
        profits = page.locator(".trades tbody tr td:last-child").evaluate_all("cells => cells.map(c => +c.dataset.v)")
        assert profits == sorted(profits, reverse=True)
        page.goto(f"file://{tmp_path}/minimal.html")
        assert page.locator("svg path.equity").count() == 1
        browser.close()
    assert errors == []
    assert [url for url in requests if not url.startswith("file:")] == []
