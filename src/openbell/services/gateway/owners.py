"""Whose is what: strategies that the settings give to a user, and the account for the orders of each user. Administrators see everything.

An account is given to a user with her first order, and stays hers. So what is known of this can only be too little: who has no account yet
is looked up anew, at most once a second.
"""

from collections.abc import Mapping, Sequence
from time import monotonic
from typing import TYPE_CHECKING

from openbell.config import Settings
from openbell.errors import ForbiddenError, UnknownNameError
from openbell.services.accounts.callers import LOCAL, Caller
from openbell.services.names import MANUAL
from openbell.services.plans import user_accounts
from openbell.services.portfolio.service import Accounts as Visible

if TYPE_CHECKING:
    from openbell.services.accounts.accounts import Accounts

#: How long (seconds) it holds that a user has no account.
KNOWN_S = 1.0


class Owners:
    """`strategies` maps strategies to names of users, `spare` are the accounts for their orders; without `accounts` nothing is owned."""

    def __init__(self, strategies: Mapping[str, str] | None = None, spare: Sequence[str] = (), accounts: "Accounts | None" = None) -> None:
        self._accounts = accounts
        self._spare = tuple(spare)
        self._names: dict[str, set[str]] = {}
        for strategy, name in (strategies or {}).items():
            self._names.setdefault(name.casefold(), set()).add(strategy)
        self._account_of: dict[int, str] = {}
        self._looked_at = -KNOWN_S

    async def visible(self, caller: Caller) -> Visible:
        """The accounts that a caller may see and steer; None for all of them."""
        if caller.may("admin"):
            return None
        await self._look_up(caller.user_id)
        return self.seen(caller)

    def seen(self, caller: Caller) -> Visible:
        """As `visible`, by what is known."""
        return None if caller.may("admin") else self._of(caller.user_id, caller.name)

    async def chosen(self, caller: Caller, owner: str) -> Visible:
        """The accounts of the user `owner`, or with "" all that the caller may see. UnknownNameError when they are not hers to see."""
        name = owner.strip().casefold()
        if not name:
            return await self.visible(caller)
        if name == caller.name:
            return await self._of_user(caller.user_id, name)
        if self._accounts is None or not caller.may("admin"):
            raise UnknownNameError(f"there is no user '{owner}'", do="leave out the owner to see your own")
        return await self._of_user(await self._accounts.user_id(name), name)

    async def for_orders(self, caller: Caller) -> str:
        """The account that takes the orders of a caller; hers from now on. ForbiddenError when all belong to somebody."""
        if self._accounts is None or not caller.user_id:
            return MANUAL
        if caller.user_id not in self._account_of:
            account = await self._accounts.user_account(caller.user_id, self._spare)
            if account not in self._spare:
                raise ForbiddenError(f"the account {account} is traded no more", "one of this platform", "raise trading.user_accounts")
            self._account_of[caller.user_id] = account
        return self._account_of[caller.user_id]

    async def refresh(self) -> None:
        """Look up who has which account."""
        if self._accounts is not None:
            self._looked_at = monotonic()
            found = await self._accounts.user_accounts()
            self._account_of = {id: account for account, id in found.items() if account in self._spare}

    async def _look_up(self, user_id: int) -> None:
        if user_id not in self._account_of and monotonic() - self._looked_at >= KNOWN_S:
            await self.refresh()

    async def _of_user(self, user_id: int, name: str) -> Visible:
        if name == LOCAL.name:
            return None
        await self._look_up(user_id)
        return self._of(user_id, name)

    def _of(self, user_id: int, name: str) -> frozenset[str]:
        account = self._account_of.get(user_id)
        return frozenset(self._names.get(name, ())) | ({account} if account else set())


def owners_of(settings: Settings) -> dict[str, str]:
    """The owner of each strategy that has one, where users sign in."""
    return {strategy.id: strategy.owner for strategy in settings.trading.strategies if strategy.owner and settings.server.sign_in}


def own_accounts(settings: Settings) -> list[str]:
    """The accounts that may be users'."""
    return [*user_accounts(settings.trading), *owners_of(settings)] if settings.server.sign_in else []
