"""Trades as JSON on the market-data topic: what a person or a small program writes."""

import msgspec
import pytest

from openbell.adapters.messages.ticks import JsonTicks, decode_ticks
from openbell.errors import DataError
from openbell.model import enums
from tests.contracts.messages import INSTRUMENTS, LISTINGS

TICK = {"symbol": "BTCUSDT", "price": 42_000.13, "quantity": 0.3, "ts": 1_706_659_200_125}


def decode(value):
    payload = value if isinstance(value, bytes) else msgspec.json.encode(value)
    return decode_ticks(payload, INSTRUMENTS, LISTINGS)


def test_one_tick():
    """Units become lots, milliseconds nanoseconds; without a side and an id both are 0."""
    ticks = decode(TICK)
    assert isinstance(ticks, JsonTicks)
    trade = ticks.events["trade"][0]
    assert (trade["kind"], trade["instrument"], trade["side"], trade["trade_id"], trade["seq"]) == (enums.TRADE, 1, 0, 0, 0)
    assert (trade["price"], trade["quantity"]) == (42_000.13, 30_000)
    assert trade["ts_event"] == trade["ts_available"] == 1_706_659_200_125_000_000


def test_nanoseconds_are_told_by_their_size():
    """A time above 1e15 is in ns."""
    assert decode({**TICK, "ts": 1_706_659_200_125_000_007}).events["ts_event"].tolist() == [1_706_659_200_125_000_007]


def test_a_list_keeps_its_order():
    """Several ticks, of several symbols, as they stand."""
    ticks = decode([{**TICK, "side": "sell", "trade_id": 7}, {**TICK, "symbol": "AAPL", "quantity": 3, "side": "buy"}, TICK])
    assert ticks.events["instrument"].tolist() == [1, 0, 1]
    assert ticks.events["side"].tolist() == [enums.SELL, enums.BUY, 0]
    assert ticks.events["trade"]["trade_id"].tolist() == [7, 0, 0]


def test_symbols_that_are_not_listed_are_named_and_left_out():
    """Each once, however many ticks it has."""
    ticks = decode([{**TICK, "symbol": "GOOG"}, TICK, {**TICK, "symbol": "GOOG"}, {**TICK, "symbol": "TSLA"}])
    assert (len(ticks.events), ticks.unknown) == (1, ("GOOG", "TSLA"))


@pytest.mark.parametrize("payload", [b"[]", b'[{"symbol":"GOOG","price":1,"quantity":1,"ts":1706659200125}]'])
def test_nothing_for_us_is_nothing(payload):
    """No tick is not an error."""
    assert len(decode(payload).events) == 0


@pytest.mark.parametrize(
    ("tick", "told"),
    [
        (b"{", "a tick as JSON: Input data was truncated"),
        (b"[1]", "Expected `object`, got `int`"),
        (b'{"symbol":"\xff"}', "a tick as JSON"),
        (b"[" * 100_000, "a tick as JSON"),
        (
            {key: value for key, value in TICK.items() if key != "price"},
            "missing required field `price`; expected symbol, price, quantity, ts",
        ),
        ({**TICK, "symbol": ""}, "`$.symbol`"),
        ({**TICK, "price": 0}, "Expected `float` > 0.0 - at `$.price`"),
        ({**TICK, "price": "42"}, "Expected `float`, got `str` - at `$.price`"),
        ({**TICK, "quantity": -1}, "Expected `float` >= 0.0 - at `$.quantity`"),
        (b'{"symbol":"AAPL","price":1e400,"quantity":1,"ts":1706659200125}', "price"),
        (b'{"symbol":"AAPL","price":NaN,"quantity":1,"ts":1706659200125}', "a tick as JSON"),
        ({**TICK, "side": "long"}, "`$.side`"),
        ({**TICK, "trade_id": 2**63}, "`$.trade_id`"),
        ({**TICK, "quantity": 9e14}, "a quantity of 9e+14 units in lots of 1e-05"),
        (
            {**TICK, "ts": 1_706_659_200},
            "is 1706659200, which is 1970-01-20T18:04:19.200Z; expected milliseconds or nanoseconds since 1970",
        ),
        ({**TICK, "ts": 1_706_659_200_125_000}, "is 1706659200125000, which is 1970-01-20"),
        ({**TICK, "ts": -5}, "ts of a tick of BTCUSDT is -5; expected milliseconds"),
        ({**TICK, "ts": 10**14}, "is 100000000000000; expected"),
        (b'{"symbol":"AAPL","price":1,"quantity":1,"ts":99999999999999999999999}', "ts"),
    ],
)
def test_what_cannot_be_used_is_said(tick, told):
    """Found, expected, and where it stands; one bad tick refuses its message."""
    with pytest.raises(DataError) as refused:
        decode(tick)
    assert told in str(refused.value)
