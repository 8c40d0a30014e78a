"""Sessions, tickets and keys against a model: a dictionary of what was handed out, and what has happened to it since."""

import asyncio
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, rule

from openbell.errors import ForbiddenError, NotSignedInError, StepUpError
from openbell.model.time import DAY, HOUR, MINUTE, SECOND
from openbell.services.accounts.callers import LOCAL, PERMISSIONS_OF
from tests.accounts import PASSWORD, START, Clock, add_user, make_accounts

NAMES = ["anna", "bob"]
IDLE, ABSOLUTE, FRESH, TICKET = 30 * MINUTE, 12 * HOUR, 5 * MINUTE, 30 * SECOND


@dataclass
class User:
    """What the model knows of a user."""

    role: str = "trader"
    disabled: bool = False
    password: str = PASSWORD


@dataclass
class Session:
    """What the model knows of a session."""

    name: str
    created: int
    used: int
    proved: int
    ended: bool = False


@dataclass
class Key:
    """What the model knows of a key."""

    name: str
    scopes: frozenset
    expires: int | None
    revoked: bool = False


@dataclass
class Model:
    """Everything."""

    users: dict = field(default_factory=lambda: {name: User() for name in NAMES})
    sessions: dict = field(default_factory=dict)
    keys: dict = field(default_factory=dict)
    tickets: dict = field(default_factory=dict)

    def holds(self, token, now):
        session = self.sessions[token]
        is_late = now - session.used >= IDLE or now - session.created >= ABSOLUTE
        return not (session.ended or self.users[session.name].disabled or is_late)

    def key_holds(self, key, now):
        known = self.keys[key]
        return not (known.revoked or self.users[known.name].disabled or (known.expires is not None and now >= known.expires))

    def end(self, name, but=None):
        for token, session in self.sessions.items():
            if session.name == name and token != but:
                session.ended = True


class Machine(RuleBasedStateMachine):
    """Two gateways over one database, asked in turn; the clock moves only when a rule says so."""

    tokens, keys, tickets = Bundle("tokens"), Bundle("keys"), Bundle("tickets")

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = Clock()
        self.model = Model()
        self.runner = asyncio.Runner()
        self.gateways = [make_accounts(Path(self.folder.name) / "platform.db", self.clock) for _ in range(2)]
        self.turn = 0

    def teardown(self):
        for gateway in self.gateways:
            self.run(gateway.close())
        self.runner.close()
        self.folder.cleanup()

    def run(self, awaitable):
        return self.runner.run(awaitable)

    @property
    def accounts(self):
        self.turn += 1
        return self.gateways[self.turn % 2]

    def address(self):
        """Another one each time: how often it may be tried is a question of its own."""
        return f"10.0.{self.turn // 250}.{self.turn % 250}"

    @initialize()
    def begin(self):
        self.run(add_user(self.accounts, "boss", "admin"))
        for name in NAMES:
            self.run(add_user(self.accounts, name, "trader"))

    @rule(by=st.sampled_from([1, SECOND, TICKET, MINUTE - 1, MINUTE, FRESH, 20 * MINUTE, IDLE - 1, IDLE, 3 * HOUR, ABSOLUTE, 40 * DAY]))
    def wait(self, by):
        self.clock.move(by)

    # Sessions.

    @rule(target=tokens, name=st.sampled_from(NAMES), is_right=st.sampled_from([True, True, True, False]))
    def sign_in(self, name, is_right):
        user, now = self.model.users[name], self.clock()
        expected = is_right and not user.disabled
        try:
            token, caller = self.run(self.accounts.sign_in(name, user.password if is_right else "wrong", address=self.address()))
        except NotSignedInError:
            assert not expected
            token = f"none {self.turn}"
            self.model.sessions[token] = Session(name, now, now, now, ended=True)
            return token
        assert expected
        assert (caller.name, caller.role, caller.fresh, caller.scopes) == (name, user.role, True, PERMISSIONS_OF[user.role])
        assert token not in self.model.sessions
        self.model.sessions[token] = Session(name, now, now, now)
        return token

    def caller(self, token):
        """Who has a session, checked against the model; None when nobody."""
        holds, session, now = self.model.holds(token, self.clock()), self.model.sessions[token], self.clock()
        try:
            caller = self.run(self.accounts.by_session(token))
        except NotSignedInError:
            assert not holds
            return None
        assert holds
        if now - session.used >= MINUTE:
            session.used = now
        role = self.model.users[session.name].role
        expected = (session.name, role, PERMISSIONS_OF[role], "session", now - session.proved < FRESH)
        assert (caller.name, caller.role, caller.scopes, caller.via, caller.fresh) == expected
        return caller

    @rule(token=tokens)
    def use(self, token):
        self.caller(token)

    @rule(token=tokens)
    def watch(self, token):
        """A connection that lasts is renewed; that is no use of the session."""
        if (caller := self.caller(token)) is not None:
            self.clock.move(IDLE - 1)
            holds = self.model.holds(token, self.clock())
            try:
                self.run(self.accounts.renewed(caller))
            except NotSignedInError:
                assert not holds
            else:
                assert holds

    @rule(token=tokens)
    def sign_out(self, token):
        if (caller := self.caller(token)) is not None:
            self.run(self.accounts.sign_out(caller))
            self.model.sessions[token].ended = True

    @rule(token=tokens, is_right=st.booleans())
    def step_up(self, token, is_right):
        if (caller := self.caller(token)) is not None:
            password = self.model.users[caller.name].password if is_right else "wrong"
            try:
                self.run(self.accounts.own.step_up(caller, password=password, address=self.address()))
            except NotSignedInError:
                assert not is_right
            else:
                assert is_right
                self.model.sessions[token].proved = self.clock()

    @rule(token=tokens)
    def change_password(self, token):
        if (caller := self.caller(token)) is not None:
            user, new = self.model.users[caller.name], f"quiet otter nr {self.turn}"
            self.run(self.accounts.own.change_password(caller, user.password, new, self.address()))
            user.password = new
            self.model.end(caller.name, but=token)

    # Administrators.

    @rule(name=st.sampled_from(NAMES), role=st.sampled_from(["viewer", "trader", "admin"]))
    def set_role(self, name, role):
        self.run(self.accounts.people.set_role(LOCAL, name, role))
        self.model.users[name].role = role

    @rule(name=st.sampled_from(NAMES), is_disabled=st.booleans())
    def disable(self, name, is_disabled):
        people = self.accounts.people
        self.run(people.disable(LOCAL, name) if is_disabled else people.enable(LOCAL, name))
        self.model.users[name].disabled = is_disabled
        if is_disabled:
            self.model.end(name)

    @rule(name=st.sampled_from(NAMES))
    def sign_out_everywhere(self, name):
        self.run(self.accounts.people.sign_out(LOCAL, name))
        self.model.end(name)

    # Keys and tickets.

    @rule(target=keys, token=tokens, scope=st.sampled_from(["read", "alerts", "trade", "admin"]), days=st.sampled_from([1, 30, None]))
    def make_key(self, token, scope, days):
        key = f"none {self.turn}"
        self.model.keys[key] = Key("anna", frozenset(), 0, revoked=True)
        caller = self.caller(token)
        if caller is None or sum(self.model.key_holds(one, self.clock()) for one in self.model.keys) >= 20:
            return key
        try:
            made = self.run(self.accounts.keys.create(caller, "bot", frozenset({"read", scope}), days=days))
        except StepUpError:
            assert not caller.fresh
            return key
        except ForbiddenError:
            assert scope not in caller.scopes
            return key
        assert caller.fresh
        expires = None if days is None else self.clock() + days * DAY
        self.model.keys[made.key] = Key(caller.name, frozenset({"read", scope}), expires)
        return made.key

    @rule(key=keys)
    def use_key(self, key):
        known, holds = self.model.keys[key], self.model.key_holds(key, self.clock())
        try:
            caller = self.run(self.accounts.by_key(key))
        except NotSignedInError:
            assert not holds
            return
        role = self.model.users[known.name].role
        assert holds
        assert (caller.name, caller.scopes) == (known.name, known.scopes & PERMISSIONS_OF[role])
        assert (caller.via, caller.fresh) == ("key", False)

    @rule(key=keys)
    def revoke_key(self, key):
        if not key.startswith("none"):
            self.run(self.accounts.keys.revoke(LOCAL, key.split("_")[1]))
            self.model.keys[key].revoked = True

    @rule(target=tickets, token=tokens)
    def ask_for_a_ticket(self, token):
        caller = self.caller(token)
        ticket = self.run(self.accounts.ticket(caller)) if caller is not None else f"none {self.turn}"
        self.model.tickets[ticket] = (token, self.clock() + TICKET if caller is not None else 0)
        return ticket

    @rule(ticket=tickets)
    def use_ticket(self, ticket):
        token, expires = self.model.tickets[ticket]
        self.model.tickets[ticket] = (token, 0)
        holds = self.clock() < expires and self.model.holds(token, self.clock())
        try:
            caller = self.run(self.accounts.by_ticket(ticket))
        except NotSignedInError:
            assert not holds
        else:
            assert holds
            assert (caller.name, caller.via, caller.fresh) == (self.model.sessions[token].name, "ticket", False)


TestSessions = Machine.TestCase
TestSessions.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)


def test_the_model_begins_where_the_clock_does():
    """Both count from the same moment."""
    assert Clock()() == START
