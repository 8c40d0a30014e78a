"""The real files: each is read, with the counts its description states."""

import numpy as np
import pytest

from openbell.adapters.stores.catalog import CATALOG, dataset_names, open_dataset, open_history
from openbell.adapters.stores.history import merge, read_all, read_history
from openbell.errors import UnknownNameError

DROP = {"sort": True, "on_bad": "drop"}

#: file, options, kind, symbols, rows: those of the data's own description, without its stated defects.
FILES = [
    ("tests/data/crypto_1min_coinbase.parquet", {"sort": True}, "bars", 4, 25_302),
    ("tests/data/etf_spy_1min_2011.csv.gz", {}, "bars", 1, 31_757),
    ("tests/data/fx_eurusd_1min_quotebars_oanda_201405.parquet", {}, "bars", 1, 6_967),
    ("tests/data/fx_eurusd_ticks_oanda_201405.parquet", {}, "quotes", 1, 248_039),
    ("tests/data/in_nse_lean_samples.csv.gz", {"sort": True}, "bars", 4, 3_917),
    ("tests/data/us_equity_daily_wiki_aapl_msft.csv.gz", {"sort": True}, "bars", 2, 17_476),
    ("src/openbell/data/crypto_btcusdt_spot_bbo.parquet", {}, "quotes", 1, 73_174),
    ("src/openbell/data/index_vix_daily.csv.gz", DROP, "bars", 1, 9_235 - 47),
    ("src/openbell/data/us_equity_daily_adjclose_20.csv.gz", {}, "bars", 20, 8_313 * 20),
    ("src/openbell/data/us_equity_daily_wiki_actions_samples.csv.gz", {"sort": True}, "bars", 10, 8_998),
    ("src/openbell/data/us_index_sp500_daily.csv.gz", {}, "bars", 1, 8_313),
]


@pytest.mark.parametrize(("file", "options", "kind", "symbols", "rows"), FILES, ids=lambda value: str(value)[-30:])
def test_every_real_file_is_read(root, file, options, kind, symbols, rows):
    """Nothing is lost and nothing made up, and time never falls."""
    reader = read_history(root / file, **options)
    assert (reader.kind, len(reader.symbols)) == (kind, symbols)
    found = read_all(reader)
    assert len(found) == rows
    assert (np.diff(found.ts_event) >= 0).all()


@pytest.mark.parametrize(
    ("venue", "symbol", "rows"),
    [
        ("binance_spot", "BTCUSDT", 23_048),
        ("binance_spot", "ETHUSDT", 14_515),
        ("binance_usdm", "BTCUSDT", 44_949),
        ("binance_usdm", "ETHUSDT", 27_731),
    ],
)
def test_trades_of_each_venue(root, venue, symbol, rows):
    """The counts of the description; ids never fall, so the order within a millisecond was kept."""
    file = root / "src/openbell/data/crypto_binance_trades.parquet"
    found = read_all(read_history(file, symbols=symbol, where={"venue": venue}, sort=True))
    assert (found.kind, len(found)) == ("trades", rows)
    assert set(found.side.tolist()) == {-1, 1}
    assert (np.diff(found.trade_id) > 0).all()


def test_minute_bars_agree_with_the_ticks_they_were_made_of(root):
    """The venue's own minute bars close at the last mid price of its ticks: an oracle for both readers."""
    ticks = read_all(read_history(root / "tests/data/fx_eurusd_ticks_oanda_201405.parquet"))
    bars = read_all(read_history(root / "tests/data/fx_eurusd_1min_quotebars_oanda_201405.parquet"))
    minute = ticks.ts_event // 60_000_000_000
    last = np.flatnonzero(np.r_[minute[1:] != minute[:-1], True])
    np.testing.assert_array_equal(bars.ts_event // 60_000_000_000, minute[last])
    mid = (ticks.bid_price + ticks.ask_price) / 2
    np.testing.assert_allclose(mid[last], bars.close, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", sorted(CATALOG))
def test_every_data_set_of_the_catalog_opens(name):
    """Each shipped set reads to its end, and its description counts what is there."""
    reader = open_dataset(name)
    found = read_all(reader)
    assert len(found) == reader.quality.rows
    about = CATALOG[name].about
    if about[0].isdigit():
        assert about.split()[0] == f"{len(found):,}"


def test_options_win_over_those_of_the_data_set():
    """A caller may choose symbols and a range of a shipped set."""
    found = read_all(open_dataset("us-daily", symbols=["AAPL", "XOM"], start="2020-01-01", end="2021-01-01"))
    assert (found.symbols, len(found)) == (("AAPL", "XOM"), 2 * 253)


def test_an_unknown_data_set_offers_the_near_ones(tmp_path):
    """A name, a path and a frame are told apart; a wrong name lists the right ones."""
    with pytest.raises(UnknownNameError, match="Did you mean 'btcusdt'"):
        open_history("btcusd")
    with pytest.raises(UnknownNameError, match="no data set"):
        open_dataset("nothing")
    assert open_history("sp500").symbols == ("SP500",)
    assert dataset_names() == sorted(CATALOG)


def test_trades_and_quotes_of_one_market_line_up():
    """More trades are between the bid and the offer before them than with either shifted by a second."""
    trades, quotes = read_all(open_dataset("btcusdt")), read_all(open_dataset("btcusdt-quotes"))

    def inside(shift_ms):
        before = np.searchsorted(quotes.ts_event, trades.ts_event + shift_ms * 1_000_000) - 1
        bid, ask = quotes.bid_price[before], quotes.ask_price[before]
        return float(((bid <= trades.price) & (trades.price <= ask)).mean())

    # The rest are trades of an order that ate several levels within a millisecond.
    assert inside(0) > 0.55
    assert max(inside(-1_000), inside(1_000), inside(-1_270), inside(1_270)) < 0.3


def test_trades_and_quotes_merge_into_one_stream():
    """The shipped demo pair: every row once, under one symbol."""
    merged = merge([open_dataset("btcusdt-quotes"), open_dataset("btcusdt")])
    assert merged.symbols == ("BTCUSDT",)
    assert sum(len(batch) for batch in merged.batches()) == 73_174 + 19_904
