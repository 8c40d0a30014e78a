"""`openbell users` and `openbell keys`: what they write, what they print, what they refuse, and that they tell a secret once."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys

import pyotp
import pytest

from openbell.adapters.stores.database import open_database
from openbell.cli import run
from openbell.config import load_settings
from openbell.errors import NotSignedInError
from openbell.services.accounts.opening import open_accounts
from tests.accounts import PASSWORD


@pytest.fixture
def call(tmp_path, capsys, monkeypatch):
    """Run a command over a database of its own; returns its exit code and what it printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SQLITE_PATH", str(tmp_path / "platform.db"))
    monkeypatch.setenv("OPENBELL_DATABASE__ENGINE", "sqlite")
    monkeypatch.setenv("OPENBELL_BUS__CONTROL", "inprocess")

    def called(*arguments):
        code = run(arguments)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return called


def ask(work):
    """Do something with the accounts of the folder, as a gateway would."""

    async def asked():
        accounts = open_accounts(load_settings())
        try:
            return await work(accounts)
        finally:
            await accounts.close()

    return asyncio.run(asked())


def token_of(out):
    """The secret that stands in a line of its own."""
    [line] = [line.strip() for line in out.splitlines() if line.startswith("    ")]
    return line


def test_from_nothing_to_an_administrator_who_signs_in(call):
    """There is nobody at first; the token that is printed sets the password, once."""
    assert call("users", "list")[:2] == (0, "no users; add the first: openbell users add NAME --role admin\n")
    code, out, err = call("users", "add", "Anna", "--role", "admin")
    assert (code, err) == (0, "")
    assert out.startswith("user anna (admin) is added. This one-time token sets the password within 24 hours, and is shown once:\n")
    token = token_of(out)
    assert len(token) == 43
    assert call("users", "list")[1].splitlines() == [
        "name  role   second factor  last signed in  failed since  state",
        "anna  admin  no             never                      0  has no password yet",
    ]
    assert ask(lambda accounts: accounts.own.first_password(token, PASSWORD)) == "anna"
    _, caller = ask(lambda accounts: accounts.sign_in("anna", PASSWORD, address="192.0.2.7"))
    assert caller.role == "admin"
    with pytest.raises(NotSignedInError):
        ask(lambda accounts: accounts.own.first_password(token, PASSWORD))
    assert "has no password" not in call("users", "list")[1]
    assert "192.0.2.7" in call("users", "sessions", "anna")[1]
    assert call("users", "sign-out", "anna")[1] == "1 session of anna ended\n"
    assert call("users", "sessions", "anna")[1] == "user anna is signed in nowhere\n"


def test_recovery_codes(call):
    """For a user who has a second factor; the second ones replace the first."""
    token = token_of(call("users", "add", "anna", "--role", "admin")[1])
    ask(lambda accounts: accounts.own.first_password(token, PASSWORD))
    assert call("users", "recovery-codes", "anna")[0] == 2

    async def protect(accounts):
        _, caller = await accounts.sign_in("anna", PASSWORD)
        factor = await accounts.second_factor.begin(caller)
        await accounts.second_factor.confirm(caller, pyotp.TOTP(factor.secret).now())

    ask(protect)
    first = json.loads(call("users", "recovery-codes", "anna", "--json")[1])["codes"]
    out = call("users", "recovery-codes", "anna")[1]
    second = [line.strip() for line in out.splitlines() if line.startswith("    ")]
    assert len(set(first + second)) == 20
    assert ask(lambda accounts: accounts.sign_in("anna", PASSWORD, second[0]))[1].name == "anna"
    with pytest.raises(NotSignedInError):
        ask(lambda accounts: accounts.sign_in("anna", PASSWORD, first[0]))


def test_json_for_programs(call):
    """Every list, and what is made."""
    made = json.loads(call("users", "add", "bob", "--role", "trader", "--email", "b@example.com", "--json")[1])
    assert (made["name"], made["hours"], len(made["token"])) == ("bob", 24, 43)
    [user] = json.loads(call("users", "list", "--json")[1])
    assert (user["name"], user["role"], user["email"], user["waits"]) == ("bob", "trader", "b@example.com", True)
    assert not {"password_hash", "totp", "setup_hash"} & set(user)
    key = json.loads(call("keys", "add", "bob", "my bot", "--scopes", "read,trade", "--days", "0", "--json")[1])
    assert (key["scopes"], key["expires"], key["user"]) == (["read", "trade"], None, "bob")
    [listed] = json.loads(call("keys", "list", "--json")[1])
    assert listed == {name: value for name, value in key.items() if name != "key"}
    assert json.loads(call("users", "sessions", "bob", "--json")[1]) == []
    rows = json.loads(call("users", "audit", "--json")[1])
    assert [(row["number"], row["action"]) for row in rows] == [(1, "user.add"), (2, "key.add")]
    assert json.loads(call("users", "audit", "--verify", "--json")[1]) == {"rows": 2, "hash": rows[-1]["hash"], "problem": ""}


def test_roles_and_ends(call):
    """The last administrator stays; who is disabled has no key that holds; enabled again it does."""
    call("users", "add", "anna", "--role", "admin")
    call("users", "add", "bob")
    assert call("users", "role", "anna", "viewer") == (
        11, "", "openbell: this is the last administrator; expected another one. Make another user an administrator first.\n",
    )  # fmt: skip
    assert call("users", "disable", "anna")[0] == 11
    assert call("users", "role", "bob", "admin")[1] == "user bob is admin now\n"
    assert call("users", "disable", "anna")[1] == "user anna is disabled\n"
    assert "disabled" in call("users", "list")[1]
    assert call("users", "enable", "anna")[1] == "user anna is enabled\n"
    assert "disabled" not in call("users", "list")[1]
    out = call("users", "reset", "anna", "--second-factor")[1]
    assert ask(lambda accounts: accounts.own.first_password(token_of(out), PASSWORD)) == "anna"


def test_keys(call):
    """Shown once; revoked from then on."""
    call("users", "add", "bob", "--role", "trader")
    assert call("keys", "list")[1] == "no keys\n"
    code, out, _ = call("keys", "add", "bob", "my bot", "--scopes", "read, trade")
    key = token_of(out)
    assert code == 0
    assert ask(lambda accounts: accounts.by_key(key)).scopes == {"read", "trade"}
    listed = call("keys", "list", "--user", "bob")[1]
    assert key.split("_")[1] in listed
    assert key.split("_")[2] not in listed
    assert call("keys", "revoke", key.split("_")[1])[1] == f"key {key.split('_')[1]} is revoked\n"
    assert "revoked" in call("keys", "list")[1]
    with pytest.raises(NotSignedInError):
        ask(lambda accounts: accounts.by_key(key))


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["users", "add", "b"], 2, "3 to 32 letters"),
        (["users", "add", "anna\nbob"], 2, "'anna\\nbob'"),
        (["users", "add", "bob", "--role", "king"], 2, "viewer"),
        (["users", "add", "bob", "--email", "no"], 2, "name@example.com"),
        (["users", "disable", "nobody"], 2, "there is no user 'nobody'"),
        (["users", "role", "anna", "king"], 2, "king"),
        (["keys", "add", "nobody", "x"], 2, "there is no user 'nobody'"),
        (["keys", "add", "anna", "x", "--scopes", "trade"], 11, "anna may not do all of this: trade"),
        (["keys", "add", "anna", "x", "--scopes", "fly"], 2, "some of read, alerts, trade, admin"),
        (["keys", "add", "anna", "x", "--days", "1000"], 2, "1 to 366"),
        (["keys", "revoke", "x"], 2, "there is no key 'x'"),
    ],
)
def test_what_makes_no_sense(call, arguments, code, words):
    """One line on stderr, the exit code of its kind, and nothing printed."""
    call("users", "add", "anna")
    found, out, err = call(*arguments)
    assert (found, out) == (code, "")
    assert words in err
    assert err.count("\n") == 1
    assert "Traceback" not in err


def test_the_audit_log(call, tmp_path):
    """Rows for people; a check of all of them that fails when somebody has changed one."""
    assert call("users", "audit")[1] == "the audit log has no such rows\n"
    for name in ("anna", "bob", "carl"):
        call("users", "add", name)
    lines = call("users", "audit", "--most", "2")[1].splitlines()
    assert [line.split()[0] for line in lines] == ["row", "2", "3"]
    assert "carl" in lines[-1]
    assert len(call("users", "audit", "--user", "bob")[1].splitlines()) == 2
    assert call("users", "audit", "--verify")[1].startswith("3 rows, all as they were written; the hash of the last is ")
    with contextlib.closing(open_database(tmp_path / "platform.db")) as database:
        database.run(lambda sql: sql.execute("DROP TRIGGER audit_no_update"))
        database.run(lambda sql: sql.execute("UPDATE audit SET actor = 'nobody' WHERE number = 2"))
    code, out, err = call("users", "audit", "--verify")
    assert (code, out) == (6, "")
    assert "damaged after row 1: row 2 is not what was written" in err
    assert json.loads(call("users", "audit", "--verify", "--json")[1])["rows"] == 1


def test_a_password_is_asked_for_and_not_shown(call, tmp_path):
    """On the terminal or from a pipe: never among the arguments, where every user of the machine reads it."""
    token = token_of(call("users", "add", "anna")[1])
    given = f"{token}\n{PASSWORD}\n{PASSWORD}\n"
    done = subprocess.run(
        [sys.executable, "-m", "openbell", "users", "activate"], input=given, capture_output=True, text=True, cwd=tmp_path, timeout=60,
        check=False, env=os.environ | {"PYTHONWARNINGS": "ignore"}, start_new_session=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "user anna can sign in now" in done.stdout
    assert PASSWORD not in done.stdout + done.stderr
    assert ask(lambda accounts: accounts.sign_in("anna", PASSWORD))[1].name == "anna"


def test_files_are_for_their_user_only(call, tmp_path):
    """The database with its hashes; the key of the secrets is made when there is a secret."""
    call("users", "add", "anna")
    assert (tmp_path / "platform.db").stat().st_mode & 0o777 == 0o600
    assert not (tmp_path / "data").exists()


def test_a_new_key_for_secrets(call, tmp_path, monkeypatch):
    """In front of the older ones, in a file that nobody else reads; keys of the settings are changed where they are."""
    outputs = [call("users", "rotate-key")[1] for _ in range(2)]
    file = tmp_path / "data" / "secrets.key"
    keys = file.read_text().split()
    assert (file.stat().st_mode & 0o777, len(keys)) == (0o600, 2)
    assert not [key for key in keys if key in "".join(outputs)]
    monkeypatch.setenv("OPENBELL_SECRETS__KEY", keys[0])
    code, _, err = call("users", "rotate-key")
    assert code == 2
    assert keys[0] not in err


def test_no_dump_of_the_memory(tmp_path):
    """Of a process in which passwords and keys are."""
    program = (
        "import resource; from openbell.config import load_settings; from openbell.services.accounts.opening import open_accounts\n"
        "open_accounts(load_settings()); print(resource.getrlimit(resource.RLIMIT_CORE)[0])"
    )
    environment = os.environ | {"SQLITE_PATH": "platform.db", "OPENBELL_DATABASE__ENGINE": "sqlite"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, env=environment, check=False)
    assert done.stdout == "0\n", done.stderr


def test_a_server_that_is_not_there(call, monkeypatch):
    """One line, and the exit code of storage."""
    monkeypatch.setenv("OPENBELL_DATABASE__ENGINE", "postgresql")
    monkeypatch.setenv("DB_HOST", "127.0.0.1")
    monkeypatch.setenv("DB_PORT", "1")
    code, out, err = call("users", "list")
    assert (code, out) == (6, "")
    assert err.count("\n") == 1
