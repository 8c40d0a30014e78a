"""`openbell alerts`: price alerts in the platform's database, which the alerts service watches."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

if TYPE_CHECKING:
    from openbell.adapters.stores.alerts import AlertRow, AlertStore
    from openbell.config import Settings

Config = Annotated[Path | None, Parameter(help="YAML file; by default $OPENBELL_CONFIG, or configs/config.yaml where there is one.")]
AsJson = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON.")]

app = App(name="alerts", help="Have a price watched: add, list and remove alerts.")


@app.command
def add(
    symbol: str, condition: Literal["above", "below", "crosses"], target_price: float, /, *, config: Config = None, json: AsJson = False
) -> None:
    """Add an alert. It is triggered once, by the first tick that meets it, and noticed within a second.

    Parameters
    ----------
    symbol
        Such as AAPL.
    condition
        above (the price is at the target or higher), below (at the target or lower), crosses (it comes to the target from either side).
    target_price
        In the currency of the symbol.
    """
    from openbell.adapters.stores.alerts import NewAlert

    wanted = NewAlert(symbol, condition, target_price)
    with _opened(config) as (settings, store):
        [row] = store.create(0, wanted)
    if json:
        _print_json(_shown(row))
    else:
        print(f"alert {row.id}: {symbol} {condition} {target_price:,.10g}")
    _remark(settings, symbol)


@app.command(name="list")
def list_alerts(
    *,
    symbol: Annotated[str, Parameter(help="Only of this symbol.")] = "",
    status: Annotated[Literal["active", "triggered"] | None, Parameter(help="Only those that wait, or that were triggered.")] = None,
    config: Config = None,
    json: AsJson = False,
) -> None:
    """Show the alerts, oldest first, and by which price each was triggered."""
    with _opened(config) as (_, store):
        found = store.find(None, symbol, status)
    if json:
        _print_json([_shown(row) for row in found])
    elif found:
        _print_table(found)
    else:
        print("no alerts")


@app.command
def remove(id: int, /, *, config: Config = None, json: AsJson = False) -> None:
    """Remove an alert, whether it was triggered or not.

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


def _remark(settings: Settings, symbol: str) -> None:
    """Say on stderr why an alert may stand for ever."""
    import sys

    from openbell.services.ingest.markets import listings_of

    symbols = [listing.symbol for listing in listings_of(settings)]
    if symbol not in symbols:
        known = ", ".join(symbols) or "nothing"
        print(f"note: the configured feed lists {known}; an alert of {symbol} waits until it is listed", file=sys.stderr)
    if settings.bus.market == "inprocess":
        print("note: alerts are watched by `openbell serve alerts`; the platform in one process watches none", file=sys.stderr)


def _shown(row: AlertRow) -> dict[str, Any]:
    """An alert as the gateway shows it."""
    import msgspec

    from openbell.model.time import MILLISECOND
    from openbell.services.views import Alert

    triggered = None if row.triggered_ts is None else row.triggered_ts // MILLISECOND
    view = Alert(
        str(row.id), row.symbol, row.condition, row.target_price, row.status, row.created // MILLISECOND, triggered, row.triggered_price
    )
    return msgspec.structs.asdict(view)


def _print_table(found: list[AlertRow]) -> None:
    """One line an alert."""
    from openbell.model.time import format_time

    rows = [("id", "symbol", "condition", "target", "status", "triggered at", "by the price")]
    for row in found:
        at = "" if row.triggered_ts is None else format_time(row.triggered_ts)
        price = "" if row.triggered_price is None else f"{row.triggered_price:,.10g}"
        rows.append((str(row.id), row.symbol, row.condition, f"{row.target_price:,.10g}", row.status, at, price))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for cells in rows:
        shown = [
            cell.rjust(width) if at in (0, 3, 6) else cell.ljust(width) for at, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        print("  ".join(shown).rstrip())


def _print_json(value: Any) -> None:
    import msgspec

    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())
