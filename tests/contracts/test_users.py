"""The rows of accounts, held to their contract in SQLite and in PostgreSQL."""

import contextlib
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from openbell.adapters.stores.audit import AuditStore, Entry, TakenBack, audited
from openbell.adapters.stores.database import open_database
from openbell.adapters.stores.sessions import KeyRow, KeyStore, SessionRow, SessionStore
from openbell.adapters.stores.users import NewUser, UserStore
from openbell.errors import ForbiddenError, StorageError, UsageError
from tests.contracts.stores import ENGINES, change, place_for, rows

OLDEST = (0, 0)


@pytest.fixture(params=ENGINES)
def place(request, tmp_path):
    """Where this test's rows are."""
    with place_for(request.param, tmp_path) as made:
        yield made


@pytest.fixture
def database(place):
    with contextlib.closing(open_database(place)) as opened:
        yield opened


@pytest.fixture
def users(database):
    return UserStore(database)


@pytest.fixture
def sessions(database):
    return SessionStore(database)


@pytest.fixture
def keys(database):
    return KeyStore(database)


@pytest.fixture
def audit(database):
    return AuditStore(database)


def entry(action="test", ts=1, **more):
    return Entry(ts, "anna", action, **more)


def add(users, name="anna", role="admin", **more):
    return users.create(NewUser(name, role, 1, **{"password_hash": "h", **more}), entry())


def session(user, id="s1", at=10):
    return SessionRow(id, user.id, at, at, at, "192.0.2.7")


def sign_in(sessions, user, id="s1", at=10):
    assert sessions.create(session(user, id, at), id.encode(), user.password_hash, entry("sign-in"), OLDEST)


def key(user, id="k1", **more):
    return KeyRow(id, user.id, "bot", ("read", "trade"), 5, **{"expires": 100, "used": None, "revoked": None, **more})


# Users.


def test_a_user_from_the_first_row_to_a_profile(users):
    """What was not said stands as it is in the tables; names are found as they are written."""
    made = add(users, email="a@example.com")
    assert (made.name, made.email, made.role, made.password_hash, made.created) == ("anna", "a@example.com", "admin", "h", 1)
    assert (made.display_name, made.time_zone, made.disabled, made.totp, made.signed_in, made.failed) == ("", "UTC", None, None, None, 0)
    assert users.by_name("anna") == users.by_id(made.id) == made
    assert users.by_name("Anna") is None
    users.set_profile(made.id, None, "Anna", "Europe/Berlin", entry())
    found = users.by_id(made.id)
    assert (found.email, found.display_name, found.time_zone) == (None, "Anna", "Europe/Berlin")
    assert [one.name for one in (add(users, "bob", "viewer"), *users.all())] == ["bob", "anna", "bob"]


def test_a_name_is_given_once(users, audit):
    """Also to many who want it at once; those who do not get it leave no row in the log."""
    with ThreadPoolExecutor(4) as threads:
        made = [threads.submit(users.create, NewUser("anna", "viewer", number), entry(ts=number)) for number in range(6)]
    refused = [one.exception() for one in made if one.exception() is not None]
    assert [type(one) for one in refused] == [UsageError] * 5
    assert len(users.all()) == len(audit.latest(10)) == 1


def test_two_users_may_name_the_same_address(users):
    """Nobody has checked whose it is, so it tells nothing about who has an account."""
    assert add(users, email="a@example.com").email == add(users, "bob", email="a@example.com").email


def test_no_secret_is_in_the_text_of_a_row(users):
    """Neither the hash of the password nor the secret of the second factor."""
    made = add(users, password_hash="$argon2id$hash")
    assert "argon2id" not in f"{made} {NewUser('a', 'viewer', 1, 'argon2id')}"


def test_a_new_password_ends_the_other_sessions(users, sessions):
    """One may be kept: the one in which it was changed."""
    anna, bob = add(users), add(users, "bob")
    for user, id in ((anna, "s1"), (anna, "s2"), (bob, "s3")):
        sign_in(sessions, user, id)
    users.set_password(anna.id, "h2", entry(), keep="s2")
    assert users.by_id(anna.id).password_hash == "h2"
    assert [one.id for one in (*sessions.of(anna.id), *sessions.of(bob.id))] == ["s2", "s3"]


def test_a_rehash_does_not_undo_a_change(users):
    """It takes the place of the hash that it is a rehash of, and of no other."""
    anna = add(users)
    users.rehash(anna.id, "h", "h cheaper")
    users.rehash(anna.id, "h", "late")
    assert users.by_id(anna.id).password_hash == "h cheaper"


def test_a_one_time_token_sets_one_password(users):
    """Before it expires, and once, also when many use it at the same time."""
    anna = users.create(NewUser("anna", "admin", 1), entry(), (b"token", 50))
    assert users.by_setup(b"token", 49) == anna
    assert users.by_setup(b"token", 50) is users.by_setup(b"other", 1) is None
    with ThreadPoolExecutor(4) as threads:
        done = list(threads.map(lambda number: users.use_setup(anna.id, b"token", f"h{number}", entry()), range(6)))
    assert sorted(done) == [False] * 5 + [True]
    assert users.by_id(anna.id).password_hash == f"h{done.index(True)}"
    assert users.by_setup(b"token", 1) is None


def test_a_reset_takes_password_and_sessions_away(users, sessions):
    """And the second factor, when that is lost too."""
    anna = add(users)
    users.set_totp(anna.id, b"sealed", 7, entry())
    for with_second_factor, left in ((False, b"sealed"), (True, None)):
        sign_in(sessions, users.by_id(anna.id), f"s{with_second_factor}")
        users.set_up(anna.id, b"token", 50, entry(), with_second_factor)
        found = users.by_id(anna.id)
        assert (found.password_hash, found.totp, sessions.of(anna.id)) == ("", left, [])
    assert users.by_setup(b"token", 49).name == "anna"


def test_a_code_is_used_once(users):
    """Of many that use the same one, one; none older than the latest."""
    anna = add(users)
    users.propose_totp(anna.id, b"sealed")
    assert users.by_id(anna.id).totp is None
    users.set_totp(anna.id, b"sealed", 100, entry())
    found = users.by_id(anna.id)
    assert (found.totp, found.totp_new, found.totp_step) == (b"sealed", None, 100)
    with ThreadPoolExecutor(4) as threads:
        used = list(threads.map(lambda _: users.use_code(anna.id, 101), range(6)))
    assert sorted(used) == [False] * 5 + [True]
    assert not users.use_code(anna.id, 100)
    assert users.use_code(anna.id, 103)
    users.reseal_totp(anna.id, b"sealed", b"again")
    users.reseal_totp(anna.id, b"sealed", b"late")
    assert users.by_id(anna.id).totp == b"again"


def test_failures_are_counted_until_the_next_sign_in(users, sessions):
    """An id that is none counts nothing, and is written down all the same."""
    anna = add(users)
    for _ in range(3):
        users.failed(anna.id, entry("sign-in", outcome="refused"))
    users.failed(0, entry("sign-in", outcome="refused"))
    assert users.by_id(anna.id).failed == 3
    sign_in(sessions, anna, at=77)
    found = users.by_id(anna.id)
    assert (found.failed, found.signed_in) == (0, 77)


def test_the_last_administrator_stays(users, audit):
    """Whether she is disabled or given another role; nothing is written of what was refused."""
    anna, bob = add(users), add(users, "bob", "trader")
    for attempt in (lambda: users.set_role(anna.id, "trader", entry()), lambda: users.disable(anna.id, 5, entry())):
        with pytest.raises(ForbiddenError):
            attempt()
    assert (users.by_id(anna.id).role, users.by_id(anna.id).disabled) == ("admin", None)
    assert len(audit.latest(10)) == 2
    users.set_role(bob.id, "admin", entry())
    users.disable(anna.id, 5, entry())
    assert users.by_id(anna.id).disabled == 5
    users.disable(anna.id, None, entry())
    assert users.by_id(anna.id).disabled is None


def test_two_administrators_who_disable_each_other_at_once(users):
    """One of them is left."""
    for round in range(5):
        pair = [add(users, f"admin{round}{one}") for one in "ab"]
        for user in users.all():
            if user not in pair and user.disabled is None:
                users.disable(user.id, 1, entry())
        with ThreadPoolExecutor(2) as threads:
            done = [threads.submit(users.disable, user.id, 1, entry()) for user in pair]
        assert sorted(one.exception() is None for one in done) == [False, True]


def test_without_an_administrator_users_can_be_changed(users):
    """The rule keeps one; it does not ask for one."""
    bob = add(users, "bob", "trader")
    users.set_role(bob.id, "viewer", entry())
    users.disable(bob.id, 5, entry())
    assert users.by_id(bob.id).disabled == 5


class Doubtful:
    """A database whose connection breaks at the commit: nobody knows whether it was done, so the work is done again."""

    def __init__(self, database):
        self.select = database.select
        self._database = database

    def run(self, work):
        self._database.run(work)
        return self._database.run(lambda sql: work(Again(sql)))


class Again:
    """Statements of the second time."""

    repeated = True

    def __init__(self, sql):
        self.execute, self.many, self.select = sql.execute, sql.many, sql.select


def test_what_is_done_again_is_there_once(database, audit):
    """After a commit that nobody knows of: one user, one row of the log for each change, and the chain is whole."""
    users, sessions, keys = UserStore(Doubtful(database)), SessionStore(Doubtful(database)), KeyStore(Doubtful(database))
    anna = users.create(NewUser("anna", "admin", 1), entry("add"), (b"token", 50))
    assert users.use_setup(anna.id, b"token", "h", entry("first"))
    assert sessions.create(session(anna), b"s1", "h", entry("in"), OLDEST)
    keys.create(key(anna), b"k", entry("key"))
    users.failed(anna.id, entry("failed"))
    users.set_role(anna.id, "admin", entry("role"))
    keys.revoke("k1", 9, entry("revoke"))
    assert users.account(anna.id, ["user-1", "user-2"], 1) == "user-1"
    sessions.add_ticket(b"t", "session:s1", 50, 20)
    assert [row.action for row in audit.latest(20)] == ["add", "first", "in", "key", "failed", "role", "revoke"]
    assert (audit.verify().rows, audit.verify().problem) == (7, "")
    assert (len(users.all()), len(sessions.of(anna.id)), len(keys.find())) == (1, 1, 1)
    assert sessions.take_ticket(b"t") is None  # whoever got it the first time has it; in doubt nobody


# Trading accounts.


def test_trading_accounts_are_given_in_order_and_kept(users):
    """The first that is free; hers stays hers, whatever names come later; none when all are taken."""
    anna, bob, carl = add(users), add(users, "bob"), add(users, "carl")
    assert users.account(bob.id, ["user-1", "user-2"], 1) == "user-1"
    assert users.account(anna.id, ["user-1", "user-2"], 1) == "user-2"
    assert users.account(bob.id, ["user-7"], 1) == "user-1"
    assert users.account(carl.id, ["user-1", "user-2"], 1) is None
    assert users.account(carl.id, [], 1) is None
    assert users.accounts() == {"user-1": bob.id, "user-2": anna.id}


def test_trading_accounts_for_many_at_once(users, place):
    """Two gateways: nobody has two, and no account two owners."""
    made = [add(users, f"user{number}", "trader") for number in range(8)]
    names = [f"user-{number}" for number in range(1, 7)]
    with contextlib.closing(open_database(place)) as other, ThreadPoolExecutor(8) as threads:
        stores = [users, UserStore(other)]
        asked = [threads.submit(stores[turn].account, user.id, names, 1) for user in made for turn in (0, 1)]
    got = [one.result() for one in asked]
    assert got[::2] == got[1::2]
    assert sorted(name for name in got[::2] if name) == names


# Sessions and tickets.


def test_a_session_with_its_user(users, sessions):
    """The look-up brings the user's row as it is at this moment."""
    anna, _ = add(users), add(users, "bob")
    sign_in(sessions, anna)
    row, holder = sessions.by_hash(b"s1")
    assert row == session(anna)
    assert (holder.user_id, holder.name, holder.role, holder.disabled, holder.second_factor) == (anna.id, "anna", "admin", False, False)
    assert sessions.by_id("s1") == (row, holder)
    assert sessions.by_hash(b"s2") is sessions.by_id("s2") is None
    users.set_role(anna.id, "admin", entry())
    users.set_totp(anna.id, b"sealed", 1, entry(), keep="s1")
    assert sessions.by_hash(b"s1")[1].second_factor


def test_a_disabled_user_has_no_session(users, sessions):
    """They are gone, and none can be made; with a password that was changed meanwhile neither."""
    anna, _ = add(users), add(users, "bob")
    sign_in(sessions, anna)
    users.disable(anna.id, 20, entry())
    assert sessions.by_hash(b"s1") is None
    assert not sessions.create(session(anna, "s2"), b"s2", "h", entry(), OLDEST)
    users.disable(anna.id, None, entry())
    assert not sessions.create(session(anna, "s2"), b"s2", "h before", entry(), OLDEST)
    assert sessions.create(session(anna, "s2"), b"s2", "h", entry(), OLDEST)


def test_use_and_proof_of_a_session(users, sessions):
    """The time of use never goes back."""
    anna = add(users)
    sign_in(sessions, anna)
    sessions.touch("s1", 50)
    sessions.touch("s1", 40)
    sessions.prove("s1", 45, entry())
    row, _ = sessions.by_hash(b"s1")
    assert (row.created, row.used, row.proved) == (10, 50, 45)


def test_sessions_end(users, sessions):
    """One of a user, or all; none of another user."""
    anna, bob = add(users), add(users, "bob")
    for user, id, at in ((anna, "s1", 10), (anna, "s2", 11), (anna, "s3", 12), (bob, "s4", 13)):
        sign_in(sessions, user, id, at)
    assert [one.id for one in sessions.of(anna.id)] == ["s3", "s2", "s1"]
    assert sessions.end(anna.id, entry(), "s4") == 0
    assert sessions.end(anna.id, entry(), "s2") == 1
    assert sessions.end(anna.id, entry()) == 2
    assert [one.id for one in sessions.of(bob.id)] == ["s4"]


def test_old_sessions_are_removed_by_the_next_sign_in(users, sessions):
    """Those made too long ago, and those not used for too long."""
    anna = add(users)
    for id, at in (("old", 10), ("idle", 20), ("new", 30)):
        sign_in(sessions, anna, id, at)
    sessions.touch("old", 40)
    assert sessions.create(session(anna, "s", 50), b"s", "h", entry(), (15, 25))
    assert [one.id for one in sessions.of(anna.id)] == ["s", "new"]


def test_a_ticket_is_taken_once(sessions, place):
    """By one of many, in several processes; what has expired goes when the next is made."""
    sessions.add_ticket(b"t", "session:s1", 50, 20)
    with contextlib.closing(open_database(place)) as other, ThreadPoolExecutor(4) as threads:
        stores = [sessions, SessionStore(other)]
        taken = list(threads.map(lambda turn: stores[turn % 2].take_ticket(b"t"), range(8)))
    assert sorted(taken, key=bool) == [None] * 7 + [("session:s1", 50)]
    assert sessions.take_ticket(b"none") is None
    sessions.add_ticket(b"late", "session:s1", 50, 20)
    sessions.add_ticket(b"new", "session:s1", 90, 50)
    assert rows(place, "SELECT hash FROM tickets") == [(b"new",)]


# API keys.


def test_a_key_with_its_user(users, keys):
    """With the hash of its secret; use and revocation are noted."""
    anna = add(users)
    keys.create(key(anna), b"secret", entry())
    found, hash, holder = keys.by_id("k1")
    assert (found, hash, holder.name, holder.role) == (key(anna), b"secret", "anna", "admin")
    assert keys.by_id("k2") is None
    keys.touch("k1", 30)
    keys.touch("k1", 20)
    keys.revoke("k1", 40, entry())
    keys.revoke("k1", 60, entry())
    assert keys.by_id("k1")[0] == key(anna, used=30, revoked=40)


def test_keys_of_a_user_and_of_all(users, keys):
    """Oldest first, those that hold no more too."""
    anna, bob = add(users), add(users, "bob")
    for user, id in ((anna, "k2"), (bob, "k3"), (anna, "k1")):
        keys.create(key(user, id), b"secret", entry())
    keys.revoke("k1", 40, entry())
    assert [one.id for one in keys.find(anna.id)] == ["k1", "k2"]
    assert [one.id for one in keys.find()] == ["k1", "k2", "k3"]


# The audit log.


def test_rows_of_the_log(audit):
    """Numbered from 1, in order; of a user also what was done to her."""
    assert audit.verify() == msgspec.structs.replace(audit.verify(), rows=0, hash=b"", problem="")
    for number, (action, subject) in enumerate((("sign-in", ""), ("user.role", "bob"), ("sign-in", "carl")), 1):
        audit.write(entry(action, number, subject=subject, address="192.0.2.7", detail="d"))
    found = audit.latest(10)
    assert [(row.number, row.ts, row.actor, row.action, row.subject, row.outcome) for row in found] == [
        (1, 1, "anna", "sign-in", "", "done"), (2, 2, "anna", "user.role", "bob", "done"), (3, 3, "anna", "sign-in", "carl", "done"),
    ]  # fmt: skip
    assert (found[0].address, found[0].detail, len(found[0].hash)) == ("192.0.2.7", "d", 32)
    assert [row.number for row in audit.latest(2)] == [2, 3]
    assert [row.number for row in audit.latest(10, actor="bob")] == [2]
    assert [row.number for row in audit.latest(10, actor="anna", action="sign-in")] == [1, 3]
    verdict = audit.verify()
    assert (verdict.rows, verdict.hash, verdict.problem) == (3, found[-1].hash, "")


def test_control_characters_are_encoded(audit):
    """Nobody writes a second line into the log by the name he signs in with, and nothing is too long."""
    evil = "bob\r\n2026-01-01 root signed in\x1b[2J\u202e\x00\udc80\\"
    audit.write(Entry(1, evil, "sign-in", "x" * 1000, address="a\tb"))
    [row] = audit.latest(1)
    assert row.actor == "bob\\r\\n2026-01-01 root signed in\\x1b[2J\\u202e\\x00\\udc80\\\\"
    assert (len(row.subject), row.address) == (200, "a\\tb")
    assert all(text.isprintable() for text in (row.actor, row.subject, row.address))
    assert audit.verify().problem == ""


def test_what_is_taken_back_is_in_no_log(audit, database):
    """The row is there with what it tells of, or neither is."""
    audit.write(entry("one"))

    def fail(_):
        raise TakenBack

    with pytest.raises(TakenBack):
        audited(database, entry("two"), fail)
    audit.write(entry("three"))
    assert [(row.number, row.action) for row in audit.latest(5)] == [(1, "one"), (2, "three")]
    assert audit.verify().problem == ""


def test_many_write_at_once(audit, place):
    """From several processes: the chain is one, and whole, also for who verifies meanwhile."""
    with contextlib.closing(open_database(place)) as other, ThreadPoolExecutor(4) as threads:
        stores = [audit, AuditStore(other)]
        written = [threads.submit(stores[number % 2].write, entry("x", number)) for number in range(100)]
        verdicts = [audit.verify() for _ in range(10)]
        for one in written:
            one.result()
    assert {verdict.problem for verdict in verdicts} == {""}
    assert (audit.verify().rows, audit.verify().problem) == (100, "")


def test_nobody_changes_a_row(audit, place):
    """The database itself refuses."""
    audit.write(entry())
    for statement in ("UPDATE audit SET actor = 'bob'", "DELETE FROM audit"):
        with pytest.raises(StorageError, match="stay as they are"):
            change(place, statement)
    assert audit.latest(5)[0].actor == "anna"


TAMPERED = {
    "a field is changed": ("UPDATE audit SET actor = 'bob' WHERE number = 3", 2),
    "the time is changed": ("UPDATE audit SET ts = 99 WHERE number = 3", 2),
    "the outcome is changed": ("UPDATE audit SET outcome = 'refused' WHERE number = 5", 4),
    "text moves to the next field": ("UPDATE audit SET subject = 'ab', address = '' WHERE number = 3", 2),
    "a hash is changed": ("UPDATE audit SET hash = (SELECT hash FROM audit WHERE number = 1) WHERE number = 2", 1),
    "the first row is taken out": ("DELETE FROM audit WHERE number = 1", 0),
    "a row is taken out": ("DELETE FROM audit WHERE number = 3", 2),
    "the last row is taken out": ("DELETE FROM audit WHERE number = 5", 4),
    "all rows are taken out": ("DELETE FROM audit", 0),
    "the last row is copied": (
        "INSERT INTO audit SELECT 6, ts, actor, action, subject, outcome, address, detail, hash FROM audit WHERE number = 5", 5,
    ),
    "two rows change places": (
        "UPDATE audit SET (ts, hash) = (SELECT ts, hash FROM audit AS o WHERE o.number = 7 - audit.number) WHERE number IN (3, 4)", 2,
    ),
    "the rows move up": ("UPDATE audit SET number = number + 1 WHERE number = 5", 4),
    "the count is changed": ("UPDATE progress SET position = 4 WHERE reader = 'audit'", 5),
    "the count is gone": ("DELETE FROM progress WHERE reader = 'audit'", 5),
}  # fmt: skip


@pytest.mark.parametrize("how", TAMPERED)
def test_tampering_is_found(audit, place, how):
    """By whoever can write into the database, around its refusal: verify says after which row."""
    for number in range(1, 6):
        audit.write(entry("x", number, subject="a", address="b"))
    statement, good = TAMPERED[how]
    _disarm(place)
    change(place, statement)
    verdict = audit.verify()
    assert verdict.problem
    assert verdict.rows == good


def _disarm(place):
    """Take the refusals of the database away."""
    if hasattr(place, "host"):
        change(place, "DROP TRIGGER audit_stays ON audit")
    else:
        for word in ("update", "delete"):
            change(place, f"DROP TRIGGER audit_no_{word}")
