"""The messages that are kept from every published version of the contract, and what the contract was.

`tests/data/messages/v1` holds one file a message, `values.json` with what each has to be read as, and `contract.txt`: a line for every
field and every word of an enum. When the contract grows, `python -m tests.contracts.messages` adds what is new and changes nothing else.
"""

import json
from pathlib import Path

import msgspec
import numpy as np

from openbell.adapters.messages import alerts, control, decisions, market, orders, ticks
from openbell.model import enums
from openbell.model.commands import COMMAND
from openbell.model.events import EVENT
from openbell.model.plan import Listing
from openbell.model.time import MINUTE, SECOND
from openbell.proto.v1 import alerts_pb2, control_pb2, market_pb2, trading_pb2

KEPT = Path(__file__).resolve().parents[1] / "data/messages"
FILES = (market_pb2, trading_pb2, alerts_pb2, control_pb2)
LISTINGS = (Listing("AAPL", 0.01, 1.0), Listing("BTCUSDT", 0.01, 1e-5, "USDT"))
INSTRUMENTS = {listing.symbol: index for index, listing in enumerate(LISTINGS)}
TS = 1_706_659_200 * SECOND
MEMBERS = {enums.TRADE: "trade", enums.QUOTE: "quote", enums.BAR: "bar"}


def event(kind, instrument, ts, **fields):
    """One event (array of one) with the fields of its kind."""
    made = np.zeros(1, EVENT)
    made["kind"], made["instrument"], made["ts_available"], made["ts_event"] = kind, instrument, TS + ts, TS + ts - 7
    for name, value in fields.items():
        made[MEMBERS[kind]][name] = value
    return made


def chunk():
    """A chunk with every kind of event, of two symbols and of none."""
    parts = [
        event(enums.TRADE, 1, 0, price=42_000.13, quantity=1_200, side=enums.BUY, trade_id=81),
        event(enums.QUOTE, 1, 5, bid_price=42_000.12, ask_price=42_000.13, bid_quantity=7, ask_quantity=9_000),
        event(enums.TRADE, 0, 9, price=150.25, quantity=3),
        event(enums.TRADE, 1, 9, price=41_999.99, quantity=55, side=enums.SELL, trade_id=82),
        event(
            enums.BAR, 0, MINUTE, timeframe_ns=MINUTE, open=150.0, high=150.5, low=149.9, close=150.25, volume=1_200,
            notional=180_240.0, trades=31,
        ),
        event(enums.TIMER, -1, MINUTE),
    ]  # fmt: skip
    return np.concatenate([part.view(np.uint8) for part in parts]).view(EVENT)


def commands():
    """Two commands: an order on its way, and a fill."""
    made = np.zeros(2, COMMAND)
    made["seq"], made["ts"], made["kind"], made["order_id"] = (78, 79), TS, (enums.SUBMIT, enums.FILL), 79_873
    made["quantity"], made["price"], made["side"] = 3, 150.25, enums.BUY
    return made


ORDER = orders.OrderInstruction(
    run="r1", strategy="sma", client_order_id="r1-79873", order_id=79_873, symbol="AAPL", action="submit", side="buy", type="stop_limit",
    time_in_force="day", quantity=3.0, quantity_lots=3, limit_price=150.25, stop_price=150.0, status="submitted", reason="as asked",
    ts=TS, seq=78, index=4, venue="outside",
)  # fmt: skip
EXECUTION = orders.Execution(
    run="r1", strategy="sma", client_order_id="r1-79873", order_id=79_873, execution_id="e7", symbol="AAPL", side="sell",
    status="partially_filled", last_quantity=2.0, last_lots=2, last_price=150.2, filled_quantity=2.0, filled_lots=2, fee=-450_600,
    currency="USD", is_maker=True, reason="rest on the book", ts=TS + 9, ts_event=TS + 5, seq=80, index=6, venue="outside",
)  # fmt: skip
CANDLE = market.Candle(
    symbol="AAPL", timeframe="1m", timeframe_ns=MINUTE, ts=TS, open=150.0, high=150.5, low=149.9, close=150.25, volume=1200.0, vwap=150.2,
    trades=31, complete=True,
)  # fmt: skip
SIGNAL = market.Signal(run="r1", strategy="sma", symbol="AAPL", side="buy", price=150.25, ts=TS, seq=78, index=3)
ALERT = alerts.Alert(
    id="a1", user="u1", symbol="AAPL", condition="crosses", target_price=151.5, status="triggered", note="sell half", ts_created=TS,
    ts_triggered=TS + 5, triggered_price=151.51, repeat=True,
)  # fmt: skip
EVERY = alerts.Alert(
    id="a2", user="7", symbol="AAPL", condition="indicator_crosses_below", target_price=-2.0, status="active", note="sell half",
    ts_created=TS, ts_triggered=TS + 5, triggered_price=151.51, repeat=True, number=3, value=-2.125,
    spec='{"against":{"name":"sma","timeframe":"1h"},"indicator":{"name":"price"}}', cooldown_s=90.5, hysteresis=1.5, ts_expires=TS + 9,
    schedule='{"session":"us"}',
)  # fmt: skip
CONTROL = {
    "data-request": control.DataRequest(
        id="7", sender="cli/1", ts=TS, session="s1", symbols=("AAPL", "BTCUSDT"), timeframe="1m", start=TS, end=TS + MINUTE,
        source="us-daily", sort=True, drop_bad=True, window=10_000,
    ),
    "ingest-request": control.IngestRequest(id="8", action="subscribe", symbols=("AAPL",), source="recorded"),
    "status": control.Status(id="9", service="trader", reply="answers"),
    "status-reply": control.StatusReply(
        request="9", service="trader", state="running", detail="run r1", processed=10, lag_ms=0.25, queue=2, positions={"recorded": 5}
    ),
    "pause": control.Pause(service="trader", strategy="sma", session="s1"),
    "resume": control.Resume(service="trader", strategy="sma", session="s1"),
    "session-ready": control.SessionReady(
        request="7", session="s1", detail="10 rows", symbols=("AAPL",), topic="sessions", epoch=3, lot_size=1.0, bar_timeframe_ns=MINUTE
    ),
    "session-done": control.SessionDone(request="7", session="s1", detail="sent", events=10, epoch=3, checksum="5f", notes=("late rows",)),
    "session-taken": control.SessionTaken(session="s1", epoch=3, events=5),
    "session-cancel": control.SessionCancel(session="s1", epoch=3),
    "error": control.ErrorReply(request="7", session="s1", detail="no such symbol", error="UnknownNameError", epoch=3),
}  # fmt: skip


def control_protobuf(message):
    """A control message as protobuf, which openbell reads and others write."""
    fields = msgspec.structs.asdict(message)
    head = {name: fields.pop(name) for name in ("id", "sender", "ts")}
    return control_pb2.Control(**head, **{type(message).__struct_config__.tag: fields}).SerializeToString()


def written():
    """Each message by the name of its file, as this version writes it."""
    cut = ticks.encode_chunk(chunk(), LISTINGS, source="recorded", epoch=2, first=1_000, cursor=b"3.250")
    one = ticks.encode_chunk(chunk()[:1], LISTINGS, source="recorded", epoch=2, first=1_006, cursor=b"3.251")
    tick = b'{"symbol": "AAPL", "price": 150.25, "quantity": 3, "ts": 1706659200125, "side": "sell", "trade_id": 7}'
    nanoseconds = b'{"symbol":"BTCUSDT","price":42000.13,"quantity":0.00055,"ts":1706659200125000009}'
    return {
        **{f"ticks-{symbol.lower() or 'timers'}.bin": payload for symbol, payload in cut},
        "ticks-one.bin": one[0][1],
        "ticks-one.json": tick,
        "ticks-list.json": b"[" + tick + b"," + nanoseconds + b"]",
        "candle.bin": market.encode_candle(CANDLE),
        "candle-empty.bin": market.encode_candle(msgspec.structs.replace(CANDLE, volume=0.0, vwap=None, trades=0)),
        "candles.bin": market.encode_candles("AAPL", 1.0, chunk()[4:5]),
        "signal.bin": market.encode_signal(SIGNAL),
        "order.bin": orders.encode_order(ORDER),
        "order-cancel.bin": orders.encode_order(
            msgspec.structs.replace(
                ORDER, action="cancel", type="", time_in_force="", limit_price=None, stop_price=None, status="", reason=""
            )
        ),
        "execution.bin": orders.encode_execution(EXECUTION),
        "execution-status.bin": orders.encode_execution(
            msgspec.structs.replace(EXECUTION, status="rejected", last_quantity=0.0, last_lots=0, last_price=None, fee=0, index=-1)
        ),
        "decisions.bin": decisions.encode_decisions("r1", "5f3a", 10, commands(), 79),
        "alert.bin": alerts.encode_alert(ALERT),
        "alert-every.bin": alerts.encode_alert(EVERY),
        **{f"control-{name}.json": control.encode(message) for name, message in CONTROL.items()},
        **{f"control-{name}.bin": control_protobuf(message) for name, message in CONTROL.items()},
    }


def kind_of(name):
    """The protobuf message that a file holds; None for JSON."""
    kinds = {
        "ticks": market_pb2.TickBatch, "candle": market_pb2.Candle, "candles": market_pb2.CandleBatch, "signal": trading_pb2.Signal,
        "order": trading_pb2.Order, "execution": trading_pb2.Execution, "decisions": trading_pb2.DecisionBatch, "alert": alerts_pb2.Alert,
        "control": control_pb2.Control,
    }  # fmt: skip
    return kinds[name.split(".")[0].split("-")[0]] if name.endswith(".bin") else None


def read(name, payload):
    """What a message says, as plain data, read by the codec of its kind."""
    kind = name.split(".")[0].split("-")[0]
    if kind == "ticks":
        found = ticks.decode_ticks(payload, INSTRUMENTS, LISTINGS)
        names = ("source", "epoch", "first", "count", "parts", "symbol", "size") if isinstance(found, ticks.Part) else ("unknown",)
        value = {field: getattr(found, field) for field in names} | {"events": plain_events(found.events)}
        if isinstance(found, ticks.Part):
            value |= {"cursor": found.cursor.decode(), "index": None if found.index is None else found.index.tolist()}
    elif kind == "decisions":
        found = decisions.decode_decisions(payload)
        value = {field: getattr(found, field) for field in ("run", "plan", "first", "seq")} | {"commands": found.commands.tobytes().hex()}
    elif kind == "candles":
        found = market.decode_candles(payload)
        value = {"symbol": found.symbol, "lot_size": found.lot_size, "events": plain_events(found.events)}
    else:
        decode = {
            "candle": market.decode_candle, "signal": market.decode_signal, "order": orders.decode_order,
            "execution": orders.decode_execution, "alert": alerts.decode_alert, "control": control.decode,
        }[kind]  # fmt: skip
        value = decode(payload)
    return msgspec.to_builtins(value)


def plain_events(events):
    """Events as plain data, every field of their kind."""
    shown = []
    for each in events:
        record = each[MEMBERS[int(each["kind"])]] if int(each["kind"]) in MEMBERS else each
        names = [name for name in record.dtype.names if name != "_pad" and name not in {"reply", "request", *MEMBERS.values()}]
        shown.append({name: record[name].item() for name in names})
    return shown


def contract():
    """A line for each field and each word of an enum, as the generated code has them."""
    lines = []
    for file in FILES:
        for message in file.DESCRIPTOR.message_types_by_name.values():
            lines += list(fields_of(message))
        for enum in file.DESCRIPTOR.enum_types_by_name.values():
            lines += [f"{enum.full_name} {value.number} = {value.name}" for value in enum.values]
    return lines


def fields_of(message):
    """A line for each field of a message, and of those within it."""
    for field in message.fields:
        kind = field.message_type.full_name if field.message_type else field.enum_type.full_name if field.enum_type else TYPES[field.type]
        label = "repeated " if field.is_repeated else "optional " if field.has_presence and not field.message_type else ""
        within = f" in {field.containing_oneof.name}" if field.containing_oneof and not field.containing_oneof.name.startswith("_") else ""
        yield f"{message.full_name} {field.number} = {label}{kind} {field.name}{within}"
    for nested in message.nested_types:
        yield from fields_of(nested)


#: Names of the protobuf types by their number in a descriptor.
TYPES = {1: "double", 3: "int64", 8: "bool", 9: "string", 12: "bytes", 13: "uint32"}


def keep(folder):
    """Add what is new to the folder of a version."""
    values = folder / "values.json"
    known = json.loads(values.read_text()) if values.exists() else {}
    for name, payload in written().items():
        if name not in known:
            (folder / name).write_bytes(payload)
            known[name] = read(name, payload)
    values.write_text(json.dumps(known, indent=1) + "\n")
    text = folder / "contract.txt"
    lines = text.read_text().splitlines() if text.exists() else []
    text.write_text("\n".join(lines + [line for line in contract() if line not in lines]) + "\n")


if __name__ == "__main__":
    keep(KEPT / "v1")
