"""What the routes about accounts take and show, as JSON. Times are ms since 1970 UTC. What holds a secret does not show it as text."""

from typing import Annotated

import msgspec

from openbell.services.accounts.callers import Permission, Role, Via

Text = Annotated[str, msgspec.Meta(max_length=256)]
Given = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
#: Longer ones are refused where they are set; here they only have to be bounded.
Password = Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]
Token = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
#: Six digits, or a recovery code.
Code = Annotated[str, msgspec.Meta(max_length=32)]


class Secret(msgspec.Struct, forbid_unknown_fields=True):
    """Something with a secret in it."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(***)"


class SignIn(Secret):
    """Name and password, and for who has a second factor its code, or a recovery code."""

    name: Given
    password: Password
    code: Code = ""


class SignUp(Secret):
    """A new user."""

    name: Given
    password: Password
    email: Text | None = None
    display_name: Text = ""


class FirstPassword(Secret):
    """A password, set with the one-time token of a new user."""

    token: Token
    password: Password


class PasswordChange(Secret):
    """Another password."""

    old: Password
    new: Password


class CodeGiven(Secret):
    """A code of the second factor."""

    code: Annotated[str, msgspec.Meta(min_length=1, max_length=32)]


class Proof(Secret):
    """That it is still the same person: the code for who has a second factor, the password for others."""

    password: Annotated[str, msgspec.Meta(max_length=1024)] = ""
    code: Code = ""


class FactorView(Secret):
    """A new secret for an authenticator; it is shown once."""

    secret: str
    uri: str


class RecoveryCodes(Secret):
    """Ten codes, each of which stands in for the second factor once; they are shown once."""

    codes: list[str]


class RecoveryLeft(msgspec.Struct):
    """How many recovery codes still hold."""

    left: int


class TicketView(Secret):
    """A ticket for one WebSocket: offer the subprotocols `openbell.v1` and `ticket.<ticket>`."""

    ticket: str
    expires_s: int


class WhoView(msgspec.Struct):
    """Who asks, and what she may do."""

    name: str
    role: Role
    permissions: list[Permission]
    via: Via
    fresh: bool  # the password or the code was given within the last five minutes
    second_factor: bool
    sign_in: bool  # whether users sign in here


class SignedInView(msgspec.Struct):
    """A session of the caller's."""

    id: str
    created: int
    used: int  # about when last
    address: str
    current: bool  # the one that asks


class SignedInViews(msgspec.Struct):
    """Sessions, newest first."""

    sessions: list[SignedInView]


class ProfileView(msgspec.Struct):
    """What may be shown of a user, to her and to administrators."""

    name: str
    role: Role
    email: str | None
    display_name: str
    time_zone: str
    created: int
    signed_in: int | None  # last
    failed: int  # tries to sign in since then
    second_factor: bool
    disabled: int | None  # since when
    waits: bool  # for the user to set a password


class ProfileChange(msgspec.Struct, forbid_unknown_fields=True):
    """A profile, in place of all that was in the old one."""

    email: Text | None = None
    display_name: Text = ""
    time_zone: Given = "UTC"


class Users(msgspec.Struct):
    """Users, by name."""

    users: list[ProfileView]


class NewUser(msgspec.Struct, forbid_unknown_fields=True):
    """A user that an administrator makes."""

    name: Given
    role: Role = "viewer"
    email: Text | None = None


class MadeUser(Secret):
    """A user, and the one-time token with which she sets a password within a day; it is shown once."""

    user: ProfileView
    token: str


class UserChange(msgspec.Struct, forbid_unknown_fields=True):
    """What an administrator changes of a user; what is left out stays."""

    role: Role | None = None
    disabled: bool | None = None


class KeyView(msgspec.Struct):
    """An API key, without its secret."""

    id: str
    name: str
    scopes: list[Permission]
    created: int
    expires: int | None
    used: int | None  # about when last
    revoked: int | None


class Keys(msgspec.Struct):
    """API keys, oldest first, also those that hold no more."""

    keys: list[KeyView]


class NewKey(msgspec.Struct, forbid_unknown_fields=True):
    """A key for a program: its name, what it may do, and how many days it holds (null: until it is revoked)."""

    name: Given
    scopes: Annotated[list[Permission], msgspec.Meta(min_length=1, max_length=4)]
    days: Annotated[int, msgspec.Meta(ge=1, le=366)] | None = 90


class MadeKey(Secret):
    """A key with its secret, which is shown once."""

    id: str
    key: str
