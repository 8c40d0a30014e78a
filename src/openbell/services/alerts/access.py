"""What the gateway and the gRPC services ask of alerts, in words and over the database of this process.

An owner is the id of a user (0: the house); None stands for all of them, which is what administrators see. Whoever asks here has found out
before who the caller is, and what she may do.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from msgspec.structs import replace

from openbell.adapters.stores.alert_rows import AlertEvent, AlertRow, Status
from openbell.adapters.stores.alert_rules import NewAlert, Spec, split_condition
from openbell.adapters.stores.alerts import EVENTS, AlertStore
from openbell.errors import UnknownNameError, UsageError

#: Alerts of one owner that are not over.
QUOTA = 10_000
#: Alerts, or firings, in one answer.
PAGE_MAX = 200
#: How often (seconds) it is looked whether an alert came, while somebody wants to hear of it.
LOOK_EVERY_S = 0.1


class Came(NamedTuple):
    """Alerts that came, after others that were told of before, and the `seq` up to which all have been told of."""

    events: Sequence[AlertEvent]
    latest: int


class Alerts(Protocol):
    """The alerts of a platform. Errors are UsageError, UnknownNameError, StorageError, and BusError when their service does not answer."""

    async def create(self, owner: int, wanted: NewAlert, request: str = "") -> AlertRow:
        """A new alert; with the same `request` of the same owner it is made once, and a UsageError when that one was another."""

    async def update(self, owner: int | None, id: int, changes: Mapping[str, Any]) -> AlertRow:
        """Change fields of `NewAlert`, or the status to `paused` or `active`."""

    async def delete(self, owner: int | None, id: int) -> bool:
        """Have an alert watched no more, and listed no more; False when there is none of this id."""

    async def find(
        self, owner: int | None, symbol: str = "", status: Status | None = None, after: int = 0, limit: int = PAGE_MAX
    ) -> list[AlertRow]:
        """Alerts with an id above `after`, oldest first, at most `limit` and PAGE_MAX; without a status all but those removed."""

    async def events(
        self, owner: int | None, since: int = 0, alert: int | None = None, symbol: str = "", limit: int = PAGE_MAX
    ) -> list[AlertEvent]:
        """The times that alerts came with a `seq` above `since`, in order, at most `limit` and PAGE_MAX."""

    def triggers(self, owner: int | None, after: int | None = None) -> AsyncGenerator[Came, None]:
        """The same without an end, as they come: with a `seq` above `after`, by default from now on. Nothing is missing or doubled."""


class StoredAlerts:
    """See `Alerts`: those of a store, asked in threads; or of one that is opened when it is needed."""

    def __init__(self, store: AlertStore | Callable[[], AlertStore], quota: int | None = QUOTA) -> None:
        self._open = store if callable(store) else lambda: store
        self._quota = quota
        self._looking: asyncio.Task[int] | None = None

    @property
    def _store(self) -> AlertStore:
        return self._open()

    async def create(self, owner: int, wanted: NewAlert, request: str = "") -> AlertRow:
        """See `Alerts`."""
        return (await asyncio.to_thread(self._store.create, owner, wanted, quota=self._quota, request=request))[0]

    async def update(self, owner: int | None, id: int, changes: Mapping[str, Any]) -> AlertRow:
        """See `Alerts`."""
        return await asyncio.to_thread(self._store.update, owner, id, **changes)

    async def delete(self, owner: int | None, id: int) -> bool:
        """See `Alerts`."""
        return await asyncio.to_thread(self._store.delete, owner, id)

    async def find(
        self, owner: int | None, symbol: str = "", status: Status | None = None, after: int = 0, limit: int = PAGE_MAX
    ) -> list[AlertRow]:
        """See `Alerts`."""
        return await asyncio.to_thread(self._store.find, owner, symbol, status, after, min(limit, PAGE_MAX))

    async def events(
        self, owner: int | None, since: int = 0, alert: int | None = None, symbol: str = "", limit: int = PAGE_MAX
    ) -> list[AlertEvent]:
        """See `Alerts`."""
        return await asyncio.to_thread(self._store.events, owner, since, alert, symbol, min(limit, PAGE_MAX))

    async def triggers(self, owner: int | None, after: int | None = None) -> AsyncGenerator[Came, None]:
        """See `Alerts`."""
        latest = await self._latest()
        seen = latest if after is None else after
        yield Came((), seen)
        while True:
            while found := await self.events(owner, seen):
                seen = found[-1].seq
                yield Came(found, seen)
            known = latest
            while latest == known:
                latest = await self._later()

    async def _latest(self) -> int:
        """The number of the latest firing. A smaller one is never stored after it."""
        return (await asyncio.to_thread(self._store.progress, EVENTS, 0)).position

    async def _later(self) -> int:
        """The same a moment later; however many wait, the database is asked once."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
            self._looking.add_done_callback(_note)
        return await asyncio.shield(self._looking)

    async def _look(self) -> int:
        await asyncio.sleep(LOOK_EVERY_S)
        return await self._latest()


def _note(looked: asyncio.Task[int]) -> None:
    """What went wrong is told to those who wait, if anybody still does."""
    if not looked.cancelled():
        looked.exception()


def confined(wanted: NewAlert, visible: frozenset[str] | None) -> NewAlert:
    """A new alert as its owner may have it: of her own accounts, where it is on accounts. `visible` None: all are hers to see.

    UnknownNameError for an account that is not hers, UsageError when she has none.
    """
    kind, _ = split_condition(wanted.condition)
    if visible is None or kind not in ("position", "drawdown"):
        return wanted
    named = wanted.spec.accounts if wanted.spec is not None else ()
    for name in named:
        if name not in visible:
            raise UnknownNameError.of("strategy", name, visible)
    if not visible:
        raise UsageError(f"an alert on the {kind} of no account", "an account of yours", "place an order first: that opens one")
    return replace(wanted, spec=Spec(accounts=named or tuple(sorted(visible))))
