"""The messages of the channel `control`: each a structure of its own, written as JSON, so that a person may write one as well:

    redis-cli publish control '{"type": "status"}'

`decode` also takes the protobuf of `proto/v1/control.proto`. Fields that a newer version added are passed over.
"""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec

from openbell.errors import DataError, suggest

Text = Annotated[str, msgspec.Meta(min_length=1)]
Count = Annotated[int, msgspec.Meta(ge=0)]
Symbols = Annotated[tuple[Text, ...], msgspec.Meta(min_length=1)]
SESSION_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"
Session = Annotated[str, msgspec.Meta(pattern=SESSION_PATTERN)]


class _Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    id: str = ""  # of this message; replies name it
    sender: str = ""  # service and process
    ts: int = 0  # ns since 1970 UTC, when it was sent; 0 when not stated


class DataRequest(_Message, frozen=True, kw_only=True, tag="data_request"):
    """Asks for history, to be sent as events of a backtesting session."""

    session: Session  # its id, chosen by who asks
    symbols: tuple[Text, ...] = ()  # empty for all of a data set
    timeframe: str = ""  # of the candles: 1m, 1d; "ticks" for ticks only; empty for what the source has
    start: int = 0  # ns, inclusive; 0: the oldest. In JSON also as 2024-01-31T10:30:00Z
    end: int = 0  # ns, exclusive; 0: the newest
    source: str = ""  # data sets, several with commas, which are merged; empty for the stored candles
    sort: bool = False  # sort rows that are not in time order
    drop_bad: bool = False  # leave out rows that make no sense, and count them
    window: Count = 0  # events that may be sent before a session_taken says they were; 0: as fast as the bus takes them


class IngestRequest(_Message, frozen=True, kw_only=True, tag="ingest_request"):
    """Asks a feed to follow symbols, or no longer."""

    action: Literal["subscribe", "unsubscribe"]
    symbols: Symbols
    source: str = ""  # name of the feed; empty for all


class Status(_Message, frozen=True, kw_only=True, tag="status"):
    """Asks services how they are."""

    service: str = ""  # empty for all
    reply: str = ""  # topic for the answer; empty for the control channel


class StatusReply(_Message, frozen=True, kw_only=True, tag="status_reply"):
    """How a service stands."""

    request: str = ""  # id of the message this answers
    service: Text
    state: str  # such as running
    detail: str = ""
    processed: Count = 0  # messages or events since the start
    lag_ms: float | None = None  # how far it is behind
    queue: Count = 0  # messages waiting
    positions: dict[str, int] = {}  # how far it is, by what it counts


class Pause(_Message, frozen=True, kw_only=True, tag="pause"):
    """Asks to stop work for a while."""

    service: str = ""  # this service; empty for all
    strategy: str = ""  # or only this strategy
    session: str = ""  # or only this backtesting session


class Resume(_Message, frozen=True, kw_only=True, tag="resume"):
    """Asks to go on."""

    service: str = ""  # this service; empty for all
    strategy: str = ""  # or only this strategy
    session: str = ""  # or only this backtesting session


class SessionReady(_Message, frozen=True, kw_only=True, tag="session_ready"):
    """The history of a session is about to be sent, or (again, with the same epoch) it waits."""

    request: str = ""  # id of the message this answers
    session: Session
    detail: str = ""
    symbols: tuple[Text, ...] = ()
    topic: str = ""  # where the events will be
    epoch: int = 0  # tells this sending from earlier ones of the same id
    lot_size: float = 0.0  # units in one lot, of every symbol
    bar_timeframe_ns: Count = 0  # of the bars, 0 when they are ticks


class SessionDone(_Message, frozen=True, kw_only=True, tag="session_done"):
    """All of a session's history has been sent."""

    request: str = ""  # id of the message this answers
    session: Session
    detail: str = ""
    events: Count = 0  # sent
    epoch: int = 0  # of the sending
    checksum: str = ""  # BLAKE2b-256 over the events as records with seq 0, in hexadecimal
    notes: tuple[str, ...] = ()  # about the data, for people


class SessionTaken(_Message, frozen=True, kw_only=True, tag="session_taken"):
    """So many events of a session have been taken: more may be sent. Also says, again and again, that somebody is still there."""

    session: Session
    epoch: int = 0  # of the sending
    events: Count = 0  # taken since its beginning


class SessionCancel(_Message, frozen=True, kw_only=True, tag="session_cancel"):
    """Nobody wants the rest of a session."""

    session: Session
    epoch: int = 0  # of the sending; 0 for any


class ErrorReply(_Message, frozen=True, kw_only=True, tag="error"):
    """A request that could not be carried out."""

    request: str = ""  # id of the message this answers
    session: str = ""  # it concerns, if any
    detail: str  # what was found, what was expected, what to do
    error: str = ""  # its kind, such as DataError
    epoch: int = 0  # of the session's sending, if it had begun


Control = (
    DataRequest
    | IngestRequest
    | Status
    | StatusReply
    | Pause
    | Resume
    | SessionReady
    | SessionDone
    | SessionTaken
    | SessionCancel
    | ErrorReply
)

#: The structure of each type.
TYPES: dict[str, type[Control]] = {
    "data_request": DataRequest,
    "ingest_request": IngestRequest,
    "status": Status,
    "status_reply": StatusReply,
    "pause": Pause,
    "resume": Resume,
    "session_ready": SessionReady,
    "session_done": SessionDone,
    "session_taken": SessionTaken,
    "session_cancel": SessionCancel,
    "error": ErrorReply,
}


def encode(message: Control) -> bytes:
    """A message as JSON.

    >>> encode(Status(id="7", service="trader"))
    b'{"type":"status","id":"7","sender":"","ts":0,"service":"trader","reply":""}'
    """
    return msgspec.json.encode(message)


def decode(payload: bytes) -> Control:
    """A message from JSON, which begins with `{`, or from protobuf; DataError when it cannot be used.

    >>> decode(b'{"type": "data_request", "session": "s1", "symbols": ["AAPL"], "start": "2024-01-31"}').start
    1706659200000000000
    >>> decode(b'{"type": "stat"}')
    Traceback (most recent call last):
        ...
    openbell.errors.DataError: there is no control message of type 'stat'. Did you mean 'status'?
    """
    fields, strict = (_from_json(payload), True) if payload.startswith(b"{") else (_from_protobuf(payload), False)
    kind = fields.get("type")
    if not isinstance(kind, str):
        raise DataError("a control message without a type that this version knows", do=suggest("", TYPES))
    if kind not in TYPES:
        raise DataError(f"there is no control message of type {kind!r}", do=suggest(kind, TYPES))
    if kind == "data_request":
        fields = {name: _time(name, value) if name in ("start", "end") else value for name, value in fields.items()}
    try:
        return msgspec.convert(fields, TYPES[kind], strict=strict)
    except msgspec.ValidationError as error:
        raise DataError(f"a control message {kind} that cannot be used: {error}") from None


def _from_json(payload: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(payload, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(f"a control message as JSON: {error}", 'an object such as {"type": "status"}') from None


def _from_protobuf(payload: bytes) -> dict[str, Any]:
    """The fields of a protobuf message, whole numbers of 64 bits as text; JSON does without loading this library."""
    from google.protobuf.json_format import MessageToDict

    from openbell.adapters.messages.parsing import parsed
    from openbell.proto.v1.control_pb2 import Control as ControlMessage

    message = parsed(ControlMessage, payload)
    kind = message.WhichOneof("body")
    fields = MessageToDict(message, preserving_proto_field_name=True)
    return {**fields.pop(kind, {}), **fields, "type": kind} if kind else {}


def _time(name: str, value: Any) -> Any:
    """A time written as text in ns."""
    if not isinstance(value, str) or value.lstrip("-").isdigit():
        return value
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise DataError(f"{name} of a data_request is {value!r}", "nanoseconds, or a time such as 2024-01-31T10:30:00Z") from None
    moment = moment.replace(tzinfo=moment.tzinfo or UTC)
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000
