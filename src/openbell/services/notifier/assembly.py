"""The parts of a notifier put together over one database, as the settings have it."""

from collections.abc import Awaitable, Callable, Sequence
from functools import cached_property
from time import monotonic, time_ns
from typing import TYPE_CHECKING

from openbell.adapters.notifiers.base import load_senders
from openbell.adapters.stores.channels import ChannelStore
from openbell.adapters.stores.database import Database
from openbell.adapters.stores.notifications import Outbox
from openbell.adapters.stores.progress import Progress
from openbell.config import Settings
from openbell.services.notifier.channels import Channels
from openbell.services.notifier.deliverer import Deliverer
from openbell.services.notifier.intake import Intake
from openbell.services.notifier.lease import Lease
from openbell.services.notifier.owners import strategy_owners
from openbell.services.notifier.service import NotifierService
from openbell.services.notifier.sources import Source
from openbell.services.notifier.worker import Tools
from openbell.services.stores import sealer_of

if TYPE_CHECKING:
    from openbell.adapters.sealing import Sealer


class Assembly:
    """What whoever feeds a notifier needs of it. The keys that seal addresses are read when there is an address."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self.database = database
        self.outbox = Outbox(database, settings.notify.waiting)
        self.intake = Intake()
        self._settings = settings
        self._service: NotifierService | None = None
        self.channels = Channels(database, lambda: self._sealer, settings.notify.allow_private, self._changed)
        self._store = ChannelStore(database)
        tools = Tools(
            self._store, self.outbox, self.channels.sink, self.channels.reseal, time_ns, monotonic, self._may_send, settings.notify.storm
        )
        self.deliverer = Deliverer(tools)
        self._lease: Lease | None = None

    def service(
        self, reader: str, sources: Callable[[Progress], Awaitable[Sequence[Source]]], always: Sequence[Source] = (), lease: str = ""
    ) -> NotifierService:
        """The service; see there. `lease` names that of the processes that share the database, empty when there is only one."""
        self._lease = Lease(self.database, lease) if lease else None
        self._service = NotifierService(
            self._store, self.outbox, self.deliverer, self.intake, reader, sources, owner=strategy_owners(self._settings, self.database),
            always=always, lease=self._lease, keep_days=self._settings.notify.keep_days, load=load_senders,
        )  # fmt: skip
        return self._service

    @cached_property
    def _sealer(self) -> "Sealer":
        return sealer_of(self._settings)

    def _may_send(self) -> bool:
        return self._lease is None or time_ns() < self._lease.until

    def _changed(self) -> None:
        if self._service is not None:
            self._service.note_change()
