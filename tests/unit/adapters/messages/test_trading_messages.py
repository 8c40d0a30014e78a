"""Orders, executions, candles, signals and decisions on the wire."""

import msgspec
import numpy as np
import pytest

from openbell.adapters.messages import decisions, market, orders
from openbell.adapters.messages.structs import words_of_enum
from openbell.errors import DataError
from openbell.model import enums
from openbell.model.commands import COMMAND
from openbell.model.events import EVENT
from openbell.proto.v1 import market_pb2, trading_pb2
from tests.contracts.messages import CANDLE, EXECUTION, ORDER, SIGNAL, chunk, commands

CODECS = {
    "order": (orders.encode_order, orders.decode_order, ORDER),
    "execution": (orders.encode_execution, orders.decode_execution, EXECUTION),
    "candle": (market.encode_candle, market.decode_candle, CANDLE),
    "signal": (market.encode_signal, market.decode_signal, SIGNAL),
}


@pytest.mark.parametrize("name", CODECS)
def test_a_structure_comes_back(name):
    """Every field, and None where a price is absent."""
    encode, decode, value = CODECS[name]
    assert decode(encode(value)) == value
    absent = {field.name: None for field in msgspec.structs.fields(type(value)) if type(None) in getattr(field.type, "__args__", ())}
    assert decode(encode(msgspec.structs.replace(value, **absent))) == msgspec.structs.replace(value, **absent)


@pytest.mark.parametrize(
    ("enum", "names"),
    [
        (trading_pb2.OrderType, enums.ORDER_TYPE_NAMES),
        (trading_pb2.TimeInForce, enums.TIME_IN_FORCE_NAMES),
        (trading_pb2.OrderStatus, enums.STATUS_NAMES),
        (trading_pb2.OrderAction, {number: enums.COMMAND_NAMES[number] for number in (enums.SUBMIT, enums.MODIFY, enums.CANCEL)}),
    ],
)
def test_the_words_of_the_contract_are_those_of_the_model(enum, names):
    """By the same numbers."""
    assert words_of_enum(enum.DESCRIPTOR) == ["", *(names[number] for number in range(1, len(names) + 1))]


@pytest.mark.parametrize(
    ("name", "change", "told"),
    [
        ("order", {"run": ""}, "an Order that cannot be used"),
        ("order", {"client_order_id": ""}, "`$.client_order_id`"),
        ("order", {"quantity": float("nan")}, "`$.quantity`"),
        ("order", {"quantity": float("inf")}, "`$.quantity`"),
        ("order", {"quantity_lots": -1}, "`$.quantity_lots`"),
        ("order", {"limit_price": float("nan")}, "`$.limit_price`"),
        ("order", {"stop_price": -1.0}, "`$.stop_price`"),
        ("order", {"action": "ORDER_ACTION_UNSPECIFIED"}, "`$.action`"),
        ("order", {"side": "SIDE_UNSPECIFIED"}, "`$.side`"),
        ("order", {"venue": 9}, "an Order has the venue 9, which this version does not know; expected one of paper, outside"),
        ("execution", {"last_price": float("inf")}, "an Execution that cannot be used"),
        ("execution", {"status": -3}, "an Execution has the status -3"),
        ("candle", {"high": float("nan")}, "a Candle that cannot be used"),
        ("candle", {"timeframe_ns": 0}, "`$.timeframe_ns`"),
        ("signal", {"price": float("nan")}, "a Signal that cannot be used"),
        ("signal", {"seq": -1}, "`$.seq`"),
    ],
)
def test_values_that_make_no_sense_are_refused(name, change, told):
    """A price is finite and above 0, a quantity at least 0, an order has an id, a side and an action."""
    encode, decode, value = CODECS[name]
    kind = {"order": trading_pb2.Order, "execution": trading_pb2.Execution, "candle": market_pb2.Candle, "signal": trading_pb2.Signal}[name]
    message = kind.FromString(encode(value))
    message.MergeFrom(kind(**change))
    for field, changed in change.items():
        if not changed or field in ("action", "side"):
            message.ClearField(field)
    with pytest.raises(DataError) as refused:
        decode(message.SerializeToString())
    assert told in str(refused.value)


def test_what_would_be_refused_is_not_written():
    """A mistake shows where it was made, not at a reader."""
    with pytest.raises(DataError, match=r"an Order that cannot be used: .*`\$\.limit_price`"):
        orders.encode_order(msgspec.structs.replace(ORDER, limit_price=float("nan")))


def test_decisions_come_back_to_the_last_bit():
    """Whatever bits the records have, NaN too; the array is read in place."""
    raw = np.random.default_rng(1).integers(0, 256, 5 * COMMAND.itemsize, np.uint8).view(COMMAND)
    found = decisions.decode_decisions(decisions.encode_decisions("r1", "5f3a", 7, raw, 99))
    assert (found.run, found.plan, found.first, found.seq) == ("r1", "5f3a", 7, 99)
    assert found.commands.tobytes() == raw.tobytes()
    assert found.commands.dtype == COMMAND
    assert not found.commands.flags.writeable


def test_decisions_without_commands_say_how_far_the_run_is():
    """Nothing was decided up to this event."""
    found = decisions.decode_decisions(decisions.encode_decisions("r1", "5f3a", 7, commands()[:0], 99))
    assert (len(found.commands), found.seq) == (0, 99)


@pytest.mark.parametrize(
    "change", [{"count": 3}, {"count": 2**32 - 1}, {"commands": b"\0" * 95}, {"commands": b""}, {"first": -1}, {"run": ""}]
)
def test_decisions_that_contradict_themselves_are_refused(change):
    """The count and the bytes agree, and the first has an index."""
    message = trading_pb2.DecisionBatch.FromString(decisions.encode_decisions("r1", "5f3a", 7, commands(), 99))
    for name, value in change.items():
        setattr(message, name, value)
    with pytest.raises(DataError, match="expected a run, and 96 bytes for each command"):
        decisions.decode_decisions(message.SerializeToString())


def test_candles_come_from_events_and_from_commands():
    """A CANDLE command has the bytes of a BAR event."""
    bar = chunk()[4:5]
    command = np.zeros(1, COMMAND)
    command["bar"] = bar["bar"]
    command["kind"] = enums.CANDLE
    for source in (bar, command):
        found = market.decode_candles(market.encode_candles("AAPL", 0.5, source))
        assert (found.symbol, found.lot_size, found.events.dtype) == ("AAPL", 0.5, EVENT)
        assert found.events.tobytes() == bar.tobytes()
    assert market.decode_candles(market.encode_candles("AAPL", 0.5, bar), instrument=9).events["instrument"].tolist() == [9]
    assert len(market.decode_candles(market.encode_candles("AAPL", 0.5, bar[:0])).events) == 0


@pytest.mark.parametrize(
    ("symbol", "lot_size", "column", "told"),
    [
        ("", 1.0, b"", "candles of '' in lots of 1.0; expected a symbol"),
        ("AAPL", float("nan"), b"", "candles of 'AAPL' in lots of nan"),
        ("AAPL", 0.0, b"", "a lot size above 0"),
        ("AAPL", 1.0, b"\0" * 7, "the column bars.ts_available has 7 bytes"),
        ("AAPL", 1.0, b"\0" * 8, "the column bars.ts_event has 0 bytes; expected 8"),
    ],
)
def test_candles_that_contradict_themselves_are_refused(symbol, lot_size, column, told):
    """As ticks are."""
    message = market_pb2.CandleBatch(symbol=symbol, lot_size=lot_size, bars=market_pb2.BarColumns(ts_available=column))
    with pytest.raises(DataError) as refused:
        market.decode_candles(message.SerializeToString())
    assert told in str(refused.value)
