"""Whose a strategy or an account is: what of its decisions is told to whom."""

from collections.abc import Mapping

from openbell.adapters.stores.database import Database
from openbell.adapters.stores.users import UserStore
from openbell.config import Settings
from openbell.services.plans import user_accounts


class StrategyOwners:
    """The id of the user whose strategy it is, 0 for the house. An account for the orders of users is given away once, and stays.

    `strategies` maps strategies to the names of users; `spare` are the accounts. Calls may ask the database, for a thread.
    """

    def __init__(self, users: UserStore, strategies: Mapping[str, str], spare: tuple[str, ...]) -> None:
        self._users = users
        self._strategies = dict(strategies)
        self._spare = frozenset(spare)
        self._known: dict[str, int] = {}

    def __call__(self, strategy: str) -> int:
        """The user's id."""
        if strategy not in self._known:
            if strategy in self._strategies:
                user = self._users.by_name(self._strategies[strategy].casefold())
                self._known |= {strategy: user.id} if user is not None else {}
            elif strategy in self._spare:
                self._known |= self._users.accounts()
        return self._known.get(strategy, 0)


def strategy_owners(settings: Settings, database: Database) -> StrategyOwners:
    """As the settings have it; without signing in everything is the house's."""
    if not settings.server.sign_in:
        return StrategyOwners(UserStore(database), {}, ())
    owned = {strategy.id: strategy.owner for strategy in settings.trading.strategies if strategy.owner}
    return StrategyOwners(UserStore(database), owned, tuple(user_accounts(settings.trading)))
