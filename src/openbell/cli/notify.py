"""`openbell notify`: where people are told of what happens, and what was told."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter
from msgspec.structs import asdict

from openbell.cli.output import print_json, print_table, when

if TYPE_CHECKING:
    from openbell.services.notifier.channels import Channels

Config = Annotated[Path | None, Parameter(help="YAML file; by default $OPENBELL_CONFIG, or configs/config.yaml where there is one.")]
User = Annotated[str, Parameter(help="Of this user; by default of the house, which is everybody where nobody signs in.")]
AsJson = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON.")]
Severity = Literal["info", "warning", "critical"]

app = App(name="notify", help="Telegram, Discord, e-mail and others: where people are told of what happens, and what was told.")
channels = App(name="channels", help="Where people are told: add, list, remove and try channels.")
app.command(channels)


@channels.command
def add(
    name: str,
    /,
    *,
    events: Annotated[str, Parameter(help="Of what, with commas; by default of everything. `openbell notify events` lists them.")] = "",
    minimum: Annotated[Severity, Parameter(help="How important it has to be.")] = "info",
    quiet: Annotated[str, Parameter(help="Hours in which only the critical is told, such as 22:00-07:00.")] = "",
    zone: Annotated[str, Parameter(help="Time zone of these hours, and of the times in messages, such as Europe/Berlin.")] = "UTC",
    user: User = "",
    config: Config = None,
    json: AsJson = False,
) -> None:
    """Add a channel. Its address is read from the terminal, unseen, or from standard input: on the command line others could see it.

    Telegram: tgram://BOT_TOKEN/CHAT_ID. Discord: the URL of the webhook. E-mail: mailtos://USER:PASSWORD@DOMAIN?smtp=HOST&to=ADDRESS.
    Webhook: jsons://HOST/PATH. Others: https://appriseit.com.

    Parameters
    ----------
    name
        What it is called, such as telephone.
    """
    from openbell.services.notifier.channels import NewChannel

    wanted = tuple(part.strip() for part in events.split(",") if part.strip())
    with _opened(config, user) as (own, owner):
        row = own.create(owner, _checked(NewChannel, name=name, url=_address(), events=wanted, minimum=minimum, quiet=quiet, zone=zone))
    if json:
        print_json(asdict(row))
    else:
        print(f"channel {row.id}: {row.shown}; try it with: openbell notify channels test {row.id}")


@channels.command(name="list")
def list_channels(*, user: User = "", config: Config = None, json: AsJson = False) -> None:
    """Show the channels and how they stand. An address is shown without its secrets."""
    with _opened(config, user) as (own, owner):
        found = own.list(owner)
    if json:
        print_json([asdict(row) for row in found])
    elif not found:
        print("no channels")
    else:
        rows = [("id", "name", "address", "events", "at least", "quiet", "status", "error")]
        rows += [
            (
                str(row.id), row.name, row.shown, ",".join(row.events) or "all", row.minimum,
                f"{row.quiet} {row.zone}" if row.quiet else "", row.status if row.enabled or row.status == "disabled" else "off", row.error,
            )
            for row in found
        ]  # fmt: skip
        print_table(rows)


@channels.command
def remove(id: int, /, *, user: User = "", config: Config = None) -> None:
    """Remove a channel, and the log of what was told to it.

    Parameters
    ----------
    id
        As `openbell notify channels list` shows it.
    """
    with _opened(config, user) as (own, owner):
        own.delete(owner, id)
    print(f"channel {id} is removed")


@channels.command(name="test")
def try_channel(id: int, /, *, user: User = "", config: Config = None) -> int:
    """Send a message to a channel now, and say what its sink answers; the exit code is 1 when it was not sent.

    Parameters
    ----------
    id
        As `openbell notify channels list` shows it.
    """
    with _opened(config, user) as (own, owner):
        outcome = own.test(owner, id)
    if outcome.answer == "sent":
        print(f"channel {id}: sent")
        return 0
    wait = f"; it wants to be left alone for {outcome.wait_s:g} s" if outcome.wait_s else ""
    print(f"channel {id}: {outcome.answer}: {outcome.reason}{wait}")
    return 1


@channels.command
def enable(id: int, /, *, off: Annotated[bool, Parameter(negative="")] = False, user: User = "", config: Config = None) -> None:
    """Use a channel again that was taken out of use, or with --off use it no more.

    Parameters
    ----------
    id
        As `openbell notify channels list` shows it.
    off
        Take it out of use.
    """
    from openbell.services.notifier.channels import ChannelChanges

    with _opened(config, user) as (own, owner):
        own.update(owner, id, ChannelChanges(enabled=not off))
    print(f"channel {id} is {'off' if off else 'on'}")


@app.command
def log(
    *,
    channel: Annotated[int | None, Parameter(help="Only to this channel.")] = None,
    state: Annotated[
        Literal["waiting", "sent", "failed", "dropped", "digested"] | None, Parameter(help="Only what became of this.")
    ] = None,
    most: Annotated[int, Parameter(help="How many lines.")] = 50,
    user: User = "",
    config: Config = None,
    json: AsJson = False,
) -> None:
    """Show what was told to whom, newest first, and what was not, and why."""
    with _opened(config, user) as (own, owner):
        found = own.log.page(owner, channel=channel, state=state, limit=most)
    if json:
        print_json([asdict(row) for row in found])
    elif not found:
        print("nothing was told")
    else:
        rows = [("number", "time", "channel", "event", "severity", "state", "attempts", "error")]
        rows += [
            (
                f"#{row.number}", when(row.ts), row.channel_name, row.event, row.severity,
                row.state if row.digest is None else f"{row.state} in #{row.digest}", str(row.attempts), row.error,
            )
            for row in found
        ]  # fmt: skip
        print_table(rows)


@app.command
def events() -> None:
    """List what may be told, and the fields that a text of your own may use."""
    from openbell.services.notifier.events import ALWAYS, EVENTS

    for name, event in EVENTS.items():
        print(f"{name:<11} {event.about}\n{'':<11} {', '.join((*event.fields, *ALWAYS))}\n{'':<11} {event.text}")


@app.command
def text(
    event: str, words: str = "", /, *, usual: Annotated[bool, Parameter(negative="")] = False, user: User = "", config: Config = None
) -> None:
    """Have an event told in words of your own, or without words show how it is told.

    Parameters
    ----------
    event
        As `openbell notify events` lists them.
    words
        Such as "{side} {quantity} {symbol} for {price}".
    usual
        Bring the usual ones back.
    """
    from openbell.services.notifier.events import event_named

    known = event_named(event)
    with _opened(config, user) as (own, owner):
        if words or usual:
            own.set_template(owner, event, "" if usual else words)
        print(own.templates(owner).get(event) or known.text)


@contextlib.contextmanager
def _opened(config: Path | None, user: str) -> Iterator[tuple[Channels, int]]:
    """The channels of the settings' database, and the id of the user."""
    from openbell.adapters.stores.database import open_database
    from openbell.adapters.stores.users import UserStore
    from openbell.config import load_settings
    from openbell.errors import UnknownNameError
    from openbell.services.notifier.channels import Channels
    from openbell.services.stores import place_of, sealer_of

    settings = load_settings(config)
    with contextlib.closing(open_database(place_of(settings.database))) as database:
        found = UserStore(database).by_name(user.casefold()) if user else None
        if user and found is None:
            raise UnknownNameError(f"there is no user '{user}'", do="see `openbell users list`")
        yield Channels(database, lambda: sealer_of(settings), settings.notify.allow_private), found.id if found is not None else 0


def _address() -> str:
    """The address of a channel: typed unseen at a terminal, else the first line of standard input."""
    import sys
    from getpass import getpass

    from openbell.errors import UsageError

    given = getpass("address: ") if sys.stdin.isatty() else sys.stdin.readline()
    if not given.strip():
        raise UsageError("no address was given", "one on a line of standard input", "openbell notify channels add NAME < FILE")
    return given.strip()


def _checked(kind: type[Any], **fields: Any) -> Any:
    """A structure of checked fields; UsageError says which is wrong."""
    import msgspec

    from openbell.errors import UsageError

    try:
        return msgspec.convert(fields, kind)
    except msgspec.ValidationError as error:
        raise UsageError(f"the channel makes no sense: {str(error).replace('`', '')}") from None
