"""`openbell alerts`: alerts in the platform's database, which the alerts service watches."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

if TYPE_CHECKING:
    from openbell.adapters.stores.alert_rows import AlertEvent, AlertRow
    from openbell.adapters.stores.alert_rules import NewAlert
    from openbell.adapters.stores.alerts import AlertStore
    from openbell.config import Settings

Config = Annotated[Path | None, Parameter(help="YAML file; by default $OPENBELL_CONFIG, or configs/config.yaml where there is one.")]
AsJson = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON.")]
Comparison = Literal["above", "below", "crosses", "crosses_above", "crosses_below"]

app = App(name="alerts", help="Have prices, indicators, volumes, positions and drawdowns watched: add, list and remove alerts.")


@app.command
def add(
    symbol: str,
    condition: Comparison,
    target: float,
    /,
    *,
    of: str = "price",
    against: str = "",
    every: Annotated[bool, Parameter(negative="")] = False,
    cooldown: str = "",
    hysteresis: float = 0.0,
    expires: str = "",
    hours: str = "",
    session: str = "",
    note: str = "",
    config: Config = None,
    json: AsJson = False,
) -> None:
    """Add an alert. It comes with the first tick that meets it, and is noticed within a second.

    Parameters
    ----------
    symbol
        Such as AAPL; the word accounts for a drawdown.
    condition
        above (the value is at the target or higher), below, crosses (it comes to the target or passes it), crosses_above, crosses_below.
    target
        Of a price in the currency of the symbol, of a move or drawdown in per cent; with --against how far (per cent) above it.
    of
        What is watched: price, "move 10m" (per cent within ten minutes), "volume 1h", "volume of 5m" (of each candle), "rsi(14) 5m" or
        another indicator, "macd(12, 26, 9).signal 1h", position, "position of a, b" (strategies), drawdown.
    against
        Another indicator that it is compared with, such as "sma(200) 1h".
    every
        Come every time, not only once.
    cooldown
        With --every: nothing so soon after the last one, such as 10m.
    hysteresis
        With --every: so many per cent of the target the value has to go back before it counts again.
    expires
        Watch until this time only, such as 2026-01-31T16:00; UTC unless it says otherwise. The times of the ticks count.
    hours
        Come only then: from-to, a time zone and days as you like, such as "09:30-16:00 America/New_York mon tue wed".
    session
        Come only in the hours of a session: us, us_extended, india, london, frankfurt, tokyo, hong_kong.
    note
        In your words, for whoever is told.
    """
    wanted = _wanted(symbol, condition, target, of, against)
    repeat = {"mode": "every", "cooldown_s": _seconds(cooldown), "hysteresis": hysteresis} if every else {}
    if not every and (cooldown or hysteresis):
        from openbell.errors import UsageError

        raise UsageError("--cooldown or --hysteresis of an alert that comes once", "--every beside it")
    from msgspec.structs import replace

    from openbell.adapters.stores.alert_words import parse_hours, parse_moment

    new = replace(wanted, **repeat, expires=parse_moment(expires), schedule=parse_hours(hours, session), note=note)
    with _opened(config) as (settings, store):
        [row] = store.create(0, new)
    if json:
        _print_json(_shown(row))
    else:
        print(f"alert {row.id}: {_sentence(row)}")
    _remark(settings, row)


@app.command(name="list")
def list_alerts(
    *,
    symbol: Annotated[str, Parameter(help="Only of this symbol.")] = "",
    status: Annotated[
        Literal["active", "triggered", "paused", "expired"] | None, Parameter(help="Only those that wait, came, are held, or are over.")
    ] = None,
    config: Config = None,
    json: AsJson = False,
) -> None:
    """Show the alerts, oldest first, and when each came last."""
    with _opened(config) as (_, store):
        found = store.find(None, symbol, status)
    if json:
        _print_json([_shown(row) for row in found])
    elif found:
        from openbell.model.time import format_time

        rows = [("id", "alert", "status", "came", "last at", "with", "at the price")]
        for row in found:
            at = "" if row.triggered_ts is None else format_time(row.triggered_ts)
            came = (str(row.fired or ""), at, _number(row.triggered_value), _number(row.triggered_price))
            rows.append((str(row.id), _sentence(row), row.status, *came))
        _print_table(rows, (0, 3, 5, 6))
    else:
        print("no alerts")


@app.command
def events(
    *,
    alert: Annotated[int | None, Parameter(help="Only of this alert.")] = None,
    symbol: Annotated[str, Parameter(help="Only of this symbol.")] = "",
    since: Annotated[int, Parameter(help="Only what was recorded after this number, which each has.")] = 0,
    limit: Annotated[int, Parameter(help="At most so many.")] = 1000,
    config: Config = None,
    json: AsJson = False,
) -> None:
    """Show each time that an alert came, in order."""
    with _opened(config) as (_, store):
        found = store.events(None, since, alert, symbol, limit)
    if json:
        from openbell.services.alerts.shown import shown_event

        _print_json([{"seq": event.seq, "alert": shown_event(event)} for event in found])
    elif found:
        from openbell.model.time import format_time

        rows = [("seq", "id", "alert", "number", "at", "with", "at the price", "note")]
        for event in found:
            came = (str(event.number), format_time(event.ts), _number(event.value), _number(event.price), event.note)
            rows.append((str(event.seq), str(event.alert), _sentence(event), *came))
        _print_table(rows, (0, 1, 3, 5, 6))
    else:
        print("no alert came")


@app.command
def remove(id: int, /, *, config: Config = None, json: AsJson = False) -> None:
    """Remove an alert, whether it came or not.

    Parameters
    ----------
    id
        As `openbell alerts list` shows it.
    """
    from openbell.errors import UnknownNameError

    with _opened(config) as (_, store):
        if not store.delete(None, id):
            raise UnknownNameError(f"there is no alert {id}", do="see `openbell alerts list`")
    if json:
        _print_json({"id": str(id), "status": "canceled"})
    else:
        print(f"alert {id} is removed")


@app.command
def pause(id: int, /, *, config: Config = None, json: AsJson = False) -> None:
    """Have an alert watched no more until it is resumed.

    Parameters
    ----------
    id
        As `openbell alerts list` shows it.
    """
    _set_status(id, "paused", config, json)


@app.command
def resume(id: int, /, *, config: Config = None, json: AsJson = False) -> None:
    """Have an alert watched again that was paused, that came once, or whose time was over.

    Parameters
    ----------
    id
        As `openbell alerts list` shows it.
    """
    _set_status(id, "active", config, json)


def _set_status(id: int, status: str, config: Path | None, json: bool) -> None:
    with _opened(config) as (_, store):
        row = store.update(None, id, status=status)
    if json:
        _print_json(_shown(row))
    else:
        print(f"alert {id} is {row.status}: {_sentence(row)}")


def _wanted(symbol: str, condition: Comparison, target: float, of: str, against: str) -> NewAlert:
    """The alert that the words mean."""
    from msgspec.structs import replace

    from openbell.adapters.stores.alert_rules import NewAlert, Spec, condition_of
    from openbell.adapters.stores.alert_words import parse_series, parse_value

    kind, spec = parse_value(of)
    if against:
        kind, spec = ("indicator", Spec(indicator=parse_series("price"))) if kind == "price" else (kind, spec)
        spec = replace(spec, against=parse_series(against))
    return NewAlert(
        "" if (symbol, kind) == ("accounts", "drawdown") else symbol,
        condition_of(kind, condition),
        target,
        None if spec == Spec() else spec,
    )


def _seconds(text: str) -> float:
    from openbell.model.time import SECOND, parse_timeframe

    return parse_timeframe(text) / SECOND if text else 0.0


@contextlib.contextmanager
def _opened(config: Path | None) -> Iterator[tuple[Settings, AlertStore]]:
    """The settings, and the alerts of their database."""
    from openbell.adapters.stores.alerts import AlertStore
    from openbell.adapters.stores.database import open_database
    from openbell.config import load_settings
    from openbell.services.stores import place_of

    settings = load_settings(config)
    with contextlib.closing(open_database(place_of(settings.database))) as database:
        yield settings, AlertStore(database)


def _remark(settings: Settings, row: AlertRow) -> None:
    """Say on stderr why an alert may stand for ever."""
    import sys

    from openbell.services.ingest.markets import listings_of

    symbols = [listing.symbol for listing in listings_of(settings)]
    if row.symbol and row.symbol not in symbols:
        known = ", ".join(symbols) or "nothing"
        print(f"note: the configured feed lists {known}; an alert of {row.symbol} waits until it is listed", file=sys.stderr)


def _sentence(row: AlertRow | AlertEvent) -> str:
    from openbell.adapters.stores.alert_words import sentence

    return sentence(row.symbol, row.condition, row.target_price, row.spec)


def _shown(row: AlertRow) -> dict[str, Any]:
    """An alert as the gateway shows it."""
    import msgspec

    from openbell.services.alerts.shown import shown_row

    shown: dict[str, Any] = msgspec.to_builtins(shown_row(row))
    return shown


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.10g}"


def _print_table(rows: Sequence[tuple[str, ...]], to_the_right: tuple[int, ...]) -> None:
    """One line each."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for cells in rows:
        shown = [
            cell.rjust(width) if at in to_the_right else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        print("  ".join(shown).rstrip())


def _print_json(value: Any) -> None:
    import msgspec

    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())
