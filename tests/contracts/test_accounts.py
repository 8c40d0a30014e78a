"""What accounts promise, in SQLite and in PostgreSQL: who is signed in, as what, for how long, and what ends it."""

import asyncio
import contextlib
import logging

import pytest
import structlog

from openbell.adapters.stores.database import open_database
from openbell.errors import (
    CodeNeededError,
    ForbiddenError,
    NotSignedInError,
    StepUpError,
    ThrottledError,
    UnknownNameError,
    UsageError,
)
from openbell.model.time import DAY, MINUTE, SECOND
from openbell.services.accounts.callers import LOCAL, PERMISSIONS, Caller
from tests.accounts import PASSWORD, Clock, add_second_factor, add_user, code, enter, opened
from tests.contracts.stores import ENGINES, place_for, rows

HERE, THERE = "192.0.2.7", "198.51.100.9"


@pytest.fixture(params=ENGINES)
def place(request, tmp_path):
    """Where this test's accounts are."""
    with place_for(request.param, tmp_path) as made:
        yield made


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
async def accounts(place, clock):
    async with opened(place, clock, sign_up_open=True) as made:
        yield made


async def audited(accounts, action=""):
    return [(row.actor, row.action, row.subject, row.outcome) for row in await accounts.people.audit(LOCAL, action=action)]


# The first one.


@pytest.mark.parametrize("name", ["admin", "root", "openbell", "local", "user", "test", ""])
async def test_there_is_no_default_account(accounts, name):
    """Nothing that can be guessed lets anybody in."""
    for password in ("", "admin", "password", "openbell", "changeme", name):
        with pytest.raises((NotSignedInError, ThrottledError)):
            await accounts.sign_in(name, password, address=HERE)


async def test_the_first_administrator(accounts, clock):
    """Has a one-time token in place of a password: it works once, and for a day."""
    made, token = await accounts.people.add(LOCAL, " Anna ", "admin")
    assert (made.name, made.role, made.waits) == ("anna", "admin", True)
    for password in ("", token, PASSWORD):
        with pytest.raises(NotSignedInError):
            await accounts.sign_in("anna", password)
    with pytest.raises(UsageError):
        await accounts.own.first_password(token, "short")
    assert await accounts.own.first_password(token, PASSWORD) == "anna"
    with pytest.raises(NotSignedInError, match="one-time token"):
        await accounts.own.first_password(token, PASSWORD)
    _, caller = await accounts.sign_in("ANNA", PASSWORD, address=HERE)
    assert (caller.user_id, caller.name, caller.role, caller.via, caller.fresh) == (made.id, "anna", "admin", "session", True)
    assert caller.scopes == set(PERMISSIONS)
    _, late = await accounts.people.add(LOCAL, "bob", "viewer")
    clock.move(DAY)
    with pytest.raises(NotSignedInError, match="one-time token"):
        await accounts.own.first_password(late, PASSWORD)


async def test_signing_up(accounts, place, clock):
    """Everybody may where the setting says so, as a viewer; nobody may where it does not."""
    made = await accounts.sign_up("Bob", PASSWORD, email="bob@example.com", display_name="Bob B.", address=HERE)
    assert (made.name, made.role, made.email, made.display_name, made.waits) == ("bob", "viewer", "bob@example.com", "Bob B.", False)
    _, caller = await accounts.sign_in("bob", PASSWORD)
    assert caller.scopes == {"read", "alerts"}
    with pytest.raises(UsageError, match="already"):
        await accounts.sign_up("BOB", PASSWORD)
    async with opened(place, clock) as closed:
        with pytest.raises(ForbiddenError, match="nobody can sign up"):
            await closed.sign_up("carl", PASSWORD)


@pytest.mark.parametrize(
    "name", ["", "ab", "1abc", "a" * 33, "a b c", "a\nb", "ann@", "änna", "anna/", "../anna", "local", "LOCAL", "аnna", "a\x00bc"]
)
async def test_names_that_are_none(accounts, name):
    """Letters that look like others, white space and paths are in no name; the word for everybody is taken."""
    with pytest.raises(UsageError, match="3 to 32"):
        await accounts.sign_up(name, PASSWORD)


# Signing in.


async def test_one_reply_for_all_that_is_wrong(accounts):
    """Whether there is such a user, the password is wrong, she is disabled, or has no password yet."""
    await add_user(accounts, "anna", "admin")
    await add_user(accounts, "bob")
    await accounts.people.disable(LOCAL, "bob")
    await accounts.people.add(LOCAL, "carl", "viewer")
    texts = set()
    for name, password in (
        ("nobody", PASSWORD),
        ("anna", "wrong"),
        ("bob", PASSWORD),
        ("carl", ""),
        ("anna", "x" * 10_000),
        ("a\x00b", "x"),
        ("anna", "\udc80"),
    ):
        with pytest.raises(NotSignedInError) as refused:
            await accounts.sign_in(name, password, address=HERE)
        texts.add((type(refused.value), str(refused.value)))
    assert len(texts) == 1


async def test_a_password_in_the_field_of_the_name_is_written_nowhere(accounts, caplog):
    """What is nobody's name may be a secret."""
    with structlog.testing.capture_logs() as logged, pytest.raises(NotSignedInError):
        await accounts.sign_in(PASSWORD, "", address=HERE)
    [row] = await accounts.people.audit(LOCAL)
    assert (row.actor, row.action, row.outcome, row.address) == ("", "sign-in", "refused", HERE)
    assert PASSWORD not in f"{row} {logged} {caplog.text}"


async def test_every_session_has_a_token_of_its_own(accounts):
    """Each of 256 random bits; one that is signed out says nothing about the others."""
    await add_user(accounts)
    (one, first), (two, second) = await accounts.sign_in("anna", PASSWORD), await accounts.sign_in("anna", PASSWORD)
    assert one != two
    assert len(one) == 43
    assert first.origin != second.origin
    await accounts.sign_out(first)
    assert await accounts.by_session(two) == second
    with pytest.raises(NotSignedInError):
        await accounts.by_session(one)


async def test_the_same_password_in_another_spelling_of_unicode(accounts):
    """A keyboard that types ü as two characters is as good as one that types one; ﬁ is f and i."""
    await add_user(accounts, password="über müde ﬁsche")
    _, caller = await accounts.sign_in("anna", "u\u0308ber mu\u0308de fische")
    assert caller.name == "anna"


async def test_a_hash_of_another_cost_is_made_anew(accounts, place, clock):
    """At the next sign-in, and the session is there all the same."""
    from argon2 import PasswordHasher

    from openbell.services.accounts.passwords import Hasher

    await add_user(accounts)
    async with opened(place, clock, hasher=Hasher(PasswordHasher(2, 16, 1))) as dearer:
        token, _ = await dearer.sign_in("anna", PASSWORD)
        assert (await dearer.by_session(token)).name == "anna"
    [(hash,)] = rows(place, "SELECT password_hash FROM users")
    assert hash.startswith("$argon2id$v=19$m=16,t=2,p=1$")
    _, caller = await accounts.sign_in("anna", PASSWORD)
    assert caller.name == "anna"


async def test_too_many_tries(accounts):
    """Of one name from one address; the user gets in from elsewhere, and is told when to try again here."""
    await add_user(accounts)
    for _ in range(5):
        with pytest.raises(NotSignedInError):
            await accounts.sign_in("anna", "wrong", address=HERE)
    with pytest.raises(ThrottledError) as refused:
        await accounts.sign_in("anna", PASSWORD, address=HERE)
    assert 1 <= refused.value.retry_after_s <= 300
    _, caller = await accounts.sign_in("anna", PASSWORD, address=THERE)
    assert caller.name == "anna"
    assert [row for row in await audited(accounts, "sign-in") if row[3] == "refused"] == [("anna", "sign-in", "", "refused")] * 6


async def test_failures_are_shown_until_the_next_sign_in(accounts):
    """Administrators see how many there were."""
    await add_user(accounts)
    for _ in range(3):
        with pytest.raises(NotSignedInError):
            await accounts.sign_in("anna", "wrong")
    assert [one.failed for one in await accounts.people.list(LOCAL)] == [3]
    await accounts.sign_in("anna", PASSWORD)
    assert [one.failed for one in await accounts.people.list(LOCAL)] == [0]


# Sessions.


async def test_a_session_that_is_not_used_ends(accounts, clock):
    """After 30 minutes without a request; each request begins them anew."""
    token, caller = await enter(accounts)
    for _ in range(3):
        clock.move(30 * MINUTE - 1)
        assert (await accounts.by_session(token)).user_id == caller.user_id
    clock.move(30 * MINUTE)
    with pytest.raises(NotSignedInError):
        await accounts.by_session(token)


async def test_a_session_ends_after_twelve_hours(accounts, clock):
    """However much it is used."""
    token, _ = await enter(accounts)
    for _ in range(12 * 60 // 20 - 1):
        clock.move(20 * MINUTE)
        await accounts.by_session(token)
    clock.move(20 * MINUTE - 1)
    await accounts.by_session(token)
    clock.move(1)
    with pytest.raises(NotSignedInError):
        await accounts.by_session(token)


@pytest.mark.parametrize("token", ["", "x", "x" * 43, "x" * 201, "é\udc80", "a\x00b", "obk_0_0"])
async def test_tokens_that_are_none(accounts, token):
    """Whatever stands in the header."""
    for ask in (accounts.by_session, accounts.by_key, accounts.by_ticket):
        with pytest.raises(NotSignedInError):
            await ask(token)


async def test_one_kind_of_token_is_never_another(accounts):
    """A session's is no ticket and no one-time token, and so on."""
    token, caller = await enter(accounts)
    ticket = await accounts.ticket(caller)
    key = (await accounts.keys.create(caller, "bot", frozenset({"read"}))).key
    for ask, good in ((accounts.by_session, token), (accounts.by_ticket, ticket), (accounts.by_key, key)):
        for other in {token, ticket, key} - {good}:
            with pytest.raises(NotSignedInError):
                await ask(other)
        assert (await ask(good)).name == "anna"
    with pytest.raises(NotSignedInError):
        await accounts.own.first_password(token, PASSWORD)


async def test_what_another_process_revokes_is_revoked_at_once(accounts, place, clock):
    """Signed out, disabled, another role: the next request of a session or a key knows."""
    await add_user(accounts, "boss", "admin")
    token, caller = await enter(accounts)
    key = (await accounts.keys.create(caller, "bot", frozenset({"read", "trade"}))).key
    async with opened(place, clock) as other:
        assert await other.by_session(token) == caller
        await accounts.people.set_role(LOCAL, "anna", "viewer")
        assert (await other.by_session(token)).scopes == {"read", "alerts"}
        assert (await other.by_key(key)).scopes == {"read"}
        await accounts.people.sign_out(LOCAL, "anna")
        with pytest.raises(NotSignedInError):
            await other.by_session(token)
        await accounts.people.disable(LOCAL, "anna")
        with pytest.raises(NotSignedInError):
            await other.by_key(key)
        await accounts.people.enable(LOCAL, "anna")
        assert (await other.by_key(key)).name == "anna"


async def test_a_new_password_ends_all_other_sessions(accounts):
    """The one it was changed in goes on; the old password is worth nothing."""
    here, caller = await enter(accounts)
    there, _ = await accounts.sign_in("anna", PASSWORD, address=THERE)
    with pytest.raises(NotSignedInError):
        await accounts.own.change_password(caller, "wrong", "another quiet otter", HERE)
    with pytest.raises(UsageError):
        await accounts.own.change_password(caller, PASSWORD, "password1234")
    await accounts.own.change_password(caller, PASSWORD, "another quiet otter")
    assert (await accounts.by_session(here)).name == "anna"
    with pytest.raises(NotSignedInError):
        await accounts.by_session(there)
    with pytest.raises(NotSignedInError):
        await accounts.sign_in("anna", PASSWORD)
    await accounts.sign_in("anna", "another quiet otter")


async def test_a_sign_in_that_a_new_password_overtakes(accounts):
    """The old password was right when it was looked at: what it opened has ended, or was never there, when the change is done."""
    here, caller = await enter(accounts)
    for turn in range(5):
        old, new = PASSWORD if turn == 0 else f"quiet otter nr {turn}", f"quiet otter nr {turn + 1}"
        tries = [accounts.sign_in("anna", old, address=f"192.0.2.{turn * 10 + one}") for one in range(3)]
        results = await asyncio.gather(*tries, accounts.own.change_password(caller, old, new), return_exceptions=True)
        assert results[-1] is None
        for result in results[:-1]:
            assert isinstance(result, tuple | NotSignedInError)
            if isinstance(result, tuple):
                with pytest.raises(NotSignedInError):
                    await accounts.by_session(result[0])
    assert (await accounts.by_session(here)).name == "anna"


async def test_sessions_are_shown_and_ended_one_by_one(accounts, clock):
    """One's own only."""
    here, caller = await enter(accounts)
    clock.move(SECOND)
    there, _ = await accounts.sign_in("anna", PASSWORD, address=THERE)
    _, bob = await enter(accounts, "bob")
    [newer, older] = await accounts.own.sessions(caller)
    assert (newer.address, f"session:{older.id}") == (THERE, caller.origin)
    assert not await accounts.own.end_session(bob, newer.id)
    assert await accounts.own.end_session(caller, newer.id)
    assert (await accounts.by_session(here)).name == "anna"
    with pytest.raises(NotSignedInError):
        await accounts.by_session(there)


# Proof that it is still the same person.


async def test_a_session_is_fresh_for_five_minutes(accounts, clock):
    """And again after the password was given once more."""
    token, _ = await enter(accounts)
    clock.move(5 * MINUTE - 1)
    assert (await accounts.by_session(token)).fresh
    clock.move(1)
    stale = await accounts.by_session(token)
    assert not stale.fresh
    with pytest.raises(StepUpError):
        await accounts.keys.create(stale, "bot", frozenset({"read"}))
    with pytest.raises(NotSignedInError):
        await accounts.own.step_up(stale, password="wrong")
    await accounts.own.step_up(stale, password=PASSWORD)
    assert (await accounts.by_session(token)).fresh
    assert ("anna", "step-up", "anna", "refused") in await audited(accounts)


async def test_what_needs_a_fresh_session(accounts, clock):
    """Users, roles, keys, the second factor: a session that was left open on a desk cannot change them."""
    token, _ = await enter(accounts, role="admin")
    clock.move(6 * MINUTE)
    stale = await accounts.by_session(token)
    for attempt in (
        accounts.people.add(stale, "bob", "viewer"),
        accounts.people.set_role(stale, "anna", "viewer"),
        accounts.people.disable(stale, "anna"),
        accounts.people.enable(stale, "anna"),
        accounts.people.reset(stale, "anna"),
        accounts.keys.create(stale, "bot", frozenset({"read"})),
        accounts.second_factor.begin(stale),
        accounts.second_factor.confirm(stale, "123456"),
        accounts.second_factor.remove(stale, "123456"),
    ):
        with pytest.raises(StepUpError):
            await attempt


async def test_guessing_the_password_in_an_open_session(accounts, clock):
    """Counts as trying to sign in."""
    token, _ = await enter(accounts)
    clock.move(6 * MINUTE)
    stale = await accounts.by_session(token)
    for _ in range(5):
        with pytest.raises(NotSignedInError):
            await accounts.own.step_up(stale, password="wrong", address=HERE)
    with pytest.raises(ThrottledError):
        await accounts.own.step_up(stale, password=PASSWORD, address=HERE)
    with pytest.raises(ThrottledError):
        await accounts.own.change_password(stale, PASSWORD, "another quiet otter", HERE)


# The second factor.


async def test_a_second_factor_from_its_secret_to_its_end(accounts, clock, place):
    """It holds once a code has confirmed it; then a password alone is not enough, and a code works once."""
    token, caller = await enter(accounts)
    other, _ = await accounts.sign_in("anna", PASSWORD)
    factor = await accounts.second_factor.begin(caller)
    assert factor.uri == f"otpauth://totp/openbell:anna?secret={factor.secret}&issuer=openbell"
    await accounts.sign_in("anna", PASSWORD)
    with pytest.raises(UsageError, match="code is wrong"):
        await accounts.second_factor.confirm(caller, code(factor.secret, clock(), 7))
    await accounts.second_factor.confirm(caller, code(factor.secret, clock()))
    assert (await accounts.by_session(token)).second_factor
    with pytest.raises(NotSignedInError):
        await accounts.by_session(other)
    [(sealed,)] = rows(place, "SELECT totp FROM users")
    assert factor.secret.encode() not in bytes(sealed)

    with pytest.raises(CodeNeededError):
        await accounts.sign_in("anna", PASSWORD, address="192.0.2.1")
    with pytest.raises(NotSignedInError) as wrong_password:
        await accounts.sign_in("anna", "wrong", address="192.0.2.2")
    assert not isinstance(wrong_password.value, CodeNeededError)
    with pytest.raises(NotSignedInError, match="is wrong"):
        await accounts.sign_in("anna", PASSWORD, code(factor.secret, clock()), "192.0.2.3")  # confirmed it: used
    clock.move(30 * SECOND)
    shown = code(factor.secret, clock())
    again, caller = await accounts.sign_in("anna", PASSWORD, f" {shown[:3]} {shown[3:]} ", "192.0.2.4")
    with pytest.raises(NotSignedInError, match="is wrong"):
        await accounts.sign_in("anna", PASSWORD, shown, "192.0.2.5")

    with pytest.raises(NotSignedInError):
        await accounts.second_factor.remove(caller, shown, "192.0.2.6")
    clock.move(30 * SECOND)
    await accounts.second_factor.remove(caller, code(factor.secret, clock()), "192.0.2.7")
    assert not (await accounts.by_session(again)).second_factor
    await accounts.sign_in("anna", PASSWORD)


async def test_recovery_codes(accounts, clock, place):
    """Ten, shown once and stored as hashes. Each stands in for the second factor once, however it is typed, and not for a password."""
    _, caller = await enter(accounts)
    with pytest.raises(UsageError, match="no second factor"):
        await accounts.second_factor.new_recovery_codes(caller)
    await add_second_factor(accounts, caller, clock)
    codes = await accounts.second_factor.new_recovery_codes(caller, HERE)
    assert len(set(codes)) == 10
    assert {len(one.replace("-", "")) for one in codes} == {16}
    stored = rows(place, "SELECT hash FROM recovery_codes")
    assert not any(one.encode() in bytes(hash) or one.replace("-", "").encode() in bytes(hash) for (hash,) in stored for one in codes)
    with pytest.raises(NotSignedInError):
        await accounts.sign_in("anna", "wrong", codes[0], HERE)
    _, again = await accounts.sign_in("anna", PASSWORD, codes[0].upper().replace("-", " "), HERE)
    with pytest.raises(NotSignedInError):
        await accounts.sign_in("anna", PASSWORD, codes[0], HERE)
    assert await accounts.second_factor.recovery_codes_left(again) == 9
    await accounts.own.step_up(again, code=codes[1], address=HERE)
    assert [row for row in await audited(accounts) if row[1].startswith("second-factor.")] == [
        ("anna", "second-factor.on", "anna", "done"),
        ("anna", "second-factor.codes", "anna", "done"),
        ("anna", "second-factor.recovery", "anna", "done"),
        ("anna", "second-factor.recovery", "anna", "done"),
    ]
    await accounts.second_factor.remove(again, codes[2], HERE)
    assert rows(place, "SELECT count(*) FROM recovery_codes") == [(0,)]


async def test_new_recovery_codes_replace_the_old(accounts, clock):
    """And they are of one user: another's opens nothing. A reset of the second factor takes them away."""
    _, anna = await enter(accounts)
    _, otto = await enter(accounts, "otto")
    for caller in (anna, otto):
        await add_second_factor(accounts, caller, clock)
    old = await accounts.second_factor.new_recovery_codes(anna)
    new = await accounts.people.recovery_codes(LOCAL, "anna")
    others = await accounts.second_factor.new_recovery_codes(otto)
    for wrong in (old[0], others[0]):
        with pytest.raises(NotSignedInError):
            await accounts.sign_in("anna", PASSWORD, wrong, HERE)
    await accounts.sign_in("anna", PASSWORD, new[0], HERE)
    await accounts.people.reset(LOCAL, "anna", second_factor=True)
    assert await accounts.second_factor.recovery_codes_left(anna) == 0
    assert await accounts.second_factor.recovery_codes_left(otto) == 10
    with pytest.raises(ForbiddenError):
        await accounts.people.recovery_codes(anna, "otto")


async def test_a_recovery_code_for_many_at_once(accounts, place, clock):
    """One of them gets in, also with several processes."""
    _, caller = await enter(accounts)
    await add_second_factor(accounts, caller, clock)
    [code_given, *_] = await accounts.second_factor.new_recovery_codes(caller)
    async with opened(place, clock) as others:
        tries = [each.sign_in("anna", PASSWORD, code_given, f"192.0.2.{number}") for number, each in enumerate((accounts, others) * 4)]
        found = await asyncio.gather(*tries, return_exceptions=True)
    assert [type(one) for one in found if isinstance(one, BaseException)] == [NotSignedInError] * 7
    assert sum(isinstance(one, tuple) for one in found) == 1


async def test_guessing_recovery_codes_is_throttled(accounts, clock):
    """As passwords are."""
    _, caller = await enter(accounts)
    await add_second_factor(accounts, caller, clock)
    await accounts.second_factor.new_recovery_codes(caller)
    for number in range(5):
        with contextlib.suppress(NotSignedInError):
            await accounts.sign_in("anna", PASSWORD, f"{number:016}", HERE)
    with pytest.raises(ThrottledError):
        await accounts.sign_in("anna", PASSWORD, f"{5:016}", HERE)


async def test_a_code_of_the_step_before_and_of_the_next(accounts, clock):
    """Clocks differ by half a minute; not by a minute."""
    _, caller = await enter(accounts)
    secret = await add_second_factor(accounts, caller, clock)
    for steps, holds in ((2, False), (-2, False), (-1, True), (0, True), (1, True), (0, False), (1, False)):
        clock.move(90 * SECOND) if steps == -1 else None
        attempt = accounts.sign_in("anna", PASSWORD, code(secret, clock(), steps), f"192.0.2.{steps + 100 + holds * 20}")
        if holds:
            await attempt
        else:
            with pytest.raises(NotSignedInError):
                await attempt


async def test_one_code_for_many_at_once(accounts, place, clock):
    """One of them gets in, whatever gateway each is at."""
    _, caller = await enter(accounts)
    secret = await add_second_factor(accounts, caller, clock)
    clock.move(MINUTE)
    shown = code(secret, clock())
    async with opened(place, clock) as other:
        tries = [gateway.sign_in("anna", PASSWORD, shown, f"192.0.2.{at}") for at, gateway in enumerate([accounts, other] * 4)]
        results = await asyncio.gather(*tries, return_exceptions=True)
    assert [type(one) for one in results].count(tuple) == 1
    assert all(isinstance(one, tuple | NotSignedInError) for one in results)


async def test_step_up_with_a_second_factor(accounts, clock):
    """Needs the code: a password that was seen over a shoulder is not enough."""
    token, caller = await enter(accounts)
    secret = await add_second_factor(accounts, caller, clock)
    clock.move(6 * MINUTE)
    with pytest.raises(NotSignedInError):
        await accounts.own.step_up(caller, password=PASSWORD)
    await accounts.own.step_up(caller, code=code(secret, clock()))
    assert (await accounts.by_session(token)).fresh


async def test_there_is_one_second_factor(accounts, clock):
    """A second one is not begun over the first, and nothing is confirmed that was not begun."""
    _, caller = await enter(accounts)
    with pytest.raises(UsageError, match="was begun"):
        await accounts.second_factor.confirm(caller, "123456")
    await add_second_factor(accounts, caller, clock)
    with pytest.raises(UsageError, match="already"):
        await accounts.second_factor.begin(caller)


async def test_a_secret_is_sealed_again_under_a_new_key(accounts, clock, place):
    """When its code is used; the old key is not needed after that."""
    from openbell.adapters.sealing import Sealer
    from openbell.services.accounts.accounts import Accounts

    _, caller = await enter(accounts)
    secret = await add_second_factor(accounts, caller, clock)
    for keys in ((b"n" * 32, b"k" * 32), (b"n" * 32,)):
        clock.move(MINUTE)
        sealer = Sealer(*keys)
        changed = Accounts(open_database(place), lambda sealer=sealer: sealer, clock=clock)
        await changed.sign_in("anna", PASSWORD, code(secret, clock()))
        await changed.close()


async def test_a_reset_for_who_has_lost_everything(accounts, clock):
    """The password, and the telephone too: a one-time token, and no second factor."""
    token, caller = await enter(accounts)
    await add_second_factor(accounts, caller, clock)
    setup = await accounts.people.reset(LOCAL, "anna", second_factor=True)
    with pytest.raises(NotSignedInError):
        await accounts.by_session(token)
    await accounts.own.first_password(setup, "another quiet otter")
    _, caller = await accounts.sign_in("anna", "another quiet otter")
    assert not caller.second_factor


# API keys.


async def test_an_api_key(accounts, clock, place):
    """Has the scopes it was given, until it expires; only a hash of it is stored."""
    _, caller = await enter(accounts)
    made = await accounts.keys.create(caller, "my bot", frozenset({"trade", "read"}), days=30)
    prefix, id, secret = made.key.split("_")
    assert (prefix, id, len(secret), made.row.scopes) == ("obk", made.row.id, 64, ("read", "trade"))
    found = await accounts.by_key(made.key)
    assert found == Caller(caller.user_id, "anna", "trader", frozenset({"read", "trade"}), "key", False, False, f"key:{id}")
    assert secret not in str(rows(place, "SELECT * FROM api_keys"))
    assert (await accounts.keys.list(caller))[0].used == clock()
    for wrong in (
        made.key[:-1] + ("0" if made.key[-1] != "0" else "1"),
        made.key.upper(),
        f"obk_{id}_",
        f"{made.key}_x",
        id,
        f" {made.key}",
    ):
        with pytest.raises(NotSignedInError):
            await accounts.by_key(wrong)
    clock.move(30 * DAY - 1)
    await accounts.by_key(made.key)
    clock.move(1)
    with pytest.raises(NotSignedInError):
        await accounts.by_key(made.key)


async def test_scopes_are_never_more_than_the_role(accounts):
    """Neither when the key is made nor later, and a key cannot make keys."""
    _, caller = await enter(accounts)
    with pytest.raises(ForbiddenError, match="admin"):
        await accounts.keys.create(caller, "bot", frozenset({"read", "admin"}))
    for scopes in (frozenset(), frozenset({"write"})):
        with pytest.raises(UsageError):
            await accounts.keys.create(caller, "bot", scopes)
    key = await accounts.keys.create(caller, "bot", frozenset({"trade"}))
    by_key = await accounts.by_key(key.key)
    assert by_key.may("trade")
    assert not by_key.may("read")
    with pytest.raises(ForbiddenError, match="permission 'read'"):
        by_key.need("read")
    for attempt in (
        accounts.keys.create(by_key, "more", frozenset({"trade"})),
        accounts.keys.revoke(by_key, key.row.id),
        accounts.own.change_password(by_key, PASSWORD, "another quiet otter"),
        accounts.own.set_profile(by_key, display_name="x"),
        accounts.own.sessions(by_key),
        accounts.own.step_up(by_key, password=PASSWORD),
        accounts.second_factor.begin(by_key),
        accounts.people.list(by_key),
    ):
        with pytest.raises(ForbiddenError):
            await attempt


@pytest.mark.parametrize("days", [0, -1, 367])
async def test_how_long_a_key_may_hold(accounts, clock, days):
    """A year, or for ever when that is said."""
    _, caller = await enter(accounts)
    with pytest.raises(UsageError, match="1 to 366"):
        await accounts.keys.create(caller, "bot", frozenset({"read"}), days=days)
    key = await accounts.keys.create(caller, "bot", frozenset({"read"}), days=None)
    clock.move(5000 * DAY)
    await accounts.by_key(key.key)


async def test_keys_are_their_users(accounts):
    """Others cannot see them, or revoke them; an administrator can."""
    _, anna = await enter(accounts)
    _, bob = await enter(accounts, "bob")
    _, boss = await enter(accounts, "boss", "admin")
    key = await accounts.keys.create(anna, "bot", frozenset({"read"}))
    with pytest.raises(UnknownNameError):
        await accounts.keys.revoke(bob, key.row.id)
    for attempt in (
        accounts.keys.list(bob, "anna"),
        accounts.keys.all(bob),
        accounts.keys.create(bob, "x", frozenset({"read"}), user="anna"),
    ):
        with pytest.raises(ForbiddenError):
            await attempt
    assert await accounts.keys.list(bob) == []
    assert [row.id for row in await accounts.keys.all(boss)] == [key.row.id]
    await accounts.keys.revoke(boss, key.row.id)
    with pytest.raises(NotSignedInError):
        await accounts.by_key(key.key)
    assert ("boss", "key.revoke", key.row.id, "done") in await audited(accounts)


async def test_keys_of_one_user_are_not_too_many(accounts):
    """Those that hold count."""
    _, caller = await enter(accounts)
    made = [await accounts.keys.create(caller, f"bot {number}", frozenset({"read"})) for number in range(20)]
    with pytest.raises(UsageError, match="20 keys"):
        await accounts.keys.create(caller, "bot", frozenset({"read"}))
    await accounts.keys.revoke(caller, made[0].row.id)
    await accounts.keys.create(caller, "bot", frozenset({"read"}))


# Tickets.


async def test_a_ticket_opens_one_web_socket(accounts, place, clock):
    """Within 30 seconds, at any gateway, as whoever asked for it."""
    _, caller = await enter(accounts)
    key = await accounts.by_key((await accounts.keys.create(caller, "bot", frozenset({"read"}))).key)
    async with opened(place, clock) as other:
        for who in (caller, key, LOCAL):
            ticket = await accounts.ticket(who)
            clock.move(30 * SECOND - 1)
            found = await other.by_ticket(ticket)
            if who is not LOCAL:
                assert (found.user_id, found.scopes, found.via, found.fresh) == (who.user_id, who.scopes, "ticket", False)
                assert found.origin == who.origin
            for gateway in (accounts, other):
                with pytest.raises(NotSignedInError):
                    await gateway.by_ticket(ticket)
        late = await accounts.ticket(caller)
        clock.move(30 * SECOND)
        with pytest.raises(NotSignedInError):
            await other.by_ticket(late)


async def test_a_ticket_ends_with_its_session(accounts):
    """Signed out before it was used: nobody gets in with it."""
    _, caller = await enter(accounts)
    ticket = await accounts.ticket(caller)
    await accounts.sign_out(caller)
    with pytest.raises(NotSignedInError):
        await accounts.by_ticket(ticket)


async def test_a_connection_that_lasts(accounts, clock):
    """Is looked at now and then: it has today's role, does not keep the session alive, and ends with it."""
    await add_user(accounts, "boss", "admin")
    token, caller = await enter(accounts)
    watching = await accounts.by_ticket(await accounts.ticket(caller))
    assert await accounts.renewed(watching) == watching
    await accounts.people.set_role(LOCAL, "anna", "viewer")
    assert (await accounts.renewed(watching)).scopes == {"read", "alerts"}
    clock.move(29 * MINUTE)
    await accounts.renewed(watching)
    clock.move(MINUTE)
    with pytest.raises(NotSignedInError):
        await accounts.renewed(watching)
    with pytest.raises(NotSignedInError):
        await accounts.by_session(token)
    assert await accounts.renewed(LOCAL) is LOCAL


async def test_ids_that_are_none(accounts):
    """Whatever stands in the path of a request, nothing is found."""
    _, caller = await enter(accounts, role="admin")
    for id in ("", "x", "a\x00b", "\udc80", "' OR 1=1", "0" * 16, "x" * 1000):
        assert not await accounts.own.end_session(caller, id)
        with pytest.raises(UnknownNameError):
            await accounts.keys.revoke(caller, id)
        with pytest.raises(UnknownNameError):
            await accounts.people.disable(caller, id)
        assert await accounts.people.audit(caller, user=id, action=id or "-") == []


# Profiles and people.


async def test_a_profile(accounts):
    """Is the user's own to change, as a whole."""
    _, caller = await enter(accounts)
    made = await accounts.own.set_profile(caller, email=" anna@example.com ", display_name=" Anna A. ", time_zone="Europe/Berlin")
    assert (made.email, made.display_name, made.time_zone) == ("anna@example.com", "Anna A.", "Europe/Berlin")
    assert await accounts.own.profile(caller) == made
    assert (await accounts.own.set_profile(caller)).email is None
    assert (await accounts.own.profile(LOCAL)).name == "local"


@pytest.mark.parametrize(
    "wrong",
    [
        {"email": "anna"}, {"email": "a@b\r\nBcc: x@y"}, {"email": "@b"}, {"email": "a@" + "b" * 191}, {"email": "a b@c"},
        {"display_name": "x" * 65}, {"display_name": "a\nb"}, {"display_name": "a\u202eb"},
        {"time_zone": "Mars/Base"}, {"time_zone": "../../etc/passwd"}, {"time_zone": ""}, {"time_zone": "a\x00b"},
    ],
)  # fmt: skip
async def test_profiles_that_make_no_sense(accounts, wrong):
    """Are refused, and nothing of them is stored."""
    _, caller = await enter(accounts)
    with pytest.raises(UsageError):
        await accounts.own.set_profile(caller, **wrong)
    assert (await accounts.own.profile(caller)).display_name == ""


async def test_only_administrators_see_and_change_users(accounts):
    """Whoever else tries is refused, whatever it is."""
    _, anna = await enter(accounts)
    people = accounts.people
    for attempt in (
        people.list(anna), people.add(anna, "bob", "admin"), people.set_role(anna, "anna", "admin"), people.disable(anna, "anna"),
        people.enable(anna, "anna"), people.reset(anna, "anna"), people.sessions(anna, "anna"), people.sign_out(anna, "anna"),
        people.audit(anna), people.verify(anna),
    ):  # fmt: skip
        with pytest.raises(ForbiddenError, match="permission 'admin'"):
            await attempt


async def test_the_local_caller_has_no_account(accounts):
    """And so no password, no second factor, no sessions and no keys."""
    for attempt in (
        accounts.own.sessions(LOCAL), accounts.own.change_password(LOCAL, "", PASSWORD), accounts.second_factor.begin(LOCAL),
        accounts.keys.create(LOCAL, "bot", frozenset({"read"})), accounts.own.set_profile(LOCAL),
    ):  # fmt: skip
        with pytest.raises(ForbiddenError, match="needs an account"):
            await attempt
    await accounts.sign_out(LOCAL)


async def test_what_is_in_the_audit_log(accounts, clock):
    """Everything that changes who may do what, in order, and the chain is whole."""
    await add_user(accounts, "boss", "admin")
    _, anna = await enter(accounts)
    key = await accounts.keys.create(anna, "bot", frozenset({"read"}), address=HERE)
    await add_second_factor(accounts, anna, clock)
    await accounts.keys.revoke(anna, key.row.id)
    await accounts.note_refusal(anna, "POST /admin", HERE)
    await accounts.note_refusal(None, "POST /admin", HERE)  # within a minute: not written again
    await accounts.note_refusal(None, "POST /orders", THERE)
    await accounts.sign_out(anna)
    await accounts.people.set_role(LOCAL, "anna", "viewer")
    await accounts.people.disable(LOCAL, "anna")
    assert [row[:3] for row in (await audited(accounts))[2:]] == [
        ("local", "user.add", "anna"), ("anna", "password.first", "anna"), ("anna", "sign-in", "anna"), ("anna", "key.add", key.row.id),
        ("anna", "second-factor.on", "anna"), ("anna", "key.revoke", key.row.id), ("anna", "refusal", ""), ("", "refusal", ""),
        ("anna", "sign-out", "anna"), ("local", "user.role", "anna"), ("local", "user.disable", "anna"),
    ]  # fmt: skip
    verdict = await accounts.people.verify(LOCAL)
    assert (verdict.rows, verdict.problem) == (13, "")


async def test_no_secret_is_in_a_log_a_row_or_a_text(accounts, clock, place, caplog):
    """Passwords, tokens, keys, secrets of second factors: in no line of the log, no repr, and no column but as a hash or sealed."""
    caplog.set_level(logging.DEBUG)
    with structlog.testing.capture_logs() as logged:
        token, caller = await enter(accounts, role="admin")
        made, setup = await accounts.people.add(caller, "bob", "viewer")
        factor = await accounts.second_factor.begin(caller)
        await accounts.second_factor.confirm(caller, code(factor.secret, clock()))
        key = await accounts.keys.create(caller, "bot", frozenset({"read"}))
        ticket = await accounts.ticket(caller)
        with pytest.raises(NotSignedInError) as refused:
            await accounts.sign_in("bob", PASSWORD)
    secrets = [PASSWORD, token, setup, factor.secret, key.key, key.key.split("_")[2], ticket]
    stored = [rows(place, f"SELECT * FROM {table}") for table in ("users", "sessions", "tickets", "api_keys", "audit", "progress")]
    seen = f"{logged} {caplog.text} {stored} {[caller, made, factor, key, key.row, refused.value]} {refused.value} {vars(accounts)}"
    assert [secret for secret in secrets if secret in seen] == []
    assert len(logged) >= 6


# Trading accounts.


async def test_trading_accounts(accounts, place, clock):
    """One each, and hers for good, also when two gateways ask at once."""
    anna, bob, carl = [await add_user(accounts, name) for name in ("anna", "bob", "carl")]
    names = ["user-1", "user-2"]
    async with opened(place, clock) as other:
        given = await asyncio.gather(*(gateway.user_account(user, names) for user in (anna, bob) for gateway in (accounts, other)))
    assert given[:2] == [given[0]] * 2
    assert given[2:] == [given[2]] * 2
    assert set(given) == set(names)
    with pytest.raises(ForbiddenError, match="user_accounts"):
        await accounts.user_account(carl, names)
    assert await accounts.user_id(" Anna ") == anna
    with pytest.raises(UnknownNameError):
        await accounts.user_id("dora")
