"""Who asks, and what they may do. Permissions are words: `read`, `alerts`, `trade`, `admin`."""

from typing import Literal, get_args

import msgspec

from openbell.errors import ForbiddenError, StepUpError

Role = Literal["viewer", "trader", "admin"]
Permission = Literal["read", "alerts", "trade", "admin"]
Via = Literal["local", "session", "key", "ticket"]

ROLES: tuple[Role, ...] = get_args(Role)
PERMISSIONS: tuple[Permission, ...] = get_args(Permission)
#: What each role may do; an API key has some of it.
PERMISSIONS_OF: dict[Role, frozenset[Permission]] = {
    "viewer": frozenset({"read", "alerts"}),
    "trader": frozenset({"read", "alerts", "trade"}),
    "admin": frozenset(PERMISSIONS),
}


class Caller(msgspec.Struct, frozen=True):
    """Somebody who is signed in. Nothing of it is secret."""

    user_id: int  # 0: the house, see LOCAL
    name: str
    role: Role
    scopes: frozenset[Permission]  # what the caller may do: of the role, or what the API key has of it
    via: Via
    fresh: bool = False  # the password or the code was given within the last five minutes
    second_factor: bool = False  # the user has one
    origin: str = ""  # the session or key: `session:<id>`, `key:<id>`; a ticket has that of who asked for it

    def may(self, permission: Permission) -> bool:
        """Whether the caller may do what needs this permission."""
        return permission in self.scopes

    def need(self, permission: Permission) -> None:
        """Raise ForbiddenError when the caller may not."""
        if permission not in self.scopes:
            raise ForbiddenError(
                f"{self.name} may not do this", f"the permission '{permission}'",
                "use a key with this scope" if self.via == "key" and permission in PERMISSIONS_OF[self.role] else "ask an administrator",
            )  # fmt: skip

    def need_fresh(self) -> None:
        """Raise StepUpError when the password or the code was not given lately, ForbiddenError for who cannot give it: an API key."""
        if self.fresh:
            return
        if self.via != "session":
            raise ForbiddenError("this changes who may do what", "a session of a person", "sign in and do it there")
        raise StepUpError(
            "this needs proof that it is still you", "the password, or the code of the second factor", "give it and try again"
        )


#: Everybody, where `server.sign_in` is off; and who uses the command line, which needs the database itself.
LOCAL = Caller(0, "local", "admin", frozenset(PERMISSIONS), "local", fresh=True)
