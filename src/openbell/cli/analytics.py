"""`openbell analytics`: what a running platform says of the market, asked through its gateway."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

if TYPE_CHECKING:
    from openbell.client import Client
    from openbell.services.views import Anomaly, Mover

Config = Annotated[Path | None, Parameter(help="YAML file; by default $OPENBELL_CONFIG, or configs/config.yaml where there is one.")]
Url = Annotated[str, Parameter(help="Address of the gateway; by default $OPENBELL_API_URL, or where the settings have it listen.")]
AsJson = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON.")]
Window = Literal["1m", "5m", "15m", "1h", "1d"]

app = App(
    name="analytics", help="What moves, how much it varies, what moves together, what is out of the ordinary. $OPENBELL_API_KEY is used."
)


@app.command
def movers(
    *,
    window: Window = "5m",
    by: Literal["notional", "volume", "trades"] = "notional",
    limit: int = 10,
    url: Url = "",
    config: Config = None,
    json: AsJson = False,
) -> None:
    """Show what rose most, fell most and traded most.

    Parameters
    ----------
    window
        The time up to now that counts.
    by
        What the most active have most of: notional (price times volume), volume (units), or trades.
    limit
        At most so many of each.
    """
    from openbell.cli.output import print_json, print_table

    with _client(url, config) as client:
        found = client.movers(window, limit, by=by)
    if json:
        print_json(found)
        return
    for title, rows in (("gainers", found.gainers), ("losers", found.losers), (f"most active by {by}", found.most_active)):
        print(f"{title}, {window}" if rows else f"{title}, {window}: none")
        if rows:
            print_table([("symbol", "price", "change", "volume", "notional", "trades"), *map(_mover, rows)], right=range(1, 6))
        print()


@app.command
def show(symbol: str, /, *, url: Url = "", config: Config = None, json: AsJson = False) -> None:
    """Show a symbol as it stands: every window, the session, the spread.

    Parameters
    ----------
    symbol
        Such as BTCUSDT.
    """
    from openbell.cli.output import print_json, print_table

    with _client(url, config) as client:
        found = client.analytics(symbol)
    if json:
        print_json(found)
        return
    if found.now is None:
        print(f"{symbol}: nothing was heard of it yet")
        return
    now = found.now
    print(f"{symbol} {_number(now.price)}, bid {_number(now.bid)}, ask {_number(now.ask)}, spread {_number(now.spread_bps, 2)} bps")
    session = now.session
    rows = [("window", "change", "notional", "trades", "vwap", "average", "volatility", "ewma", "spread bps")]
    for name, one in now.windows.items():
        what = (_number(one.vwap), _number(one.sma), _percent(one.volatility), _percent(one.volatility_ewma), _number(one.spread_bps, 2))
        rows.append((name, f"{one.change_percent:+.2f}%", f"{one.notional:,.0f}", f"{one.trades:,}", *what))
    what = (_number(session.vwap), "", "", "", "")
    rows.append(("session", f"{session.change_percent:+.2f}%", f"{session.notional:,.0f}", f"{session.trades:,}", *what))
    print_table(rows, right=range(1, 9))
    if now.anomalies:
        print()
        print_table(_anomalies(now.anomalies), right=(3, 4, 5))


@app.command
def correlations(
    *symbols: str,
    window: Literal["5m", "15m", "1h", "1d"] = "1h",
    limit: int = 20,
    url: Url = "",
    config: Config = None,
    json: AsJson = False,
) -> None:
    """Show how symbols move together: all pairs of those that are named, or the strongest of all.

    Parameters
    ----------
    symbols
        Two or more; none for all.
    window
        Sixty returns of it are compared.
    limit
        At most so many of the strongest.
    """
    from openbell.cli.output import print_json, print_table

    with _client(url, config) as client:
        found = client.correlations(symbols, window, limit)
    if json:
        print_json(found)
    elif found.pairs:
        rows = [(*pair.symbols, _number(pair.correlation, 3), str(pair.returns)) for pair in found.pairs]
        print_table([("symbol", "symbol", "correlation", "returns"), *rows], right=(2, 3))
    else:
        print("nothing can be said yet: twenty returns of two symbols are needed")


@app.command
def anomalies(*, limit: int = 100, url: Url = "", config: Config = None, json: AsJson = False) -> None:
    """Show what is out of the ordinary, the newest first.

    Parameters
    ----------
    limit
        At most so many.
    """
    from openbell.cli.output import print_json, print_table

    with _client(url, config) as client:
        found = client.anomalies(limit)
    if json:
        print_json(found)
    elif found:
        print_table(_anomalies(found), right=(3, 4, 5))
    else:
        print("nothing is out of the ordinary")


def _client(url: str, config: Path | None) -> Client:
    """A client of the gateway that is meant."""
    import os

    from openbell.client import Client

    if not url and not os.environ.get("OPENBELL_API_URL"):
        from openbell.config import load_settings
        from openbell.services.verify.gateway import GatewayAddress

        server = load_settings(config).server
        url = str(GatewayAddress.of(server))
        if server.tls_cert:
            url = url.replace("http://", "https://", 1)
    return Client(url)


def _mover(one: Mover) -> tuple[str, ...]:
    return (
        one.symbol, _number(one.price), f"{one.change_percent:+.2f}%", _number(one.volume), f"{one.notional:,.0f}", f"{one.trades:,}",
    )  # fmt: skip


def _anomalies(found: list[Anomaly]) -> list[tuple[str, ...]]:
    from openbell.cli.output import when
    from openbell.model.time import MILLISECOND

    rows: list[tuple[str, ...]] = [("symbol", "what", "since", "value", "usual", "limit", "in")]
    for one in found:
        numbers = (f"{one.value:,.4g}", f"{one.usual:,.4g}", f"{one.threshold:,.4g}")
        rows.append((one.symbol, one.kind.replace("_", " "), when(one.ts * MILLISECOND), *numbers, one.unit))
    return rows


def _number(value: float | None, digits: int = -1) -> str:
    if value is None:
        return "-"
    return f"{value:,.10g}" if digits < 0 else f"{value:,.{digits}f}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100.0 * value:.1f}%"
