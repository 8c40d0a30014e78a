"""The market's hours: when its sessions are, and how much time a year of it has.

Holidays are not known: on one, the session is there and nothing trades in it. Half days count as whole ones.
"""

from collections.abc import Callable
from dataclasses import dataclass

from openbell.adapters.stores.alert_rules import SESSIONS, Schedule, minutes_of
from openbell.errors import UnknownNameError
from openbell.model.time import DAY, MINUTE
from openbell.services.alerts.schedules import hours_around

#: A market that never closes: each day of UTC is a session, and a year has 365.
CONTINUOUS = "continuous"
#: Days of trading in a year, about: weekdays without the holidays of the exchange.
_DAYS = {"us": 252, "us_extended": 252, "india": 248, "london": 253, "frankfurt": 254, "tokyo": 245, "hong_kong": 247}
#: How far around a time sessions are told.
_BEFORE, _AFTER = 21 * DAY, 35 * DAY


@dataclass(frozen=True, slots=True)
class Calendar:
    """The hours of one market. `sessions(ts)` tells those around a time (ns): opens and closes, in order."""

    name: str
    year_ns: int  # trading time of a year
    sessions: Callable[[int], list[tuple[int, int]]]

    @staticmethod
    def of(name: str) -> "Calendar":
        """That of a session by its name, or CONTINUOUS. UnknownNameError for another."""
        if name == CONTINUOUS:
            return Calendar(name, 365 * DAY, _days)
        if name not in SESSIONS:
            raise UnknownNameError.of("session", name, [CONTINUOUS, *SESSIONS])
        _, _, start, end = SESSIONS[name]
        length = (minutes_of(end) - minutes_of(start)) * MINUTE
        schedule = Schedule(name)
        return Calendar(name, _DAYS[name] * length, lambda ts: _sessions(schedule, ts))


def _days(ts: int) -> list[tuple[int, int]]:
    first = (ts - _BEFORE) // DAY
    return [(number * DAY, (number + 1) * DAY) for number in range(first, first + (_BEFORE + _AFTER) // DAY)]


def _sessions(schedule: Schedule, ts: int) -> list[tuple[int, int]]:
    found = []
    at = ts - _BEFORE
    while at < ts + _AFTER:
        _, opens, at = hours_around(schedule, at)
        found.append((opens, at))
    return found
