"""What an alert says, as a board of `openbell.alerts` wants it: which value, which sides, how far back, and since when."""

from typing import Any

import numpy as np

from openbell.adapters.stores.alert_rows import Standing, spec_of
from openbell.adapters.stores.alert_rules import Series, Spec, split_condition
from openbell.alerts.board import Key
from openbell.model.alerts import ALERT_RECORD, BEFORE, NOBODY
from openbell.model.candles import NEVER
from openbell.model.time import SECOND, parse_timeframe

Rows = np.ndarray[Any, Any]

#: The sides of a comparison: it waits for values from below, from above; and whether it holds as long as the value is beyond the target.
_SIDES = {
    "above": (True, False, True), "below": (False, True, True), "crosses": (True, True, False), "crosses_above": (True, False, False),
    "crosses_below": (False, True, False),
}  # fmt: skip


def key_of(row: Standing) -> Key:
    """The value that an alert is compared with, by the name it has on a board."""
    kind, _ = split_condition(row.condition)
    if kind == "price":
        return ("price",)
    spec = spec_of(row.spec) or Spec()
    if kind in ("position", "drawdown"):
        return ("fed", kind, row.symbol, tuple(sorted(spec.accounts)))
    if kind in ("move", "volume") and spec.window_s:
        return kind, spec.window_s * SECOND
    if kind == "volume":
        return "volume_of", parse_timeframe(spec.timeframe)
    assert spec.indicator is not None, "a spec is checked when it is made"
    if spec.against is None:
        return "indicator", _series(spec.indicator)
    return "distance", None if spec.indicator.name == "price" else _series(spec.indicator), _series(spec.against)


def _series(series: Series) -> tuple[Any, ...]:
    return (series.name, tuple(sorted(series.params.items()))), parse_timeframe(series.timeframe), series.output


def rows_of(found: list[Standing], streams: list[int], schedules: list[int], is_continued: bool) -> Rows:
    """Alerts (ALERT) beside their streams and schedules (NOBODY for none).

    `is_continued` says that the times of the ticks go on from where the alerts came last, so that their cool-down holds.
    """
    rows = np.zeros(len(found), ALERT_RECORD)
    columns = list(zip(*found, strict=True)) if found else [()] * len(Standing._fields)
    named = dict(zip(Standing._fields, columns, strict=True))
    known = {condition: _SIDES[split_condition(condition)[1]] for condition in set(named["condition"])}
    sides = np.array([known[condition] for condition in named["condition"]], bool).reshape(-1, 3)
    every = np.array([mode == "every" for mode in named["mode"]], bool)
    targets, hysteresis = np.array(named["target_price"], np.float64), np.array(named["hysteresis"], np.float64)
    is_far = np.array(['"against"' in spec for spec in named["spec"]], bool)
    armed = np.array([code or 0 for code in named["armed"]], np.int64) * every
    rows["id"], rows["revision"], rows["stream"], rows["schedule"] = named["id"], named["revision"], streams, schedules
    rows["target"], rows["band"] = targets, np.where(is_far, hysteresis, np.abs(targets) * hysteresis / 100.0)
    rows["cooldown_ns"] = np.rint(np.array(named["cooldown_s"], np.float64) * SECOND)
    rows["fired"], rows["fired_ts"] = named["fired"], [ts if is_continued and ts is not None else BEFORE for ts in named["triggered_ts"]]
    rows["expires"] = [NEVER if ts is None else ts for ts in named["expires"]]
    rows["up"], rows["down"] = np.where(sides[:, 0], 0, NOBODY), np.where(sides[:, 1], 0, NOBODY)
    rows["is_level"], rows["is_repeated"] = sides[:, 2], every
    rows["up_state"], rows["down_state"] = armed & 3, armed >> 2
    return rows
