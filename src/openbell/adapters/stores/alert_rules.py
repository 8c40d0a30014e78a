"""What an alert waits for, as data: a value, a comparison and a target; how often, until when, and at what hours.

The condition is one word. Those of a price are its comparison alone (`above`); the others say first what is compared (`move_above`,
`indicator_crosses_below`), and their `Spec` says the rest. Everything is checked when it is made: UsageError when it makes no sense.
"""

import math
import re
from typing import Any, Literal, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from openbell.errors import UnknownNameError, UsageError
from openbell.model.time import SECOND, WEEK, parse_timeframe

Kind = Literal["price", "move", "volume", "indicator", "position", "drawdown"]
#: At the target or higher; at the target or lower; it comes to the target or passes it, from either side, from below, from above.
Comparison = Literal["above", "below", "crosses", "crosses_above", "crosses_below"]
Mode = Literal["once", "every"]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]

PRICE_MAX = 1e15
SYMBOL_MAX = 64
NOTE_MAX = 500
ACCOUNTS_MAX = 32
LENGTH_MAX = 1000
WINDOW_MAX_S = 7 * 86_400
COOLDOWN_MAX_S = 31 * 86_400
WORKDAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri")

#: The parameters of each indicator with their defaults, and the names of its outputs where it has several.
INDICATORS: dict[str, tuple[dict[str, float], tuple[str, ...]]] = {
    "adx": ({"length": 14}, ()),
    "atr": ({"length": 14}, ()),
    "bollinger": ({"length": 20, "width": 2.0}, ("lower", "middle", "upper")),
    "donchian": ({"length": 20}, ("lower", "middle", "upper")),
    "ema": ({"length": 20}, ()),
    "macd": ({"fast": 12, "slow": 26, "signal": 9}, ("macd", "signal", "histogram")),
    "obv": ({}, ()),
    "rate_of_change": ({"length": 10}, ()),
    "realised_volatility": ({"length": 20, "periods": 1.0}, ()),
    "rsi": ({"length": 14}, ()),
    "sma": ({"length": 20}, ()),
    "standard_deviation": ({"length": 20}, ()),
    "stochastic": ({"length": 14, "smooth": 3, "signal": 3}, ("k", "d")),
    "vwap": ({"length": 20}, ()),
    "wma": ({"length": 20}, ()),
    "close": ({}, ()),  # of each candle
    "price": ({}, ()),  # the latest, of no timeframe
}
#: Parameters that are no length.
FACTORS = ("width", "periods")
#: Hours of trading by name: time zone, days, from, to. Holidays are not known.
SESSIONS: dict[str, tuple[str, tuple[Day, ...], str, str]] = {
    "us": ("America/New_York", WORKDAYS, "09:30", "16:00"),
    "us_extended": ("America/New_York", WORKDAYS, "04:00", "20:00"),
    "india": ("Asia/Kolkata", WORKDAYS, "09:15", "15:30"),
    "london": ("Europe/London", WORKDAYS, "08:00", "16:30"),
    "frankfurt": ("Europe/Berlin", WORKDAYS, "09:00", "17:30"),
    "tokyo": ("Asia/Tokyo", WORKDAYS, "09:00", "15:30"),
    "hong_kong": ("Asia/Hong_Kong", WORKDAYS, "09:30", "16:00"),
}


class Series(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """An indicator over candles of a timeframe: one of INDICATORS, with all its parameters once it is made."""

    name: str
    timeframe: str = ""
    params: dict[str, float] = {}
    output: str = ""  # of an indicator that has several

    def __post_init__(self) -> None:
        if self.name not in INDICATORS:
            raise UnknownNameError.of("indicator", self.name, INDICATORS)
        defaults, outputs = INDICATORS[self.name]
        for name in self.params:
            if name not in defaults:
                raise UnknownNameError.of(f"parameter of {self.name}", name, defaults)
        params = {name: _parameter(self.name, name, self.params.get(name, default)) for name, default in defaults.items()}
        if self.name == "macd" and params["fast"] >= params["slow"]:
            raise UsageError(f"macd has fast {params['fast']:g} and slow {params['slow']:g}", "fast below slow")
        msgspec.structs.force_setattr(self, "params", params)
        if (outputs and self.output not in outputs) or (not outputs and self.output):
            raise UsageError(f"{self.name} has no output {self.output!r}", f"one of {', '.join(outputs)}" if outputs else "none")
        if self.name == "price":
            if self.timeframe:
                raise UsageError(f"the price with the timeframe {self.timeframe!r}", "none, or the close of a timeframe")
            return
        check_timeframe(self.timeframe)


class Spec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is compared, where it is not the price alone. In the database as JSON, empty for a price."""

    window_s: int = 0  # of a move or a volume: the last so many seconds, to a fiftieth
    timeframe: str = ""  # of a volume: that of each candle, in place of a window
    indicator: Series | None = None
    against: Series | None = None  # the target is then how far (per cent) the indicator is above this one
    accounts: tuple[str, ...] = ()  # of a position or drawdown: the strategies it is of, together; none for all


class Schedule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """When an alert may be told: a session by its name, or days and hours in a time zone. To `end` before `start` is over midnight."""

    session: str = ""
    zone: str = "UTC"
    days: tuple[Day, ...] = get_args(Day)
    start: str = "00:00"
    end: str = "24:00"

    def __post_init__(self) -> None:
        if self.session:
            if self.session not in SESSIONS:
                raise UnknownNameError.of("session", self.session, SESSIONS)
            if (self.zone, self.days, self.start, self.end) != ("UTC", get_args(Day), "00:00", "24:00"):
                raise UsageError("a schedule with a session and hours of its own", "one of them")
            return
        try:
            ZoneInfo(self.zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise UsageError(f"the time zone of a schedule is {self.zone!r}", "a name such as Europe/Berlin") from None
        if not self.days or len(set(self.days)) != len(self.days):
            raise UsageError(f"the days of a schedule are {', '.join(self.days) or 'none'}", "each day at most once, and one at least")
        minutes = [minutes_of(text) for text in (self.start, self.end)]
        if minutes[0] == minutes[1] or minutes[0] == 24 * 60:
            raise UsageError(f"a schedule from {self.start} to {self.end}", "two different times, such as 09:30 and 16:00")

    @property
    def hours(self) -> tuple[str, tuple[Day, ...], str, str]:
        """(Time zone, days, from, to)."""
        return SESSIONS[self.session] if self.session else (self.zone, self.days, self.start, self.end)


class NewAlert(msgspec.Struct, frozen=True):
    """What somebody wants to be told of."""

    symbol: str  # empty for a drawdown
    condition: str
    target_price: float  # the target, whatever is compared with it
    spec: Spec | None = None
    mode: Mode = "once"
    cooldown_s: float = 0.0  # of one that comes every time: nothing is told so soon after the last
    hysteresis: float = 0.0  # of one that comes every time: how far (per cent of the target) the value has to go back before
    expires: int | None = None  # ns since 1970 UTC, by the times of the ticks
    schedule: Schedule | None = None
    note: str = ""

    def __post_init__(self) -> None:
        kind, _ = split_condition(self.condition)
        _check_text("symbol", self.symbol, SYMBOL_MAX)
        _check_text("note", self.note, NOTE_MAX)
        if (kind == "drawdown") != (not self.symbol):
            raise UsageError(
                "an alert without a symbol" if not self.symbol else f"a drawdown of the symbol {self.symbol}",
                "a symbol such as AAPL" if not self.symbol else "none: a drawdown is of accounts",
            )
        if self.mode not in get_args(Mode):
            raise UsageError(f"the mode of an alert is {self.mode!r}", "once or every")
        _check_spec(kind, self.spec)
        self._check_target(kind)
        self._check_repeat()
        if self.expires is not None and not 0 < self.expires < 1 << 62:
            raise UsageError(f"an alert expires at {self.expires}", "nanoseconds since 1970 UTC")

    def _check_target(self, kind: Kind) -> None:
        target = self.target_price
        if not (math.isfinite(target) and abs(target) < PRICE_MAX):
            raise UsageError(f"the target of an alert is {target}", "a finite price above 0" if kind == "price" else "a finite number")
        if kind in ("price", "volume", "drawdown") and target <= 0.0:
            raise UsageError(f"the target {kind} of an alert is {target}", f"a finite {kind} above 0")

    def _check_repeat(self) -> None:
        if not 0.0 <= self.cooldown_s <= COOLDOWN_MAX_S:
            raise UsageError(f"the cool-down of an alert is {self.cooldown_s} s", f"from 0 to {COOLDOWN_MAX_S}")
        if not 0.0 <= self.hysteresis <= 1e4:
            raise UsageError(f"the hysteresis of an alert is {self.hysteresis} per cent", "from 0 to 10000")
        if self.mode == "once" and (self.cooldown_s or self.hysteresis):
            raise UsageError("an alert that comes once has a cool-down or hysteresis", "none", "have it come every time")
        if self.hysteresis and self.target_price == 0.0 and not (self.spec and self.spec.against):
            raise UsageError("the hysteresis is per cent of the target, which is 0", "another target, or no hysteresis")


def condition_of(kind: Kind, comparison: Comparison) -> str:
    """The condition in one word.

    >>> condition_of("price", "above"), condition_of("move", "crosses_below")
    ('above', 'move_crosses_below')
    """
    return comparison if kind == "price" else f"{kind}_{comparison}"


def split_condition(condition: str) -> tuple[Kind, Comparison]:
    """The inverse; UsageError for another word."""
    try:
        return _CONDITIONS[condition]
    except (KeyError, TypeError):
        expected = f"one of {', '.join(get_args(Comparison))}, or such a word after {', '.join(get_args(Kind)[1:])} and _"
        raise UsageError(f"the condition of an alert is {condition!r}", expected) from None


def check_timeframe(text: str) -> int:
    """The timeframe of an alert's candles in ns; UsageError when there can be none."""
    timeframe = parse_timeframe(text)
    if timeframe % SECOND or not SECOND <= timeframe <= WEEK:
        raise UsageError(f"timeframe is {text!r}", "whole seconds, from 1s to 1w")
    return timeframe


def minutes_of(text: str) -> int:
    """Minutes after midnight of `"09:30"`; 24:00 is the end of the day."""
    match = re.fullmatch(r"([01]\d|2[0-3]):([0-5]\d)|24:00", text)
    if match is None:
        raise UsageError(f"the time of a schedule is {text!r}", "hours and minutes, such as 09:30")
    return int(match[1]) * 60 + int(match[2]) if match[1] else 24 * 60


def _check_spec(kind: Kind, spec: Spec | None) -> None:
    """That it says what this kind needs, and nothing else."""
    spec = spec or Spec()
    said = {name for name in spec.__struct_fields__ if getattr(spec, name)}
    needed = {"move": {"window_s"}, "indicator": {"indicator"}}.get(kind, set())
    allowed = {"volume": {"window_s", "timeframe"}, "indicator": {"indicator", "against"}}.get(kind, needed)
    if kind in ("position", "drawdown"):
        allowed = {"accounts"}
    if not needed <= said <= allowed or (kind == "volume" and len(said) != 1):
        expected = {
            "price": "nothing but the target", "move": "window_s", "volume": "window_s or timeframe",
            "indicator": "indicator, and perhaps against", "position": "perhaps accounts", "drawdown": "perhaps accounts",
        }[kind]  # fmt: skip
        raise UsageError(f"an alert on {kind} says {', '.join(sorted(said)) or 'nothing more'}", expected)
    if spec.window_s and not 1 <= spec.window_s <= WINDOW_MAX_S:
        raise UsageError(f"the window of an alert is {spec.window_s} s", f"from 1 to {WINDOW_MAX_S}")
    if spec.timeframe:
        check_timeframe(spec.timeframe)
    if spec.indicator and spec.indicator.name == "price" and not spec.against:
        raise UsageError("the price as an indicator, against nothing", "another indicator, or a condition of the price alone")
    if spec.against and (spec.against.name == "price" or spec.against == spec.indicator):
        raise UsageError(f"an indicator against {spec.against.name}", "another indicator", "name the price first")
    if len(spec.accounts) > ACCOUNTS_MAX or len(set(spec.accounts)) != len(spec.accounts):
        raise UsageError(f"an alert on {len(spec.accounts)} accounts", f"at most {ACCOUNTS_MAX}, each once")
    for name in spec.accounts:
        _check_text("account", name or "\n", SYMBOL_MAX)


def _parameter(indicator: str, name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UsageError(f"{name} of {indicator} is {value!r}", "a finite number")
    if name in FACTORS:
        if not 0.0 < value <= 1e6:
            raise UsageError(f"{name} of {indicator} is {value}", "a number above 0")
        return float(value)
    if value != int(value) or not 1 <= value <= LENGTH_MAX:
        raise UsageError(f"{name} of {indicator} is {value}", f"a whole number from 1 to {LENGTH_MAX}")
    return int(value)


def _check_text(what: str, text: str, most: int) -> None:
    if len(text) > most or not all(sign.isprintable() for sign in text):
        raise UsageError(f"the {what} of an alert is {text[:40]!r}", f"at most {most} printable characters")


_CONDITIONS: dict[str, tuple[Kind, Comparison]] = {
    condition_of(kind, comparison): (kind, comparison) for kind in get_args(Kind) for comparison in get_args(Comparison)
}
