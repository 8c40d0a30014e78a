"""What an alert is on, in words that people read and write: `rsi(14) 5m`, `move 10m`, `volume of 1h`, `drawdown of sma`.

price                       the price of each trade
move 10m                    by how much (per cent) the price differs from that of ten minutes ago
volume 1h                   what was traded within the last hour
volume of 5m                what was traded in each candle of five minutes
rsi 5m, rsi(14) 5m          an indicator over closed candles; its parameters may be left out
bollinger(20, 2).upper 1h   one that has several outputs
position, position of a, b  what the strategies hold of the symbol together
drawdown, drawdown of a, b  how far (per cent) their worth is below its highest
"""

import re
from datetime import UTC, datetime, timedelta
from typing import get_args

from openbell.adapters.stores.alert_rules import INDICATORS, Day, Kind, Schedule, Series, Spec, split_condition
from openbell.errors import UnknownNameError, UsageError
from openbell.model.time import MICROSECOND, SECOND, format_timeframe, parse_timeframe

_SERIES = re.compile(r"(?P<name>[a-z_]+)\s*(\((?P<values>[^()]*)\))?\s*(\.\s*(?P<output>[a-z]+))?(\s+(?P<timeframe>\S+))?")
_COMPARISONS = {
    "above": "is at or above", "below": "is at or below", "crosses": "crosses", "crosses_above": "crosses above",
    "crosses_below": "crosses below",
}  # fmt: skip


def parse_value(text: str) -> tuple[Kind, Spec]:
    """What an alert is on, and what its spec says. UsageError when it is none of the above.

    >>> parse_value("rsi 5m")[1].indicator
    Series(name='rsi', timeframe='5m', params={'length': 14}, output='')
    >>> parse_value("move 10m")
    ('move', Spec(window_s=600, timeframe='', indicator=None, against=None, accounts=()))
    """
    word, _, rest = text.strip().partition(" ")
    rest = rest.strip()
    if word == "price" and not rest:
        return "price", Spec()
    if word == "volume" and rest.startswith("of "):
        return "volume", Spec(timeframe=rest[3:].strip())
    if word == "move" or (word == "volume" and rest):
        window = parse_timeframe(rest)
        if window % SECOND:
            raise UsageError(f"the window of {text!r}", "whole seconds")
        return word, Spec(window_s=window // SECOND)  # type: ignore[return-value]
    if word in ("position", "drawdown"):
        if rest and not rest.startswith("of "):
            raise UsageError(f"an alert on {text!r}", f"{word}, or {word} of the names of strategies")
        names = tuple(name.strip() for name in rest[3:].split(",")) if rest else ()
        return word, Spec(accounts=names)  # type: ignore[return-value]
    return "indicator", Spec(indicator=parse_series(text))


def parse_series(text: str) -> Series:
    """An indicator; UsageError when it is none.

    >>> parse_series("bollinger(20, 2.5).upper 1h").output
    'upper'
    """
    match = _SERIES.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"an alert on {text!r}", "such as rsi(14) 5m, move 10m, volume 1h, position or drawdown")
    name = match["name"]
    if name not in INDICATORS:
        raise UnknownNameError.of("value to watch", name, [*INDICATORS, "move", "volume", "position", "drawdown"])
    names = list(INDICATORS[name][0])
    values = [part.strip() for part in match["values"].split(",")] if match["values"] else []
    if len(values) > len(names):
        raise UsageError(f"{name} has {len(values)} parameters in {text!r}", f"at most {len(names)}: {', '.join(names) or 'none'}")
    try:
        params = {key: float(value) for key, value in zip(names, values, strict=False)}
    except ValueError:
        raise UsageError(f"the parameters of {text!r}", "numbers, such as rsi(14) 5m") from None
    return Series(name, match["timeframe"] or "", params, match["output"] or "")


def parse_hours(hours: str, session: str = "") -> Schedule | None:
    """A session by its name, or from-to with a time zone and days behind it, in any order; None for neither. UsageError when it is no such.

    >>> parse_hours("22:00-06:00 mon tue Europe/Berlin")
    Schedule(session='', zone='Europe/Berlin', days=('mon', 'tue'), start='22:00', end='06:00')
    """
    if not hours:
        return Schedule(session) if session else None
    if session:
        raise UsageError("a session beside hours", "one of them")
    first, *rest = hours.split()
    start, dash, end = first.partition("-")
    days = tuple(word for word in get_args(Day) if word in rest)
    zones = [word for word in rest if word not in days]
    if not dash or len(zones) > 1:
        raise UsageError(f"the hours {hours!r}", 'from-to, a time zone, and days, such as "09:30-16:00 America/New_York mon tue"')
    return Schedule(zone=zones[0] if zones else "UTC", days=days or get_args(Day), start=start, end=end)


def parse_moment(text: str) -> int | None:
    """A time in ns since 1970 UTC, which is its zone where it names none; None for the empty text. UsageError when it is no time.

    >>> parse_moment("2026-01-31T16:00+01:00")
    1769871600000000000
    """
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"the time {text!r}", "such as 2026-01-31T16:00 or 2026-01-31T16:00+01:00") from None
    since = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - datetime(1970, 1, 1, tzinfo=UTC)
    return since // timedelta(microseconds=1) * MICROSECOND


def value_text(condition: str, spec: Spec | None) -> str:
    """The inverse of `parse_value`, without what it is against; empty for a price.

    >>> value_text("volume_above", Spec(timeframe="5m"))
    'volume of 5m'
    """
    kind, _ = split_condition(condition)
    spec = spec or Spec()
    if kind == "price":
        return ""
    if spec.indicator is not None:
        return series_text(spec.indicator)
    if kind in ("position", "drawdown"):
        return f"{kind} of {', '.join(spec.accounts)}" if spec.accounts else kind
    return f"{kind} {format_timeframe(spec.window_s * SECOND)}" if spec.window_s else f"{kind} of {spec.timeframe}"


def series_text(series: Series) -> str:
    """The inverse of `parse_series`."""
    values = ", ".join(f"{value:g}" for value in series.params.values())
    output = f".{series.output}" if series.output else ""
    return f"{series.name}{f'({values})' if values else ''}{output} {series.timeframe}".strip()


def sentence(symbol: str, condition: str, target: float, spec: Spec | None) -> str:
    """What an alert waits for, as a sentence without its end.

    >>> sentence("AAPL", "above", 150.0, None)
    'AAPL is at or above 150'
    >>> sentence("AAPL", "indicator_crosses_above", 0.0, Spec(indicator=Series("price"), against=Series("sma", "1h", {"length": 50})))
    'AAPL price crosses above sma(50) 1h'
    """
    kind, comparison = split_condition(condition)
    subject = " ".join(part for part in (symbol, value_text(condition, spec)) if part)
    unit = " %" if kind in ("move", "drawdown") else ""
    number = f"{target:,.10g}{unit}"
    if spec is not None and spec.against is not None:
        above = f"{abs(target):g} % {'above' if target > 0.0 else 'below'} " if target else ""
        number = above + series_text(spec.against)
    return f"{subject} {_COMPARISONS[comparison]} {number}"
