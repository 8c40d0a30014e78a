"""`openbell users`: who may sign in, as what, and what they did. It needs the database itself, and asks nobody's permission."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from openbell.cli.accounts import AsJson, Config, with_accounts
from openbell.cli.output import print_json, print_table, when
from openbell.errors import JournalError

app = App(name="users", help="Say who may sign in, and as what: add, list and disable users, and read the audit log.")

Role = Literal["viewer", "trader", "admin"]


@app.command
def add(name: str, /, *, role: Role = "viewer", email: str | None = None, config: Config = None, json: AsJson = False) -> None:
    """Add a user, and print the one-time token with which she sets her password within 24 hours.

    Parameters
    ----------
    name
        3 to 32 letters, digits, and . _ -; small and large letters are the same.
    role
        viewer (looks, has alerts), trader (places orders too), admin (does everything).
    email
        For messages.
    """
    user, token = with_accounts(config, lambda accounts, caller: accounts.people.add(caller, name, role, email=email))
    _print_token(user.name, token, f"user {user.name} ({user.role}) is added", json)


@app.command(name="list")
def list_users(*, config: Config = None, json: AsJson = False) -> None:
    """Show the users."""
    found = with_accounts(config, lambda accounts, caller: accounts.people.list(caller))
    if json:
        print_json(found)
    elif found:
        rows = [("name", "role", "second factor", "last signed in", "failed since", "state")]
        for user in found:
            state = "disabled" if user.disabled is not None else "has no password yet" if user.waits else ""
            factor = "yes" if user.second_factor else "no"
            rows.append((user.name, user.role, factor, when(user.signed_in, "never"), str(user.failed), state))
        print_table(rows, right=(4,))
    else:
        print("no users; add the first: openbell users add NAME --role admin")


@app.command
def disable(name: str, /, *, config: Config = None) -> None:
    """Sign a user out everywhere, and let neither her nor her API keys in any more."""
    with_accounts(config, lambda accounts, caller: accounts.people.disable(caller, name))
    print(f"user {name} is disabled")


@app.command
def enable(name: str, /, *, config: Config = None) -> None:
    """Let a user who was disabled in again."""
    with_accounts(config, lambda accounts, caller: accounts.people.enable(caller, name))
    print(f"user {name} is enabled")


@app.command
def role(name: str, role: Role, /, *, config: Config = None) -> None:
    """Give a user another role, from her next request on."""
    with_accounts(config, lambda accounts, caller: accounts.people.set_role(caller, name, role))
    print(f"user {name} is {role} now")


@app.command
def reset(
    name: str,
    /,
    *,
    second_factor: Annotated[bool, Parameter(negative="", help="It is lost too: take it away.")] = False,
    config: Config = None,
    json: AsJson = False,
) -> None:
    """Take a user's password away, sign her out everywhere, and print a one-time token for a new one."""
    token = with_accounts(config, lambda accounts, caller: accounts.people.reset(caller, name, second_factor=second_factor))
    _print_token(name, token, f"user {name} has no password any more", json)


@app.command
def recovery_codes(name: str, /, *, config: Config = None, json: AsJson = False) -> None:
    """Print ten recovery codes for a user who may lose her second factor, in place of all older ones. Each works once."""
    codes = with_accounts(config, lambda accounts, caller: accounts.people.recovery_codes(caller, name))
    if json:
        print_json({"name": name, "codes": codes})
    else:
        print(f"recovery codes of {name}; each stands in for the second factor once, and they are shown once:\n")
        print("\n".join(f"    {code}" for code in codes))


@app.command
def activate(*, config: Config = None) -> None:
    """Set a password with a one-time token. Both are asked for, so that neither is in the list of processes or in a file of commands."""
    from getpass import getpass

    from openbell.errors import UsageError

    token = getpass("one-time token: ").strip()
    password = getpass("new password: ")
    if getpass("the same again: ") != password:
        raise UsageError("the two passwords differ", "the same twice", "try again")
    name = with_accounts(config, lambda accounts, _: accounts.own.first_password(token, password))
    print(f"user {name} can sign in now")


@app.command
def sessions(name: str, /, *, config: Config = None, json: AsJson = False) -> None:
    """Show where a user is signed in, the newest first."""
    found = with_accounts(config, lambda accounts, caller: accounts.people.sessions(caller, name))
    if json:
        print_json(found)
    elif found:
        print_table([("id", "signed in", "used", "from"), *((row.id, when(row.created), when(row.used), row.address) for row in found)])
    else:
        print(f"user {name} is signed in nowhere")


@app.command
def sign_out(name: str, /, *, config: Config = None) -> None:
    """End every session of a user; her API keys hold on."""
    count = with_accounts(config, lambda accounts, caller: accounts.people.sign_out(caller, name))
    print(f"{count} {'session' if count == 1 else 'sessions'} of {name} ended")


@app.command
def rotate_key(*, config: Config = None) -> None:
    """Put a new key in front of those in secrets.key: it seals secrets from now on, and the older ones still open what they sealed."""
    from openbell.adapters.sealing import add_key
    from openbell.config import load_settings
    from openbell.errors import UsageError
    from openbell.services.stores import key_file

    settings = load_settings(config)
    if settings.secrets.key:
        raise UsageError(
            "the keys are in the setting secrets.key (OPENBELL_SECRETS__KEY), and in no file", "a file",
            "put a new key in front of it there, with a comma: openssl rand -base64 32",
        )  # fmt: skip
    file = key_file(settings)
    id = add_key(file)
    print(f"{file}: secrets are sealed with the key {id} from now on, by what is started from now on; keep the older keys in the file")


@app.command
def audit(
    *,
    most: Annotated[int, Parameter(help="How many rows, the latest.")] = 50,
    user: Annotated[str, Parameter(help="Only what this user did, or had done to her.")] = "",
    action: Annotated[str, Parameter(help="Only this, such as sign-in.")] = "",
    verify: Annotated[bool, Parameter(negative="", help="Check that no row was changed, taken out or put in.")] = False,
    config: Config = None,
    json: AsJson = False,
) -> None:
    """Show the latest rows of the audit log, the newest last; or check all of them, which ends with an error when one was tampered with."""
    if verify:
        verdict = with_accounts(config, lambda accounts, caller: accounts.people.verify(caller))
        if json:
            print_json({"rows": verdict.rows, "hash": verdict.hash.hex(), "problem": verdict.problem})
        elif not verdict.problem:
            print(f"{verdict.rows} rows, all as they were written; the hash of the last is {verdict.hash.hex()}")
        if verdict.problem:
            found = f"the audit log is damaged after row {verdict.rows}: {verdict.problem}"
            raise JournalError(found, "rows as they were written", "compare with the log of the program, and find out who did it")
        return
    rows = with_accounts(config, lambda accounts, caller: accounts.people.audit(caller, most, user, action))
    if json:
        print_json([_plain(row) for row in rows])
    elif rows:
        shown = [
            (str(row.number), when(row.ts), row.actor or "-", row.action, row.outcome, row.subject, row.address, row.detail) for row in rows
        ]
        print_table([("row", "time", "who", "what", "outcome", "of", "from", "detail"), *shown], right=(0,))
    else:
        print("the audit log has no such rows")


def _plain(row: Any) -> dict[str, Any]:
    import msgspec

    return msgspec.structs.asdict(row) | {"hash": row.hash.hex()}


def _print_token(name: str, token: str, what: str, json: bool) -> None:
    """The one place where a one-time token is shown."""
    if json:
        print_json({"name": name, "token": token, "hours": 24})
    else:
        print(f"{what}. This one-time token sets the password within 24 hours, and is shown once:\n\n    {token}\n")
        print("It is for the page of the platform where users sign in, or for: openbell users activate")
