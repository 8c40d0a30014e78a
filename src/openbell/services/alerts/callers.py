"""The alerts of a platform for callers: everybody makes, sees and changes her own, and administrators those of everybody.

An alert on accounts is confined to those that its owner may see, when it is made and when it is changed.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

from openbell.adapters.stores.alert_rows import AlertRow
from openbell.adapters.stores.alert_rules import NewAlert
from openbell.errors import UnknownNameError
from openbell.services.accounts.callers import LOCAL, Caller
from openbell.services.alerts.access import Alerts, confined

if TYPE_CHECKING:
    from openbell.services.accounts.accounts import Accounts

#: The accounts that a caller may see; None for all.
Visible = Callable[[Caller], Awaitable[frozenset[str] | None]]


class CallerAlerts:
    """`symbols` are those that can be watched. Without `accounts` nobody signs in."""

    def __init__(self, alerts: Alerts, symbols: Collection[str], visible: Visible, accounts: "Accounts | None" = None) -> None:
        self.alerts = alerts
        self._symbols = symbols
        self._visible = visible
        self._accounts = accounts

    async def create(self, caller: Caller, wanted: NewAlert, request: str = "") -> AlertRow:
        """A new alert of the caller's; the same request is the same alert. UnknownNameError for a symbol or account that is not there."""
        self._check_symbol(wanted)
        return await self.alerts.create(caller.user_id, confined(wanted, await self._visible(caller)), request)

    async def change(self, caller: Caller, id: int, changes: Mapping[str, Any]) -> AlertRow:
        """Change an alert. UnknownNameError for one that is not the caller's to see."""
        owner, rule = all_of(caller), {name: value for name, value in changes.items() if name != "status"}
        known = await self.alerts.find(owner, after=id - 1, limit=1) if rule else []
        if known and known[0].id == id:
            new = NewAlert(**{**known[0].rule(), **rule})
            if "symbol" in rule:
                self._check_symbol(new)
            if (allowed := confined(new, await self._visible(caller))) != new:
                changes = {**changes, "spec": allowed.spec}
        return await self.alerts.update(owner, id, changes)

    async def delete(self, caller: Caller, id: int) -> None:
        """Remove an alert. UnknownNameError for one that is not the caller's to see."""
        if not await self.alerts.delete(all_of(caller), id):
            raise UnknownNameError(f"there is no alert {id}", do="list the alerts to see their ids")

    async def owner(self, caller: Caller, name: str) -> int | None:
        """Whose alerts are wanted: by default all that the caller may see. UnknownNameError for a user who is not hers to name."""
        name = name.strip().casefold()
        if not name:
            return all_of(caller)
        if name == caller.name:
            return caller.user_id
        if not caller.may("admin") or (self._accounts is None and name != LOCAL.name):
            raise UnknownNameError(f"there is no user '{name[:40]}'", do="leave out the owner to see your own")
        return LOCAL.user_id if name == LOCAL.name or self._accounts is None else await self._accounts.user_id(name)

    def _check_symbol(self, wanted: NewAlert) -> None:
        if wanted.symbol and wanted.symbol not in self._symbols:
            raise UnknownNameError.of("symbol", wanted.symbol, self._symbols)


def all_of(caller: Caller) -> int | None:
    """Whose alerts a caller may see and change; None for those of everybody."""
    return None if caller.may("admin") else caller.user_id
