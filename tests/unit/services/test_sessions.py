"""Backtesting sessions over the bus: the same result as in one process, side by side, whole or not at all."""

import asyncio
import re

import numpy as np
import pytest

from openbell import backtest
from openbell.adapters.messages.control import (
    DataRequest,
    ErrorReply,
    Pause,
    Resume,
    SessionCancel,
    SessionDone,
    SessionReady,
    SessionTaken,
    decode,
    encode,
)
from openbell.adapters.stores.candles import SqliteCandleStore
from openbell.errors import BusError, DataError, UnknownNameError, UsageError
from openbell.services.history import reader as session_reader
from openbell.services.history import sender as session_sender
from openbell.services.history.reader import SessionEvents, SessionReader, over_session
from openbell.services.topics.names import SESSIONS
from tests.unit.services.over_bus import JOBS, locally, request, run, scene


async def until(condition):
    """Let the others work until the condition holds."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0)


async def drained(reader):
    """Every event of a session as one array."""
    parts = []
    while (events := await reader.take()) is not None:
        parts.append(events.copy())
    return np.concatenate([part.view(np.uint8) for part in parts])


async def test_several_sessions_side_by_side_give_the_local_results():
    """Three at a time, of several kinds of data and strategies: decisions, state and figures are those of a backtest without a bus."""
    async with scene(buffer=20) as made:
        results = await asyncio.gather(*(made.backtest(name) for name in JOBS))
        assert made.history.sessions == {}
        assert made.history.processed == sum(result.counts["events"] for result in results)
    for name, result in zip(JOBS, results, strict=True):
        expected = locally(name)
        assert (result.decision_hash, result.state_hash) == (expected.decision_hash, expected.state_hash)
        left_out = {"seconds", "data"}
        assert {k: v for k, v in result.to_dict().items() if k not in left_out} == {
            k: v for k, v in expected.to_dict().items() if k not in left_out
        }
        assert result.data_name == f"{', '.join(JOBS[name][1].split(','))} (session {name})"
        assert result.counts["orders"] > 0


async def test_choices_of_a_request_are_those_of_a_local_backtest():
    """Range, candles made of ticks, and what is dropped, with its note."""
    start, end = "2010-01-01", "2015-06-01"
    local = backtest("rsi", "us-daily", symbols=["AAPL"], start=start, end=end)
    candles = backtest("rsi", "ethusdt", bar_timeframe="5s", params={"period": 5})
    dropped = backtest("rsi", "vix", on_bad="drop")
    ns = [int(np.datetime64(day, "ns").astype(np.int64)) for day in (start, end)]
    async with scene() as made:
        for expected, changes, params in (
            (local, {"source": "us-daily", "symbols": ("AAPL",), "start": ns[0], "end": ns[1]}, {}),
            (candles, {"source": "ethusdt", "timeframe": "5s"}, {"period": 5}),
            (dropped, {"source": "vix", "drop_bad": True, "timeframe": "1d"}, {}),
        ):
            asked = DataRequest(session="one", **changes)
            result = await over_session(
                made.market, made.asking, asked, lambda events, params=params: backtest("rsi", events, params=params)
            )
            assert (result.decision_hash, result.notes) == (expected.decision_hash, expected.notes)
    assert dropped.notes


async def test_stored_candles_are_a_session_too(tmp_path):
    """Without a data set the candles of the store are sent, which a frame of the same candles confirms."""
    close = 100 + 5 * np.sin(np.arange(300) / 10.0)
    store = SqliteCandleStore(tmp_path / "candles.db")
    begin = 1_600_000_020_000
    store.add([("AAA", "1m", begin + 60_000 * i, c, c + 1, c - 1, c, 2.0, None, 3) for i, c in enumerate(close)])
    columns = {"time": begin + 60_000 * np.arange(300), "open": close, "high": close + 1, "low": close - 1, "close": close}
    expected = backtest("rsi", {**columns, "volume": np.full(300, 2.0)}, symbols="AAA")
    async with scene(candles=store) as made:
        asked = DataRequest(session="stored", symbols=("AAA",), timeframe="1m", start=begin * 10**6)
        result = await over_session(made.market, made.asking, asked, lambda events: backtest("rsi", events))
    store.close()
    assert result.decision_hash == expected.decision_hash
    assert result.counts["orders"] > 0


async def test_a_file_of_the_service_s_folder_is_a_data_set(tmp_path):
    """By its name inside the folder, and nothing outside of it."""
    folder = tmp_path / "history"
    folder.mkdir()
    text = "time,close\n" + "".join(f"{1_600_000_020 + 60 * i},{100 + i % 7}\n" for i in range(200))
    (folder / "mine.csv").write_text(text)
    (tmp_path / "secret.csv").write_text(text)
    (folder / "link.csv").symlink_to(tmp_path / "secret.csv")
    expected = backtest("rsi", str(folder / "mine.csv"))
    async with scene(folder=folder) as made:
        result = await over_session(
            made.market, made.asking, DataRequest(session="file", source="mine.csv"), lambda events: backtest("rsi", events)
        )
        for name in ("../secret.csv", "link.csv", str(tmp_path / "secret.csv"), ".", "..", "/etc/passwd"):
            with pytest.raises(UnknownNameError):
                await made.backtest("shares", source=name)
    assert result.decision_hash == expected.decision_hash


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"source": "btcusd"}, UnknownNameError, "btcusdt"),
        ({"source": "us-daily", "symbols": ("APPL",)}, UnknownNameError, "AAPL"),
        ({"source": "us-daily", "start": 10**18, "end": 9 * 10**17}, UsageError, "a start before the end"),
        ({"source": "us-daily", "start": 1 << 62}, UsageError, "start"),
        ({"source": "us-daily", "start": 4 * 10**18}, DataError, "no rows"),
        ({"source": "us-daily", "timeframe": "1m"}, DataError, "Ask for 1d"),
        ({"source": "us-daily", "timeframe": "1w"}, DataError, "Ask for 1d"),
        ({"source": "us-daily", "timeframe": "ticks"}, DataError, "ticks"),
        ({"source": "us-daily", "timeframe": "soon"}, UsageError, "timeframe"),
        ({"source": "us-daily,btcusdt", "symbols": ()}, DataError, "either bars"),
        ({"source": "", "symbols": ("AAPL",)}, UsageError, "no candles are stored here"),
        ({"source": "vix", "drop_bad": False, "symbols": ("VIX",), "session": "bad"}, DataError, "vix"),
    ],
)
async def test_what_cannot_be_sent_is_told_to_who_asked(changes, kind, words):
    """The error has the kind and the words it has without a bus, on both channels; the service goes on."""
    async with scene() as made:
        watch = made.control.subscribe("control")
        with pytest.raises(kind) as caught:
            await over_session(made.market, made.asking, request("shares", **changes), run("shares"))
        assert type(caught.value) is kind
        assert words in str(caught.value)
        await until(lambda: not made.history.sessions)
        told = [decode(message.payload) for message in watch.take_now()]
        assert [(reply.error, reply.session) for reply in told if isinstance(reply, ErrorReply)] == [
            (kind.__name__, changes.get("session", "shares"))
        ]
        assert (await made.backtest("shares")).counts["events"] > 0


async def test_an_id_is_one_session_at_a_time():
    """The second one is refused, and the first is not disturbed; afterwards the id is free again."""
    async with scene() as made:
        await made.asking.send(Pause(service="history"))
        async with SessionReader(made.market, "crosses", made.asking) as reader:
            await reader.ask(request("crosses"))
            with pytest.raises(UsageError, match="running already"):
                await made.backtest("crosses")
            await made.asking.ask(Resume(service="history"))
            assert len(await drained(reader)) > 0
        first = await made.backtest("crosses")
        assert first.decision_hash == locally("crosses").decision_hash


async def test_sessions_are_limited_in_number(monkeypatch):
    """One too many is refused with the remedy."""
    monkeypatch.setattr("openbell.services.history.service.SESSIONS_MAX", 1)
    async with scene() as made:
        await made.asking.send(Pause(service="history"))
        await made.asking.ask(request("crosses"))
        with pytest.raises(BusError, match="1 sessions are running"):
            await made.asking.ask(request("shares"))


async def test_a_window_holds_the_service_back():
    """No more than the window is on its way while nobody takes, other sessions go on meanwhile, and nothing is lost."""
    window = 2 * session_sender.CHUNK_EVENTS
    async with scene(buffer=5) as made, SessionReader(made.market, "crosses", made.asking) as slow:
        await slow.ask(request("crosses", window=window))
        sender = made.history.sessions["crosses"]
        await until(lambda: sender.sent == window)
        assert (await made.backtest("shares")).decision_hash == locally("shares").decision_hash
        assert sender.sent == window
        assert made.history.progress() == {"crosses": window}
        whole = await drained(slow)
        assert slow.done is not None
        assert len(whole) == slow.done.events * 96


async def test_a_session_without_a_window_is_held_back_by_the_bus(monkeypatch):
    """Who follows a session that somebody else asked for gets all of it, however slowly it is taken."""
    monkeypatch.setattr(session_reader, "WAITING_MAX", 2)
    async with scene(buffer=2) as made, SessionReader(made.market, "crosses") as follower:
        await made.asking.ask(request("crosses", window=0))
        await follower.ready()
        sender = made.history.sessions["crosses"]
        before = -1
        while before != sender.sent:
            before = sender.sent
            for _ in range(1000):
                await asyncio.sleep(0)
        assert before < 50_000
        result = await asyncio.to_thread(run("crosses"), SessionEvents(follower, await follower.ready()))
    assert result.decision_hash == locally("crosses").decision_hash


async def test_pause_and_resume_of_one_session_and_of_all():
    """A paused session says so and sends nothing; the others go on."""
    async with scene() as made, SessionReader(made.market, "crosses", made.asking) as reader:
        reply = await made.asking.ask(Pause(service="history"))
        assert (reply.service, reply.state) == ("history", "paused")
        await reader.ask(request("crosses"))
        reply = await made.asking.ask(Resume(service="history"))
        assert reply.state == "running"
        await made.asking.ask(Pause(session="crosses"))
        sender = made.history.sessions["crosses"]
        assert "1 of them paused" in made.history.detail
        sent = sender.sent
        assert (await made.backtest("shares")).counts["events"] > 0
        assert sender.sent <= sent + session_sender.CHUNK_EVENTS
        await made.asking.ask(Resume(session="crosses"))
        await drained(reader)
        with pytest.raises(UnknownNameError, match="no session 'other'"):
            await made.asking.ask(Pause(session="other"))
        assert await made.asking.gather(Pause(strategy="rsi"), 0.05) == []


async def test_a_session_whose_reader_is_gone_ends(monkeypatch):
    """A reader that leaves says so; one that was killed is noticed by its silence."""
    window = session_sender.CHUNK_EVENTS
    async with scene() as made:
        async with SessionReader(made.market, "crosses", made.asking) as reader:
            await reader.ask(request("crosses", window=window))
        await until(lambda: not made.history.sessions)
        monkeypatch.setattr(session_sender, "ALIVE_S", 0.01)
        watch = made.market.subscribe(SESSIONS)
        await made.asking.ask(request("crosses", window=window))
        await until(lambda: made.history.sessions["crosses"].sent > 0)
        monkeypatch.setattr(session_sender, "GONE_S", 0.01)
        await until(lambda: not made.history.sessions)
        records = [decode(message.payload) for message in watch.take_now() if message.payload[:1] == b"{"]
        assert isinstance(records[-1], ErrorReply)
        assert "nobody has taken anything of session crosses" in records[-1].detail
        assert sum(isinstance(record, SessionReady) for record in records) > 1


async def test_cancelling_tells_the_reader():
    """The rest is not sent, and the backtest raises instead of giving a result of a part."""
    async with scene() as made, SessionReader(made.market, "crosses", made.asking) as reader:
        await reader.ask(request("crosses", window=session_sender.CHUNK_EVENTS))
        await made.asking.send(SessionCancel(session="crosses", epoch=5))  # another sending: not this one
        await reader.take()
        await made.asking.send(SessionCancel(session="crosses"))
        with pytest.raises(BusError, match="was cancelled"):
            await drained(reader)


async def test_stopping_the_service_ends_its_sessions():
    """Readers get an error, the tasks are gone."""
    async with scene() as made, SessionReader(made.market, "crosses", made.asking) as reader:
        running = asyncio.create_task(made.history.run())
        await reader.ask(request("crosses", window=session_sender.CHUNK_EVENTS))
        await made.history.stop()
        await asyncio.wait_for(running, 5)
        with pytest.raises(BusError, match="cancelled"):
            await drained(reader)


class Tampered:
    """A bus on which some messages of a session are changed on their way."""

    def __init__(self, bus, change):
        self.bus, self.change, self.number = bus, change, 0

    def __getattr__(self, name):
        return getattr(self.bus, name)

    async def send(self, topic, payload, key=""):
        for changed in self.change(self.number, payload):
            await self.bus.send(topic, changed, key)
        self.number += 1


def is_done(payload):
    return payload[:1] == b"{" and isinstance(decode(payload), SessionDone)


def one_bit(number, payload):
    """A price of the third chunk is another one, at its lowest bit."""
    if number != 3:
        return [payload]
    changed = bytearray(payload)
    changed[len(payload) // 2 // 8 * 8] ^= 1
    return [bytes(changed)]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda number, payload: [] if number == 3 else [payload], "lacks the events from"),
        (lambda number, payload: [] if number == 1 else [payload], "lacks the events from 0"),
        (lambda number, payload: [] if number == 8 else [payload], "ended after 14,000 events"),
        (one_bit, "checksum|place|column|chunk|message"),
        (lambda number, payload: [re.sub(rb'"events":(\d+)', rb'"events":7', payload)] if is_done(payload) else [payload], "7 events"),
        (lambda number, payload: [b"\x00\x01"] if number == 3 else [payload], "TickBatch"),
    ],
)
async def test_what_is_missing_or_changed_is_noticed(change, words, monkeypatch):
    """A chunk that is lost, a bit that is changed, a wrong number at the end: an error in place of a result."""
    monkeypatch.setattr(session_sender, "CHUNK_EVENTS", 2_000)
    async with scene() as made:
        made.history._market = Tampered(made.market, change)
        with pytest.raises(DataError, match=words):
            await over_session(made.market, made.asking, request("bands"), run("bands"))


async def test_what_comes_twice_is_taken_once():
    """Messages that the bus delivers again, and another sending of the same id, change nothing."""
    foreign = encode(SessionReady(session="bands", epoch=7, symbols=("XXX",), lot_size=1.0))
    failed = encode(ErrorReply(session="bands", epoch=7, detail="of another sending", error="DataError"))
    async with scene() as made:
        made.history._market = Tampered(made.market, lambda number, payload: [payload, payload, foreign, failed][: 2 if number == 0 else 4])
        result = await made.backtest("bands")
    assert result.decision_hash == locally("bands").decision_hash


async def test_a_silent_service_is_not_waited_for_for_ever(monkeypatch):
    """Nobody there to answer, or gone in the middle: an error that says what to look at."""
    monkeypatch.setattr(session_reader, "ANSWER_S", 0.05)
    monkeypatch.setattr(session_reader, "SILENCE_S", 0.05)
    async with scene() as made:
        await made.served.stop()
        with pytest.raises(BusError, match="nobody answered a data_request"):
            await made.backtest("bands")
        async with SessionReader(made.market, "bands") as reader:
            with pytest.raises(BusError, match="is silent after 0 events"):
                await reader.take()


async def test_closing_the_reader_ends_a_backtest_that_waits():
    """The thread of the backtest gets an error and ends."""
    async with scene() as made, SessionReader(made.market, "crosses", made.asking) as reader:
        ready = await reader.ask(request("crosses", window=session_sender.CHUNK_EVENTS))
        await until(lambda: made.history.sessions["crosses"].sent > 0)
        await made.asking.ask(Pause(session="crosses"))
        working = asyncio.create_task(asyncio.to_thread(run("crosses"), SessionEvents(reader, ready)))
        await until(lambda: reader.received > 0)
        await reader.close()
        with pytest.raises(BusError, match="closed"):
            await working


async def test_a_session_is_read_once():
    """A second pass over the events is an error, not an empty backtest."""
    async with scene() as made, SessionReader(made.market, "bands", made.asking) as reader:
        events = SessionEvents(reader, await reader.ask(request("bands")))
        assert await asyncio.to_thread(lambda: sum(len(part) for part in events)) == 14_515
        with pytest.raises(UsageError, match="read already"):
            await asyncio.to_thread(lambda: list(events))


async def test_taken_never_runs_back():
    """An old report of progress, which a channel may deliver late, does not shrink the window."""
    async with scene() as made:
        await made.asking.ask(request("crosses", window=session_sender.CHUNK_EVENTS))
        sender = made.history.sessions["crosses"]
        await until(lambda: sender.sent > 0)
        for events in (session_sender.CHUNK_EVENTS, 5):
            await made.asking.send(SessionTaken(session="crosses", epoch=sender.epoch, events=events))
        await until(lambda: sender.sent == 2 * session_sender.CHUNK_EVENTS)
