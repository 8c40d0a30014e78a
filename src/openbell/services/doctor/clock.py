"""The clock: whether somebody keeps it right, how far the servers' clocks are from it, and whether time zones are known."""

import ctypes
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from openbell.services.doctor.finding import Finding, ok, problem, warning

#: Seconds between our clock and a server's: from where it is worth a word, and from where orders would be denied.
OFFSET_WARNING_S, OFFSET_PROBLEM_S = 0.5, 2.0
#: Microseconds the system may think that its clock is off.
_ERROR_MAX_US = 1_000_000
_TIME_ERROR, _STA_UNSYNC = 5, 0x40
_ZONES = ("UTC", "America/New_York", "Asia/Kolkata")
_SYNCHRONISE = "sudo timedatectl set-ntp true    # or: sudo apt-get install chrony"


class _Timex(ctypes.Structure):
    """The kernel's `struct timex`, as adjtimex(2) fills it; what follows `status` is not looked at."""

    _fields_ = [
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_char * 256),
    ]


@dataclass(frozen=True, slots=True)
class Discipline:
    """What the system says about its clock."""

    is_synchronised: bool
    error_us: int  # how far it may be off at most


def discipline() -> Discipline | None:
    """Ask the system; None where it cannot be asked."""
    if not sys.platform.startswith("linux"):
        return None
    timex = _Timex()
    state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(timex))
    if state < 0:
        return None
    return Discipline(state != _TIME_ERROR and not timex.status & _STA_UNSYNC, int(timex.maxerror))


def synchronised() -> Iterator[Finding]:
    """Whether the clock follows a time server."""
    found = discipline()
    if found is not None:
        yield judge(found)


def judge(found: Discipline) -> Finding:
    """What to say about a clock."""
    if not found.is_synchronised:
        return warning("clock", "no time server corrects it, as far as the system knows", "a synchronised clock", _SYNCHRONISE)
    if found.error_us > _ERROR_MAX_US:
        return warning("clock", f"synchronised, and {found.error_us / 1e6:.1f} s off at worst", "less than 1 s", _SYNCHRONISE)
    return ok("clock", f"synchronised, {found.error_us / 1e3:.0f} ms off at worst")


def compared(server: str, offset_s: float) -> Finding:
    """What to say about a server whose clock is `offset_s` seconds ahead of ours."""
    check = f"clock of {server}"
    way = "ahead of" if offset_s > 0 else "behind"
    found = (
        f"{abs(offset_s):.3f} s {way} ours" if abs(offset_s) >= OFFSET_WARNING_S else f"within {max(abs(offset_s), 0.001):.3f} s of ours"
    )
    if abs(offset_s) >= OFFSET_PROBLEM_S:
        return problem(check, found, f"less than {OFFSET_WARNING_S:g} s", f"{_SYNCHRONISE}; on both machines")
    if abs(offset_s) >= OFFSET_WARNING_S:
        return warning(check, found, f"less than {OFFSET_WARNING_S:g} s", f"{_SYNCHRONISE}; on both machines")
    return ok(check, found)


def time_zones() -> Iterator[Finding]:
    """The data by which sessions of exchanges are computed."""
    missing = []
    for name in _ZONES:
        try:
            ZoneInfo.no_cache(name)
        except (ZoneInfoNotFoundError, OSError):
            missing.append(name)
    if missing:
        yield problem(
            "time zones",
            f"no data for {', '.join(missing)}",
            "the time zone database",
            "sudo apt-get install tzdata    # or: pip install tzdata",
        )
    else:
        yield ok("time zones", "known")
