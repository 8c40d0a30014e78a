"""Old readers read new messages and new readers old ones: the contract of messages only ever grows. See `proto/v1/README.md`."""

import json
import re

import numpy as np
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.json_format import MessageToDict

from openbell.adapters.messages import columns, decisions, ticks
from openbell.adapters.messages.parsing import parsed
from openbell.errors import DataError
from openbell.model.commands import LAYOUT
from tests.contracts.messages import FILES, INSTRUMENTS, KEPT, LISTINGS, chunk, contract, kind_of, read, written

VERSIONS = sorted(path.name for path in KEPT.iterdir())
VALUES = {version: json.loads((KEPT / version / "values.json").read_text()) for version in VERSIONS}
#: (version, file) of every message that is kept.
MESSAGES = [(version, name) for version in VERSIONS for name in VALUES[version]]
NEW_NUMBER = 1_000
#: The type of a field that begins with a tag of its own kind, in a descriptor.
GROUP = 10


def includes(found, expected):
    """Whether everything expected is there; what a newer version added may be there as well."""
    if isinstance(expected, dict):
        return isinstance(found, dict) and all(name in found and includes(found[name], value) for name, value in expected.items())
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(includes, found, expected))
    return found == expected


def payload(version, name):
    return (KEPT / version / name).read_bytes()


@pytest.fixture(scope="module")
def newer():
    """The messages of a version to come, by full name: every message has one more text, `added`, and a tick batch a new kind of events."""
    pool = descriptor_pool.DescriptorPool()
    for file in FILES:
        proto = descriptor_pb2.FileDescriptorProto.FromString(file.DESCRIPTOR.serialized_pb)
        for message in proto.message_type:
            message.field.add(name="added", number=NEW_NUMBER, type=9, label=1)
            if message.name == "TickBatch":
                message.field.add(name="books", number=NEW_NUMBER + 1, type=11, label=1, type_name=".openbell.v1.TradeColumns")
        pool.Add(proto)
    names = [message.full_name for file in FILES for message in file.DESCRIPTOR.message_types_by_name.values()]
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(name)) for name in names}


def grow(message):
    """Fill in `added` in a message and in those within it."""
    message.added = f"news for {message.DESCRIPTOR.name}"
    for field, value in message.ListFields():
        if field.message_type and not field.is_repeated and field.name != "books":
            grow(value)


@pytest.mark.parametrize(("version", "name"), MESSAGES)
def test_messages_of_every_published_version_are_read(version, name):
    """What a version wrote says today what it said then."""
    found = json.loads(json.dumps(read(name, payload(version, name))))
    assert includes(found, VALUES[version][name]), found


@pytest.mark.parametrize(("version", "name"), [case for case in MESSAGES if kind_of(case[1])])
def test_an_old_reader_reads_a_new_message(version, name, newer):
    """Fields that this version does not know are passed over, on the outside and within."""
    message = newer[kind_of(name).DESCRIPTOR.full_name].FromString(payload(version, name))
    grow(message)
    found = json.loads(json.dumps(read(name, message.SerializeToString())))
    assert includes(found, VALUES[version][name]), found


@pytest.mark.parametrize(("version", "name"), [case for case in MESSAGES if kind_of(case[1])])
def test_an_old_reader_hands_on_what_it_does_not_know(version, name, newer):
    """A message that this version reads and writes again has lost nothing of a newer one."""
    kind = kind_of(name)
    message = newer[kind.DESCRIPTOR.full_name].FromString(payload(version, name))
    grow(message)
    handed_on = kind.FromString(message.SerializeToString()).SerializeToString()
    assert type(message).FromString(handed_on) == message


@pytest.mark.parametrize(("version", "name"), [case for case in MESSAGES if kind_of(case[1])])
def test_a_new_reader_reads_an_old_message(version, name, newer):
    """What was there is there, and what was not is empty."""
    kind = kind_of(name)
    old, new = (each.FromString(payload(version, name)) for each in (kind, newer[kind.DESCRIPTOR.full_name]))
    assert new.added == ""
    assert MessageToDict(new) == MessageToDict(old)


@pytest.mark.parametrize(("version", "name"), [case for case in MESSAGES if case[1].endswith(".json")])
def test_fields_that_json_has_besides_are_passed_over(version, name):
    """JSON of a newer version is read as well."""
    text = json.loads(payload(version, name))
    for each in text if isinstance(text, list) else [text]:
        each["added"] = {"since": 2}
    found = json.loads(json.dumps(read(name, json.dumps(text).encode())))
    assert includes(found, VALUES[version][name]), found


def test_events_of_a_new_kind_are_left_out_and_counted(newer):
    """An old reader joins a chunk of a newer version: all that it knows, in the feed's order, and the positions still follow each other."""
    made = chunk()
    new, parts = newer["openbell.v1.TickBatch"], []
    for _, data in ticks.encode_chunk(made, LISTINGS, source="recorded", epoch=1, first=5, cursor=b""):
        message = new.FromString(data)
        if message.symbol == "AAPL":  # its trade becomes an event of the new kind
            message.books.CopyFrom(message.trades)
            message.ClearField("trades")
        parts.append(ticks.decode_ticks(message.SerializeToString(), INSTRUMENTS, LISTINGS))
    assert [(part.symbol, part.size, len(part.events)) for part in parts] == [("BTCUSDT", 3, 3), ("AAPL", 2, 1), ("", 1, 1)]
    assert ticks.join_parts(parts).tobytes() == np.delete(made.view("V96"), 2).tobytes()


def test_a_word_of_a_newer_version_is_refused_in_an_order():
    """An order whose type is not known must not be traded as another."""
    order = kind_of("order.bin").FromString(payload("v1", "order.bin"))
    order.type = 17
    with pytest.raises(DataError, match="an Order has the type 17, which this version does not know; expected one of market, limit"):
        read("order.bin", order.SerializeToString())


def test_commands_of_another_layout_are_refused():
    """Raw records are for readers of the same layout only, and the message says so before they are looked at."""
    message = kind_of("decisions.bin").FromString(payload("v1", "decisions.bin"))
    message.layout = "0123456789abcdef"
    with pytest.raises(DataError, match=f"'0123456789abcdef': they were written by another version; expected the layout {LAYOUT}"):
        decisions.decode_decisions(message.SerializeToString())


@pytest.mark.parametrize("version", VERSIONS)
def test_the_contract_only_grows(version):
    """No field and no word that was ever published has another number, type or name, and none is gone without being reserved."""
    current, gone = set(contract()), reserved()
    lost = [line for line in (KEPT / version / "contract.txt").read_text().splitlines() if line not in current]
    assert [line for line in lost if re.sub(r" = .* ", " = ", line.partition(" in ")[0]) not in gone] == []


def reserved():
    """A line for each field that is reserved by number and name."""
    lines = set()
    for file in FILES:
        for message in descriptor_pb2.FileDescriptorProto.FromString(file.DESCRIPTOR.serialized_pb).message_type:
            numbers = [number for span in message.reserved_range for number in range(span.start, span.end)]
            lines |= {f"openbell.v1.{message.name} {number} = {name}" for number in numbers for name in message.reserved_name}
    return lines


def test_the_newest_version_is_kept():
    """Every kind of message is among those kept, and every field, so that the next change is held against it."""
    add = "add what is new with: python -m tests.contracts.messages"
    assert set(written()) <= set(VALUES["v1"]), add
    assert sorted(contract()) == sorted((KEPT / "v1/contract.txt").read_text().splitlines()), add
    bodies = {name for name in VALUES["v1"] if name.startswith("control-") and name.endswith(".bin")}
    types = {field.name.replace("_", "-") for field in kind_of("control.bin").DESCRIPTOR.oneofs_by_name["body"].fields}
    assert bodies == {f"control-{name}.bin" for name in types}, add


def test_no_message_looks_like_json():
    """A message begins with the tag of a field. Only a group, which the contract has none of, could begin with a bracket."""
    fields = [field for file in FILES for message in file.DESCRIPTOR.message_types_by_name.values() for field in message.fields]
    assert [field.full_name for field in fields if field.type == GROUP] == []
    assert [name for name, data in written().items() if (data[:1] in (b"{", b"[")) != name.endswith(".json")] == []


def test_the_columns_of_a_message_are_those_of_the_records():
    """Every 64-bit field of a market event has its column, by the same name, and no column is without a field."""
    batch = kind_of("ticks.bin").DESCRIPTOR
    for kind in columns.KINDS.values():
        names = {field.name for field in batch.fields_by_name[kind.field].message_type.fields}
        assert names == {"index", "side", *filter(None, kind.columns)}


def test_what_is_no_message_is_said_to_be_none():
    """Bytes of something else are a DataError that shows how they begin."""
    with pytest.raises(
        DataError, match=r"9 bytes are no Order: ff ff ff ff ff ff ff ff ff; expected a protobuf message openbell\.v1\.Order"
    ):
        parsed(kind_of("order.bin"), b"\xff" * 9)
