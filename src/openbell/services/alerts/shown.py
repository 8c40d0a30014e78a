"""Alerts as they are shown: times in ms since 1970 UTC."""

from openbell.adapters.stores.alert_rows import AlertEvent, AlertRow
from openbell.model.time import MILLISECOND
from openbell.services.views import Alert


def shown_row(row: AlertRow) -> Alert:
    """An alert as it stands."""
    return Alert(
        id=str(row.id), owner=row.owner, symbol=row.symbol, condition=row.condition, target_price=row.target_price, spec=row.spec,
        mode=row.mode, cooldown_s=row.cooldown_s, hysteresis=row.hysteresis,
        ts_expires=None if row.expires is None else row.expires // MILLISECOND, schedule=row.schedule, note=row.note, status=row.status,
        ts_created=row.created // MILLISECOND, number=row.fired,
        ts_triggered=None if row.triggered_ts is None else row.triggered_ts // MILLISECOND, triggered_price=row.triggered_price,
        triggered_value=row.triggered_value,
    )  # fmt: skip


def shown_event(event: AlertEvent) -> Alert:
    """An alert as it came."""
    return Alert(
        id=str(event.alert), owner=event.owner, symbol=event.symbol, condition=event.condition, target_price=event.target_price,
        spec=event.spec, mode=event.mode, note=event.note, status="active" if event.mode == "every" else "triggered",
        ts_created=event.created // MILLISECOND, number=event.number, ts_triggered=event.ts // MILLISECOND,
        triggered_price=event.price, triggered_value=event.value,
    )  # fmt: skip
