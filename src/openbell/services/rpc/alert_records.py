"""Between alerts as the store has them and messages of gRPC, both ways; their times are ns since 1970 UTC on both sides."""

from typing import Any, TypeVar, cast

import msgspec

from openbell.adapters.messages.structs import words_of_enum
from openbell.adapters.stores.alert_rows import AlertEvent, AlertRow, Status, schedule_of, spec_of, text_of
from openbell.adapters.stores.alert_rules import NewAlert, Schedule, Spec
from openbell.errors import UnknownNameError, UsageError
from openbell.proto.v1 import alerts_pb2, alerts_service_pb2
from openbell.services.rpc.records import number_of, word_of

CONDITIONS = words_of_enum(alerts_pb2.AlertCondition.DESCRIPTOR)
STATUSES = words_of_enum(alerts_pb2.AlertStatus.DESCRIPTOR)

T = TypeVar("T", Spec, Schedule)


def alert_message(row: AlertRow) -> alerts_pb2.Alert:
    """An alert as it stands."""
    return alerts_pb2.Alert(
        id=str(row.id), user=str(row.owner or ""), symbol=row.symbol, condition=number_of(CONDITIONS, row.condition),
        target_price=row.target_price, status=number_of(STATUSES, row.status), note=row.note, ts_created=row.created,
        ts_triggered=row.triggered_ts or 0, triggered_price=row.triggered_price or 0.0, repeat=row.mode == "every", number=row.fired,
        value=row.triggered_value or 0.0, spec=text_of(row.spec), cooldown_s=row.cooldown_s, hysteresis=row.hysteresis,
        ts_expires=row.expires or 0, schedule=text_of(row.schedule),
    )  # fmt: skip


def alert_row(message: alerts_pb2.Alert) -> AlertRow:
    """The inverse. The revision is known to the store only, and 0 here."""
    has_come, price = message.ts_triggered > 0, message.triggered_price
    return AlertRow(
        id=int(message.id), owner=int(message.user or 0), symbol=message.symbol, condition=CONDITIONS[message.condition],
        target_price=message.target_price, spec=spec_of(message.spec), mode="every" if message.repeat else "once",
        cooldown_s=message.cooldown_s, hysteresis=message.hysteresis, expires=message.ts_expires or None,
        schedule=schedule_of(message.schedule), note=message.note, status=cast(Status, STATUSES[message.status]),
        created=message.ts_created, fired=message.number, triggered_ts=message.ts_triggered if has_come else None,
        triggered_price=price if has_come and price else None, triggered_value=message.value if has_come else None, revision=0,
    )  # fmt: skip


def trigger_message(event: AlertEvent) -> alerts_service_pb2.AlertTrigger:
    """An alert that came, as it was then."""
    alert = alerts_pb2.Alert(
        id=str(event.alert), user=str(event.owner or ""), symbol=event.symbol, condition=number_of(CONDITIONS, event.condition),
        target_price=event.target_price, status=alerts_pb2.ALERT_STATUS_TRIGGERED, note=event.note, ts_created=event.created,
        ts_triggered=event.ts, triggered_price=event.price or 0.0, repeat=event.mode == "every", number=event.number, value=event.value,
        spec=text_of(event.spec),
    )  # fmt: skip
    return alerts_service_pb2.AlertTrigger(seq=event.seq, alert=alert)


def trigger_event(message: alerts_service_pb2.AlertTrigger) -> AlertEvent:
    """The inverse."""
    alert = message.alert
    return AlertEvent(
        seq=message.seq, alert=int(alert.id), number=alert.number, owner=int(alert.user or 0), symbol=alert.symbol,
        condition=CONDITIONS[alert.condition], target_price=alert.target_price, spec=spec_of(alert.spec), note=alert.note,
        mode="every" if alert.repeat else "once", created=alert.ts_created, ts=alert.ts_triggered, value=alert.value,
        price=alert.triggered_price or None,
    )  # fmt: skip


def create_message(wanted: NewAlert, request: str) -> alerts_service_pb2.CreateAlertRequest:
    """The request for a new alert."""
    return alerts_service_pb2.CreateAlertRequest(
        symbol=wanted.symbol, condition=number_of(CONDITIONS, wanted.condition), target_price=wanted.target_price,
        spec=text_of(wanted.spec), repeat=wanted.mode == "every", cooldown_s=wanted.cooldown_s, hysteresis=wanted.hysteresis,
        ts_expires=wanted.expires or 0, schedule=text_of(wanted.schedule), note=wanted.note, request_id=request,
    )  # fmt: skip


def wanted_of(request: alerts_service_pb2.CreateAlertRequest) -> NewAlert:
    """What it asks for. UsageError when it makes no sense."""
    return NewAlert(
        request.symbol, word_of("condition of an alert", CONDITIONS, request.condition), request.target_price,
        _decoded("spec", Spec, request.spec), "every" if request.repeat else "once", request.cooldown_s, request.hysteresis,
        request.ts_expires or None, _decoded("schedule", Schedule, request.schedule), request.note,
    )  # fmt: skip


def update_message(id: int, changes: Any) -> alerts_service_pb2.UpdateAlertRequest:
    """The request to change fields of an alert."""
    message = alerts_service_pb2.UpdateAlertRequest(id=str(id))
    for name, value in changes.items():
        if name == "condition":
            message.condition = number_of(CONDITIONS, value)
        elif name == "status":
            message.status = number_of(STATUSES, value)
        elif name == "mode":
            message.repeat = value == "every"
        elif name == "expires":
            message.ts_expires = value or 0
        elif name in ("spec", "schedule"):
            setattr(message, name, text_of(value))
        elif name in ("symbol", "target_price", "cooldown_s", "hysteresis", "note"):
            setattr(message, name, value)
        else:
            raise UnknownNameError.of("field of an alert", name, [*NewAlert.__struct_fields__, "status"])
    return message


def changes_of(request: alerts_service_pb2.UpdateAlertRequest) -> dict[str, Any]:
    """The inverse. UsageError for what makes no sense."""
    made: dict[str, Any] = {}
    for name in ("symbol", "target_price", "cooldown_s", "hysteresis", "note"):
        if request.HasField(name):
            made[name] = getattr(request, name)
    if request.HasField("condition"):
        made["condition"] = word_of("condition of an alert", CONDITIONS, request.condition)
    if request.HasField("status"):
        made["status"] = word_of("status of an alert", STATUSES, request.status)
    if request.HasField("repeat"):
        made["mode"] = "every" if request.repeat else "once"
    if request.HasField("ts_expires"):
        made["expires"] = request.ts_expires or None
    if request.HasField("spec"):
        made["spec"] = _decoded("spec", Spec, request.spec)
    if request.HasField("schedule"):
        made["schedule"] = _decoded("schedule", Schedule, request.schedule)
    return made


def alert_id(text: str) -> int:
    """The id of an alert; UnknownNameError for what can be none."""
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise UnknownNameError(f"there is no alert {text[:40]!r}", do="list the alerts to see their ids")
    return int(text)


def _decoded(what: str, kind: type[T], text: str) -> T | None:
    try:
        return msgspec.json.decode(text, type=kind) if text else None
    except msgspec.DecodeError as error:
        raise UsageError(f"the {what} of an alert is not understood: {error}", "JSON as the REST API takes it, or nothing") from None
