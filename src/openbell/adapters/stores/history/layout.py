"""Which column is what: names are recognised liberally, and what cannot be recognised is said with its near
names.

Case, blanks, dots and underscores do not matter (`Bid Price`, `bid_price` and `bidPrice` are one name). Tried
in this order:

    bid_open ... ask_close                     bars of the mid price (mean of bid and ask, by column)
    open high low close [volume]               bars; o h l c v do too
    bid ask [bid_quantity ask_quantity]        quotes
    price quantity [side|buyer_is_maker] [id]  trades
    close [volume]                             close-only bars: open = high = low = close
    a time and one column of closes a symbol   the same, one bar a symbol and filled cell
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING

from openbell.adapters.stores.history.columns import Kind
from openbell.adapters.stores.history.timestamps import TimeRule, find_rule
from openbell.errors import DataError

if TYPE_CHECKING:
    import polars

_OHLC = ("open", "high", "low", "close")
_QUOTE_BAR = tuple(f"{side}_{part}" for side in ("bid", "ask") for part in _OHLC)

#: Role -> accepted names, lower case and without anything but letters and digits; the first that is there
#: wins.
_NAMES: dict[str, tuple[str, ...]] = {
    "symbol": ("symbol", "sym", "ticker", "instrument", "instrumentid", "pair", "asset"),
    "venue": ("venue", "exchange", "market"),
    "open": ("open", "o"),
    "high": ("high", "h"),
    "low": ("low", "l"),
    "close": ("close", "c", "last"),
    "volume": ("volume", "vol", "v", "quantity", "qty", "size"),
    "price": ("price", "p", "px", "tradeprice", "lastprice"),
    "quantity": ("quantity", "qty", "q", "size", "volume", "vol", "amount", "tradeqty", "tradesize"),
    "side": ("side", "takerside", "aggressor", "aggressorside", "direction"),
    "buyer_is_maker": ("buyerismaker", "isbuyermaker", "buyermaker", "m"),
    "trade_id": ("tradeid", "aggtradeid", "id"),
    "bid_price": ("bidprice", "bid", "bestbid", "bestbidprice", "bidpx", "bidpx00"),
    "ask_price": ("askprice", "ask", "bestask", "bestaskprice", "askpx", "askpx00", "offer", "offerprice"),
    "bid_quantity": ("bidquantity", "bidqty", "bidsize", "bidvolume", "bestbidqty", "bidsz00"),
    "ask_quantity": ("askquantity", "askqty", "asksize", "askvolume", "bestaskqty", "asksz00", "offersize"),
    **{role: (role.replace("_", ""),) for role in _QUOTE_BAR},
}
_BOOK_NAMES = {"firstupdateid", "lastupdateid"}

# Time columns, the venue's own first: the trade's time, then the venue's, then an unnamed one, then when it
# arrived.
_BASE = r"(ts|time|timestamp|date|datetime|t|epoch|unix)(event)?(utc|ist)?(ns|us|ms)?"
_TIME_PATTERNS = tuple(
    re.compile(pattern)
    for pattern in (
        rf"(trade|transact|transaction){_BASE}",
        rf"(event|exchange|venue){_BASE}",
        rf"{_BASE}(bar)?(start|end|open|close)?",
        rf"(open|start|bar|begin|window){_BASE}",
        rf"(close|end){_BASE}",
        rf"(recv|receive|received|local|arrival){_BASE}|{_BASE}(recv|received|init)",
    )
)


@dataclass(frozen=True, slots=True)
class Layout:
    """What a source holds and where: `roles` maps a role such as `bid_price` to the column's name in the
    source.
    """

    kind: Kind
    time: str
    rule: TimeRule
    roles: dict[str, str]
    clock: str | None = None  # a separate column with the time of day
    wide: tuple[str, ...] = field(default=())  # the symbols, when each has a column of closes

    def needed(self) -> list[str]:
        """The columns the rows are made of; no other is loaded."""
        extra = [self.clock] if self.clock is not None else []
        cells = [name for role, name in self.roles.items() if role != "venue"]
        return list(dict.fromkeys([self.time, *extra, *cells, *self.wide]))

    @property
    def is_quote_bar(self) -> bool:
        """Whether bars are to be made from bid and ask bars."""
        return "bid_open" in self.roles


def squash(name: str) -> str:
    """A column's name without case and punctuation."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def recognise(
    head: "polars.DataFrame",
    source: str,
    kind: Kind | None = None,
    time: str | None = None,
    timezone: str | None = None,
) -> Layout:
    """Find out what the columns mean from their names and the first rows.

    `kind` and `time` insist on one reading, and on one column of times, where several are possible. Raises
    DataError that lists what was found and what is needed.
    """
    names = head.columns
    by_name: dict[str, str] = {}
    for name in names:
        by_name.setdefault(squash(name), name)
    if _BOOK_NAMES & set(by_name):
        raise DataError(
            f"{source} holds order book changes (columns {', '.join(names)})",
            expected="bars, trades or quotes",
            do="read the best bid and offer instead",
        )
    clock = None
    if time is None:
        time, clock = _time_columns(head, by_name)
    elif time not in names:
        raise DataError(f"{source} has no column '{time}'", expected=f"one of {', '.join(names)}")
    roles = _roles({squashed: name for squashed, name in by_name.items() if name not in (time, clock)})
    choice = _choose(set(roles), kind)
    if time is None or (choice is None and (kind in ("trades", "quotes") or not _is_wide(head, time, roles))):
        raise _unrecognised(source, names, time, kind)
    cells = head[time] if clock is None else head[time] + " " + head[clock]
    rule = find_rule(time, cells, source, timezone)
    if choice is None:
        return Layout("bars", time, rule, {}, wide=tuple(name for name in names if name != time))
    chosen_kind, fields = choice
    keep = (*fields, "symbol", "venue")
    return Layout(chosen_kind, time, rule, {role: roles[role] for role in keep if role in roles}, clock)


def _choose(present: set[str], kind: Kind | None) -> tuple[Kind, tuple[str, ...]] | None:
    """The first reading whose columns are all there, with every column it can use."""
    readings: tuple[tuple[Kind, tuple[str, ...], tuple[str, ...]], ...] = (
        ("bars", _QUOTE_BAR, ()),
        ("bars", _OHLC, ("volume",)),
        ("quotes", ("bid_price", "ask_price"), ("bid_quantity", "ask_quantity")),
        ("trades", ("price", "quantity"), ("side", "buyer_is_maker", "trade_id")),
        ("bars", ("close",), ("volume",)),
    )
    for reading, needed, optional in readings:
        only_close = needed == ("close",) and present & {"open", "high", "low"}
        if kind in (None, reading) and present.issuperset(needed) and not only_close:
            return reading, needed + optional
    return None


def _roles(by_name: dict[str, str]) -> dict[str, str]:
    """Role -> column.

    One letter means something only in company, or a wide frame's C and V would be close and volume.
    """
    letters = {name for name in by_name if len(name) == 1}
    if not letters >= set("ohlc") and not letters >= set("pq"):
        by_name = {squashed: name for squashed, name in by_name.items() if squashed not in letters}
    roles = {}
    for role, accepted in _NAMES.items():
        found = next((name for name in accepted if name in by_name), None)
        if found is not None:
            roles[role] = by_name[found]
    return roles


def _time_columns(head: "polars.DataFrame", by_name: dict[str, str]) -> tuple[str | None, str | None]:
    """The column of times, and one with the time of day when `date` and `time` are apart.

    By name; else the only column with a date type; else the first column, when its cells look like dates.
    """
    import polars

    last = {"date": 1, "t": 2}
    for pattern in _TIME_PATTERNS:
        found = [squashed for squashed in by_name if pattern.fullmatch(squashed)]
        if found:
            best = min(found, key=lambda squashed: last.get(squashed, 0))
            name = by_name[best]
            cells = head[name]
            is_clock = cells.dtype == polars.String and re.fullmatch(r"\d\d?:\d\d(:\d\d([.]\d+)?)?", cells[0] or "")
            if is_clock and "date" in found and head[by_name["date"]].dtype == polars.String:
                return by_name["date"], name
            return name, None
    dated = [name for name in head.columns if head[name].dtype.is_temporal()]
    if len(dated) == 1:
        return dated[0], None
    first = head.columns[0]
    if head[first].dtype == polars.String and re.match(r"\d{4}-\d\d-\d\d", head[first][0] or ""):
        return first, None
    return None, None


def _is_wide(head: "polars.DataFrame", time: str, roles: dict[str, str]) -> bool:
    """Whether the rest are closes: hardly a name has a meaning (LOW is also a share), and every filled cell
    is a number.
    """
    import polars

    others = [name for name in head.columns if name != time]
    if len(others) < max(1, 5 * len(roles)):
        return False
    for name in others:
        cells = head[name]
        numbers = cells.cast(polars.Float64, strict=False) if cells.dtype == polars.String else cells
        if not (numbers.dtype.is_numeric() or numbers.dtype == polars.Null) or numbers.null_count() > cells.null_count():
            return False
    return True


def _unrecognised(source: str, names: Sequence[str], time: str | None, kind: Kind | None) -> DataError:
    wanted = {
        "bars": "a time and open, high, low, close (and volume)",
        "trades": "a time, price and quantity",
        "quotes": "a time, bid and ask",
    }
    expected = wanted[kind] if kind else f"{'; or '.join(wanted.values())}; or a date and one close a symbol"
    known = [accepted for role in _NAMES for accepted in _NAMES[role] if len(accepted) > 2]
    known += ["time", "timestamp", "date", "datetime"]
    near = []
    for name in names:
        match = get_close_matches(squash(name), known, n=1, cutoff=0.6)
        if match and squash(name) not in known:
            near.append(f"rename '{name}' to '{match[0]}' if that is what it is")
    missing = "no column of times" if time is None else f"times in '{time}' but not the rest"
    return DataError(
        f"{source} has the columns {', '.join(names)}: {missing}",
        expected=expected,
        do="; ".join(near) or "rename the columns",
    )
