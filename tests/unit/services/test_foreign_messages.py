"""What a message from elsewhere is taken for before anybody acts on it: requests, and the names of runs."""

import msgspec
import numpy as np
import pytest

from openbell.errors import DataError
from openbell.model import enums
from openbell.model.events import EVENT
from openbell.services.trader.decisions import trader_of
from openbell.services.trader.intake import request_event
from openbell.services.trader.requests import Question, question_of

PAUSE = request_event(enums.REQUEST_PAUSE, strategy=0)


def message(event, trader="main"):
    return msgspec.msgpack.encode(Question("1", "me", trader, event.tobytes() if isinstance(event, np.ndarray) else event))


def test_a_request_is_read_as_it_was_sent():
    """The event comes out to the last bit."""
    assert question_of(message(PAUSE)) == Question("1", "me", "main", PAUSE.tobytes())


@pytest.mark.parametrize(
    "payload",
    [
        b"", b"{}", b"\xc1", b"\x94\xa2\xff\xfe\xa1b\xa1c\xc4\x01x", b"\x95\xa1a\xa1b\xa1c\xc4\x01x" + b"\x91" * 5000 + b"\x01",
        message(b""), message(PAUSE.tobytes()[:-1]), message(PAUSE.tobytes() * 2), message(np.zeros(1, EVENT)),
        message(request_event(enums.REQUEST_PAUSE, strategy=0, now_ns=9 * 10**18)),
    ],
    ids=["nothing", "JSON", "no msgpack", "no text", "too deep", "no event", "too short", "two events", "no request", "from the future"],
)  # fmt: skip
def test_what_is_no_request_is_refused(payload):
    """Whatever it is, it is one error with a reason: nothing else may end a trader."""
    with pytest.raises(DataError):
        question_of(payload)


@pytest.mark.parametrize(
    ("run", "found"),
    [
        ("main-3", ("main", 3)), ("a-b-12", ("a-b", 12)), ("main", ("", 0)), ("main-", ("main", 0)), ("main-x", ("main", 0)),
        ("main-\u00b2", ("main", 0)), ("main-\u0663", ("main", 0)), ("main-" + "9" * 5000, ("main", 0)),
    ],
)  # fmt: skip
def test_the_trader_of_a_run(run, found):
    """Any text is the name of a run, as far as a reader knows; one without a number counts as the oldest."""
    assert trader_of(run) == found
