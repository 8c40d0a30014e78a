"""`openbell keys`: API keys for programs, with some of what their user may do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from openbell.cli.accounts import AsJson, Config, with_accounts
from openbell.cli.output import print_json, print_table, when

if TYPE_CHECKING:
    from openbell.adapters.stores.sessions import KeyRow
    from openbell.services.accounts.accounts import Accounts
    from openbell.services.accounts.callers import Caller

app = App(name="keys", help="Let programs in: add, list and revoke API keys.")


@app.command
def add(
    user: str,
    name: str,
    /,
    *,
    scopes: Annotated[str, Parameter(help="Some of read, alerts, trade, admin, with commas; never more than the user's role.")] = "read",
    days: Annotated[int, Parameter(help="How long it holds, 1 to 366; 0 for ever.")] = 90,
    config: Config = None,
    json: AsJson = False,
) -> None:
    """Make an API key, and print it: it is shown once, and only its hash is stored.

    Parameters
    ----------
    user
        Whose key it is: what it does, she did.
    name
        What it is for.
    """
    wanted = frozenset(part.strip() for part in scopes.split(",") if part.strip())
    made = with_accounts(
        config,
        lambda accounts, caller: accounts.keys.create(caller, name, wanted, days=days or None, user=user),  # type: ignore[arg-type]
    )
    if json:
        print_json(_plain(made.row, user) | {"key": made.key})
    else:
        ends = "is revoked" if made.row.expires is None else f"{when(made.row.expires)}"
        print(f"key {made.row.id} of {user} ({', '.join(made.row.scopes)}) holds until {ends}. It is shown once:\n\n    {made.key}\n")
        print("A program sends it as: Authorization: Bearer obk_...")


@app.command(name="list")
def list_keys(*, user: Annotated[str, Parameter(help="Only of this user.")] = "", config: Config = None, json: AsJson = False) -> None:
    """Show the API keys without their secrets, oldest first."""

    async def ask(accounts: Accounts, caller: Caller) -> tuple[dict[int, str], Sequence[KeyRow]]:
        names = {one.id: one.name for one in await accounts.people.list(caller)}
        return names, await (accounts.keys.list(caller, user) if user else accounts.keys.all(caller))

    names, found = with_accounts(config, ask)
    if json:
        print_json([_plain(row, names[row.user_id]) for row in found])
    elif found:
        rows = [("id", "user", "name", "scopes", "made", "used", "until")]
        for row in found:
            ends = f"revoked {when(row.revoked)}" if row.revoked is not None else when(row.expires, "for ever")
            rows.append((row.id, names[row.user_id], row.name, " ".join(row.scopes), when(row.created), when(row.used, "never"), ends))
        print_table(rows)
    else:
        print("no keys")


@app.command
def revoke(id: str, /, *, config: Config = None) -> None:
    """Have an API key hold no more, from its next request on.

    Parameters
    ----------
    id
        As `openbell keys list` shows it: the middle part of the key.
    """
    with_accounts(config, lambda accounts, caller: accounts.keys.revoke(caller, id))
    print(f"key {id} is revoked")


def _plain(row: KeyRow, user: str) -> dict[str, object]:
    import msgspec

    return msgspec.structs.asdict(row) | {"user": user}
