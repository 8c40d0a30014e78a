"""The hours of schedules, as times around a moment: computed when a moment lies outside of what is known, and compared in between."""

from datetime import UTC, datetime, time, timedelta
from typing import get_args
from zoneinfo import ZoneInfo

from openbell.adapters.stores.alert_rules import Day, Schedule, minutes_of
from openbell.model.time import SECOND

#: Every schedule is open on some day of a week; an hour of it may begin the day before, or be another day elsewhere.
_DAYS_AROUND = 9


def hours_around(schedule: Schedule, ts: int) -> tuple[int, int, int]:
    """(Closed since, open from, closed again from), ns since 1970 UTC: `ts` is not before the first, and before the last.

    >>> from openbell.model.time import format_time
    >>> monday_noon = 1_704_110_400_000_000_000
    >>> [format_time(moment) for moment in hours_around(Schedule("us"), monday_noon)]
    ['2023-12-29T21:00:00.000Z', '2024-01-01T14:30:00.000Z', '2024-01-01T21:00:00.000Z']
    """
    name, days, start, end = schedule.hours
    zone = ZoneInfo(name)
    wanted = [get_args(Day).index(day) for day in days]
    today = datetime.fromtimestamp(ts // SECOND, zone).date()
    minutes = minutes_of(start), minutes_of(end)
    before = None
    for number in range(-_DAYS_AROUND, _DAYS_AROUND + 1):
        day = today + timedelta(days=number)
        if day.weekday() not in wanted:
            continue
        opens = _moment(zone, day.toordinal(), minutes[0])
        closes = _moment(zone, day.toordinal() + (minutes[1] <= minutes[0]), minutes[1])
        if closes > ts:
            return opens if before is None else min(before, opens), opens, closes
        before = closes
    raise AssertionError("a schedule that is never open")


def _moment(zone: ZoneInfo, day: int, minutes: int) -> int:
    """So many minutes by the clock after the midnight that begins a day, in ns since 1970 UTC."""
    hours, rest = divmod(minutes, 60)
    local = datetime.combine(datetime.fromordinal(day + hours // 24).date(), time(hours % 24, rest), zone)
    return int(local.astimezone(UTC).timestamp()) * SECOND
