"""The same events give the same bytes: however they are cut, from any checkpoint, interpreted or compiled, and whatever the future is."""

import json
import os
import subprocess
import sys
from hashlib import sha256

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbell.errors import JournalError
from openbell.model import enums
from tests.properties.market import EXAMPLES, STREAMS, Machine, bars, machine, plan, ticks, window

CUTS = st.lists(st.integers(0, 1_500), max_size=8)


@EXAMPLES
@given(STREAMS, CUTS)
def test_any_split_gives_the_same_bytes(stream, cuts):
    """All at once, or in pieces down to nothing: the same commands and the same state."""
    venue, kind, events = stream
    whole = machine(venue, kind).run(events)
    assert machine(venue, kind).run(events, [min(cut, len(events)) for cut in cuts]) == whole


@pytest.mark.parametrize("venue", ["next", "shared", "outside"])
def test_one_by_one_gives_the_same_bytes(venue):
    """A batch for each event."""
    events = ticks(3, 600)
    assert machine(venue).run(events, range(1, len(events))) == machine(venue).run(events)


def test_a_small_command_buffer_gives_the_same_bytes():
    """A step that stops early because its output is full goes on where it stopped."""
    from openbell.engine.engine import Engine

    made = plan()
    events = ticks(4, 3_000)
    small, large = Engine(made), Engine(made, commands_capacity=1 << 16)
    pieces = [len(piece) for piece in Engine(made).step(events)]
    assert len(pieces) > 1
    assert (small.run(events).tobytes(), small.state_hash()) == (large.run(events).tobytes(), large.state_hash())


@EXAMPLES
@given(STREAMS, st.integers(0, 1_500))
def test_checkpoint_anywhere(stream, place):
    """Stopped after any event and restored in another engine, the rest is the same."""
    venue, kind, events = stream
    place = min(place, len(events))
    whole = machine(venue, kind).run(events)
    engine = machine(venue, kind).start()
    before = engine.run(events[:place]).tobytes()
    checkpoint = engine.checkpoint()
    engine.run(events[place:])  # goes on, and must not matter
    engine.restore(checkpoint)
    assert (before + engine.run(events[place:]).tobytes(), engine.state_hash()) == whole


def test_checkpoint_in_another_engine():
    """An engine of the same plan made later takes the checkpoint."""
    events = ticks(5, 500)
    first = Machine(plan()).start()
    first.run(events[:250])
    second = Machine(plan()).start(first.checkpoint())
    assert second.run(events[250:]).tobytes() == first.run(events[250:]).tobytes()
    assert second.state_hash() == first.state_hash()


def test_checkpoints_of_others_are_refused():
    """Another plan's, a damaged one, one of another version: JournalError, and the state is untouched."""
    engine = machine().start()
    before = engine.state_hash()
    good = bytearray(engine.checkpoint())
    other_version, no_magic = good.copy(), good.copy()
    other_version[8] ^= 0xFF
    no_magic[0] ^= 0xFF
    for bad in (b"", bytes(good[:-1]), bytes(other_version), bytes(no_magic), machine("next", "bars").first + b"x"):
        with pytest.raises(JournalError):
            engine.restore(bad)
    assert engine.state_hash() == before


def test_events_that_do_not_go_on_are_refused():
    """Every event once, in order."""
    engine = machine().start()
    events = ticks(6, 20)
    engine.run(events[:10])
    for wrong in (events[9:], events[11:], events[:10]):
        with pytest.raises(JournalError, match="seq 11"):
            engine.run(wrong)


@EXAMPLES
@given(STREAMS, st.integers(0, 1_500), st.integers(0, 10**6))
def test_no_look_ahead(stream, place, seed):
    """With every event after `place` replaced, the commands up to it are the same bytes."""
    venue, kind, events = stream
    place = min(place, len(events) - 1)
    changed = events.copy()
    fresh = (bars if kind == "bars" else ticks)(seed, len(events))
    shift = int(events["ts_available"][place]) - int(fresh["ts_available"][0])
    for row in range(place + 1, len(events)):
        changed[row] = fresh[row]
        changed[row]["ts_available"] += shift
        changed[row]["ts_event"] += shift
    assert (changed["seq"] == events["seq"]).all()
    runs = []
    for each in (events, changed):
        commands = machine(venue, kind).start().run(each)
        runs.append(commands[commands["seq"] <= place + 1].tobytes())
    assert runs[0] == runs[1]


SCENARIOS = (("next", "ticks", 11), ("shared", "ticks", 12), ("prevailing", "bars", 13), ("outside", "ticks", 14), ("next", "real", 15))


def digests():
    """{scenario: [commands, their hash, the state's hash]} of a few thousand events."""
    found = {}
    for venue, kind, seed in SCENARIOS:
        events = {"ticks": ticks, "bars": bars}[kind](seed, 500) if kind != "real" else window(40_000, 500)
        engine = Machine(plan(venue, "ticks" if kind == "real" else kind)).start()
        commands = engine.run(events)
        found[f"{venue} {kind}"] = [len(commands), sha256(commands.tobytes()).hexdigest(), engine.state_hash()]
    return found


def test_interpreted_is_compiled():
    """The same source as plain Python gives the same bytes: commands and state, for every strategy and venue."""
    code = "import json, numpy; numpy.seterr(all='ignore'); from tests.properties.test_replay import digests; print(json.dumps(digests()))"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "OPENBELL_INTERPRETED": "1"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    compiled = digests()
    assert json.loads(done.stdout) == compiled
    assert min(count for count, _, _ in compiled.values()) > 300


def test_the_streams_do_everything():
    """The properties would mean little if no order traded: every command, order type, status and most reasons appear in them."""
    seen = {name: set() for name in ("kind", "order_type", "time_in_force", "size_kind", "status", "reason")}
    for venue, kind, _ in SCENARIOS[:4]:
        for seed in range(6):
            commands = machine(venue, kind).start().run({"ticks": ticks, "bars": bars}[kind](seed, 1_000))
            for name, values in seen.items():
                orders = commands[commands["kind"] != enums.CANDLE]
                orders = orders[orders["kind"] != enums.STATE] if name == "status" else orders
                values |= set((commands if name == "kind" else orders)[name].tolist())
    assert seen["kind"] == set(enums.COMMAND_NAMES)
    assert seen["order_type"] >= set(enums.ORDER_TYPE_NAMES)
    assert seen["time_in_force"] >= set(enums.TIME_IN_FORCE_NAMES)
    assert seen["size_kind"] >= {enums.BY_QUANTITY, enums.BY_NOTIONAL, enums.BY_CASH}
    assert seen["status"] >= set(enums.STATUS_NAMES)
    assert len(seen["reason"]) > 20
    assert np.isin([enums.END_OF_DAY, enums.KILLED, enums.LATE, enums.ORDER_TABLE_FULL], sorted(seen["reason"])).all()
