"""Quiet hours: a stretch of each day, by a clock on the wall, in which only what is critical is told."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from openbell.errors import UsageError
from openbell.model.time import SECOND

_HOURS = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)-([01]?\d|2[0-3]):([0-5]\d)")


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From `start` to `end`, which is on the next day when it is not later."""

    start: time
    end: time
    zone: ZoneInfo

    def until(self, now: int) -> int | None:
        """When the quiet that reigns now ends, both ns since 1970 UTC; None when it does not reign.

        >>> night = quiet_hours("22:00-07:00", "Europe/Berlin")
        >>> night.until(1_700_000_000_000_000_000)  # 23:13 there
        1700028000000000000
        """
        here = datetime.fromtimestamp(now // SECOND, self.zone)
        clock = here.time()
        is_quiet = self.start <= clock < self.end if self.start < self.end else clock >= self.start or clock < self.end
        if not is_quiet:
            return None
        for days in (0, 1, 2):
            # Where the clocks are changed in between, it is the clock on the wall that counts.
            end = datetime.combine(here.date() + timedelta(days), self.end, self.zone).astimezone(UTC)
            ns = int(end.timestamp()) * SECOND
            if ns > now:
                return ns
        return None


def quiet_hours(text: str, zone: str) -> QuietHours | None:
    """Hours such as 22:00-07:00; None for an empty text. UsageError for anything else, and for an unknown zone."""
    where = zone_named(zone)
    if not text:
        return None
    found = _HOURS.fullmatch(text)
    if not found:
        raise UsageError(f"the quiet hours are {text!r}", "hours such as 22:00-07:00, or nothing")
    first, minute, last, other = (int(group) for group in found.groups())
    start, end = time(first, minute), time(last, other)
    if start == end:
        raise UsageError(f"the quiet hours {text} have no end", "a beginning and another end", "disable the channel in place of that")
    return QuietHours(start, end, where)


@lru_cache(256)
def zone_named(name: str) -> ZoneInfo:
    """A time zone by its IANA name; UsageError when there is none."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise UsageError(f"there is no time zone {name!r}", "an IANA name such as Europe/Berlin or Asia/Kolkata") from None
