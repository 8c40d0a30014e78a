"""The messages of the control channel, as people and programs write them."""

import json

import pytest

from openbell.adapters.messages.control import TYPES, DataRequest, Pause, Status, StatusReply, decode, encode
from openbell.errors import DataError
from openbell.proto.v1 import control_pb2
from tests.contracts.messages import CONTROL, control_protobuf

JANUARY = 1_706_696_400_000_000_000  # 2024-01-31T10:20:00Z


@pytest.mark.parametrize("name", CONTROL)
def test_every_message_survives_as_json_and_as_protobuf(name):
    """Both say the same."""
    assert decode(encode(CONTROL[name])) == decode(control_protobuf(CONTROL[name])) == CONTROL[name]


def test_every_type_is_named_alike_everywhere():
    """The word in JSON is the name of the body in the contract, and the fields have the same names."""
    bodies = {field.name: field.message_type for field in control_pb2.Control.DESCRIPTOR.oneofs_by_name["body"].fields}
    assert sorted(TYPES) == sorted(bodies)
    for name, kind in TYPES.items():
        assert kind.__struct_config__.tag == name
        assert set(kind.__struct_fields__) == {"id", "sender", "ts", *bodies[name].fields_by_name}


def test_a_person_need_not_say_more_than_the_type():
    """What redis-cli publishes by hand."""
    assert decode(b'{"type": "status"}') == Status()
    assert decode(b'{"type":"pause","strategy":"sma"}') == Pause(strategy="sma")


@pytest.mark.parametrize(
    ("written", "ns"),
    [
        ("2024-01-31T10:20:00Z", JANUARY), ("2024-01-31T10:20:00", JANUARY), ("2024-01-31T11:20:00+01:00", JANUARY),
        ("2024-01-31T10:20:00.000001Z", JANUARY + 1_000), ("1969-12-31", -86_400 * 10**9), (JANUARY + 7, JANUARY + 7),
    ],
)  # fmt: skip
def test_times_of_a_data_request_may_be_written_as_dates(written, ns):
    """In nanoseconds, or as ISO 8601, in UTC where no zone is given."""
    assert decode(json.dumps({"type": "data_request", "session": "s1", "symbols": ["AAPL"], "end": written}).encode()).end == ns


def test_fields_that_are_not_stated_have_their_defaults_in_protobuf_too():
    """An empty body is one with all defaults; absent is not 0."""
    reply = control_pb2.Control(status_reply=control_pb2.StatusReply(service="trader", state="running"))
    assert decode(reply.SerializeToString()) == StatusReply(service="trader", state="running", lag_ms=None)
    reply.status_reply.lag_ms = 0.0
    assert decode(reply.SerializeToString()).lag_ms == 0.0
    assert decode(control_pb2.Control(status=control_pb2.StatusRequest()).SerializeToString()) == Status()


def test_large_numbers_are_exact_in_protobuf():
    """64-bit numbers go through whole."""
    message = control_pb2.Control(data_request=control_pb2.DataRequest(session="s1", symbols=["A"], start=JANUARY + 1, end=2**63 - 1))
    assert decode(message.SerializeToString()) == DataRequest(session="s1", symbols=("A",), start=JANUARY + 1, end=2**63 - 1)


@pytest.mark.parametrize(
    ("payload", "told"),
    [
        (b'{"type": "statuss"}', "there is no control message of type 'statuss'. Did you mean 'status' or 'status_reply'?"),
        (b'{"type": "xyz"}', "Use one of: data_request, error, ingest_request, pause"),
        (b"{}", "a control message without a type"),
        (b'{"type": 3}', "a control message without a type"),
        (b'{"type": "status"', 'a control message as JSON: Input data was truncated; expected an object such as {"type": "status"}'),
        (b'{"a":' * 100_000, "a control message as JSON"),
        (b'{"type":"data_request","symbols":["AAPL"]}', "missing required field `session`"),
        (b'{"type":"data_request","session":"../x","symbols":["A"]}', "`$.session`"),
        (
            b'{"type":"data_request","session":"s","symbols":["A"],"end":"soon"}',
            "end of a data_request is 'soon'; expected nanoseconds, or a time",
        ),
        (b'{"type":"ingest_request","action":"follow","symbols":["A"]}', "`$.action`"),
        (b'{"type":"ingest_request","action":"subscribe","symbols":[]}', "`$.symbols`"),
        (b'{"type":"status","service":3}', "a control message status that cannot be used: Expected `str`, got `int` - at `$.service`"),
        (b"", "a control message without a type"),
        (b"status", "6 bytes are no Control"),
    ],
)
def test_what_cannot_be_used_is_said(payload, told):
    """With near names for a type that is none."""
    with pytest.raises(DataError) as refused:
        decode(payload)
    assert told in str(refused.value)
