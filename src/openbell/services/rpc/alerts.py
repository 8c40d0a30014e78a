"""AlertsService: those of whoever calls, over the alerts of this process or of a service elsewhere."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import TYPE_CHECKING

import grpc.aio

from openbell.adapters.stores.alert_rows import Status
from openbell.adapters.stores.alert_rules import NewAlert
from openbell.errors import UnknownNameError
from openbell.proto.v1 import alerts_service_pb2 as pb
from openbell.proto.v1.alerts_service_pb2_grpc import AlertsServiceServicer
from openbell.services.accounts.callers import LOCAL, Caller
from openbell.services.alerts.access import PAGE_MAX, Alerts, confined
from openbell.services.rpc.alert_records import (
    STATUSES,
    alert_id,
    alert_message,
    changes_of,
    trigger_message,
    wanted_of,
)
from openbell.services.rpc.callers import Vouched, caller
from openbell.services.rpc.records import count_of, text_of, word_of

if TYPE_CHECKING:
    from openbell.services.accounts.accounts import Accounts
    from openbell.services.gateway.owners import Owners


class AlertsServicer(AlertsServiceServicer):
    """See `alerts_service.proto`. `owners` knows whose accounts are whose."""

    def __init__(self, alerts: Alerts, owners: Owners, accounts: Accounts | None = None) -> None:
        self._alerts = alerts
        self._owners = owners
        self._accounts = accounts

    async def CreateAlert(
        self, request: pb.CreateAlertRequest, context: grpc.aio.ServicerContext[pb.CreateAlertRequest, pb.CreateAlertResponse]
    ) -> pb.CreateAlertResponse:
        """A new alert of the caller's."""
        asks = caller()
        wanted = await self._confined(asks, wanted_of(request))
        return pb.CreateAlertResponse(alert=alert_message(await self._alerts.create(asks.user_id, wanted, request.request_id)))

    async def GetAlerts(
        self, request: pb.GetAlertsRequest, context: grpc.aio.ServicerContext[pb.GetAlertsRequest, pb.GetAlertsResponse]
    ) -> pb.GetAlertsResponse:
        """A page of alerts."""
        owner = await self._owner(caller(), request.owner)
        status: Status | None = word_of("status of an alert", STATUSES, request.status) if request.status else None  # type: ignore[assignment]
        limit = count_of("limit", request.limit, PAGE_MAX, PAGE_MAX)
        after = alert_id(request.after) if request.after else 0
        found = await self._alerts.find(owner, text_of("symbol", request.symbol), status, after, limit)
        return pb.GetAlertsResponse(alerts=map(alert_message, found), next=str(found[-1].id) if len(found) == limit else "")

    async def UpdateAlert(
        self, request: pb.UpdateAlertRequest, context: grpc.aio.ServicerContext[pb.UpdateAlertRequest, pb.UpdateAlertResponse]
    ) -> pb.UpdateAlertResponse:
        """Change one."""
        asks, id, changes = caller(), alert_id(request.id), changes_of(request)
        owner = _all_of(asks)
        if owner is not None and not isinstance(asks, Vouched):
            found = await self._alerts.find(owner, after=id - 1, limit=1)
            if found and found[0].id == id:
                new = NewAlert(**{**found[0].rule(), **{name: value for name, value in changes.items() if name != "status"}})
                if (allowed := await self._confined(asks, new)) != new:
                    changes["spec"] = allowed.spec
        return pb.UpdateAlertResponse(alert=alert_message(await self._alerts.update(owner, id, changes)))

    async def DeleteAlert(
        self, request: pb.DeleteAlertRequest, context: grpc.aio.ServicerContext[pb.DeleteAlertRequest, pb.DeleteAlertResponse]
    ) -> pb.DeleteAlertResponse:
        """Remove one."""
        id = alert_id(request.id)
        if not await self._alerts.delete(_all_of(caller()), id):
            raise UnknownNameError(f"there is no alert {id}", do="list the alerts to see their ids")
        return pb.DeleteAlertResponse()

    async def GetTriggers(
        self, request: pb.GetTriggersRequest, context: grpc.aio.ServicerContext[pb.GetTriggersRequest, pb.GetTriggersResponse]
    ) -> pb.GetTriggersResponse:
        """The times that alerts came."""
        owner = await self._owner(caller(), request.owner)
        limit = count_of("limit", request.limit, PAGE_MAX, PAGE_MAX)
        alert = alert_id(request.alert) if request.alert else None
        found = await self._alerts.events(owner, request.after, alert, text_of("symbol", request.symbol), limit)
        return pb.GetTriggersResponse(triggers=map(trigger_message, found))

    async def StreamTriggers(
        self, request: pb.StreamTriggersRequest, context: grpc.aio.ServicerContext[pb.StreamTriggersRequest, pb.StreamTriggersResponse]
    ) -> AsyncIterator[pb.StreamTriggersResponse]:
        """The same, as it happens."""
        owner = await self._owner(caller(), request.owner)
        async with aclosing(self._alerts.triggers(owner, request.after if request.HasField("after") else None)) as told:
            async for events, latest in told:
                yield pb.StreamTriggersResponse(triggers=map(trigger_message, events), latest=latest)

    async def _owner(self, asks: Caller, name: str) -> int | None:
        """Whose alerts are wanted: by default all that the caller may see. UnknownNameError for a user who is not hers to name."""
        name = name.strip().casefold()
        if not name:
            return _all_of(asks)
        if name == asks.name:
            return asks.user_id
        if not asks.may("admin") or (self._accounts is None and name != LOCAL.name):
            raise UnknownNameError(f"there is no user '{name[:40]}'", do="leave out the owner to see your own")
        return 0 if name == LOCAL.name or self._accounts is None else await self._accounts.user_id(name)

    async def _confined(self, asks: Caller, wanted: NewAlert) -> NewAlert:
        """An alert as the caller may have it; a gateway that vouches for her has seen to that."""
        if isinstance(asks, Vouched) or asks.may("admin"):
            return wanted
        return confined(wanted, await self._owners.visible(asks))


def _all_of(asks: Caller) -> int | None:
    """Whose alerts a caller may see and change; None for those of everybody."""
    return None if asks.may("admin") else asks.user_id
