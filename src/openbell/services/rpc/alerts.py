"""AlertsService: those of whoever calls, over the alerts of this process or of a service elsewhere."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing

import grpc.aio

from openbell.adapters.stores.alert_rows import Status
from openbell.proto.v1 import alerts_service_pb2 as pb
from openbell.proto.v1.alerts_service_pb2_grpc import AlertsServiceServicer
from openbell.services.alerts.access import PAGE_MAX
from openbell.services.alerts.callers import CallerAlerts
from openbell.services.rpc.alert_records import STATUSES, alert_id, alert_message, changes_of, trigger_message, wanted_of
from openbell.services.rpc.callers import caller
from openbell.services.rpc.records import count_of, text_of, word_of


class AlertsServicer(AlertsServiceServicer):
    """See `alerts_service.proto`."""

    def __init__(self, desk: CallerAlerts) -> None:
        self._desk = desk

    async def CreateAlert(
        self, request: pb.CreateAlertRequest, context: grpc.aio.ServicerContext[pb.CreateAlertRequest, pb.CreateAlertResponse]
    ) -> pb.CreateAlertResponse:
        """A new alert of the caller's."""
        made = await self._desk.create(caller(), wanted_of(request), request.request_id)
        return pb.CreateAlertResponse(alert=alert_message(made))

    async def GetAlerts(
        self, request: pb.GetAlertsRequest, context: grpc.aio.ServicerContext[pb.GetAlertsRequest, pb.GetAlertsResponse]
    ) -> pb.GetAlertsResponse:
        """A page of alerts."""
        owner = await self._desk.owner(caller(), request.owner)
        status: Status | None = word_of("status of an alert", STATUSES, request.status) if request.status else None  # type: ignore[assignment]
        limit = count_of("limit", request.limit, PAGE_MAX, PAGE_MAX)
        after = alert_id(request.after) if request.after else 0
        found = await self._desk.alerts.find(owner, text_of("symbol", request.symbol), status, after, limit)
        return pb.GetAlertsResponse(alerts=map(alert_message, found), next=str(found[-1].id) if len(found) == limit else "")

    async def UpdateAlert(
        self, request: pb.UpdateAlertRequest, context: grpc.aio.ServicerContext[pb.UpdateAlertRequest, pb.UpdateAlertResponse]
    ) -> pb.UpdateAlertResponse:
        """Change one."""
        changed = await self._desk.change(caller(), alert_id(request.id), changes_of(request))
        return pb.UpdateAlertResponse(alert=alert_message(changed))

    async def DeleteAlert(
        self, request: pb.DeleteAlertRequest, context: grpc.aio.ServicerContext[pb.DeleteAlertRequest, pb.DeleteAlertResponse]
    ) -> pb.DeleteAlertResponse:
        """Remove one."""
        await self._desk.delete(caller(), alert_id(request.id))
        return pb.DeleteAlertResponse()

    async def GetTriggers(
        self, request: pb.GetTriggersRequest, context: grpc.aio.ServicerContext[pb.GetTriggersRequest, pb.GetTriggersResponse]
    ) -> pb.GetTriggersResponse:
        """The times that alerts came."""
        owner = await self._desk.owner(caller(), request.owner)
        limit = count_of("limit", request.limit, PAGE_MAX, PAGE_MAX)
        alert = alert_id(request.alert) if request.alert else None
        found = await self._desk.alerts.events(owner, request.after, alert, text_of("symbol", request.symbol), limit)
        return pb.GetTriggersResponse(triggers=map(trigger_message, found))

    async def StreamTriggers(
        self, request: pb.StreamTriggersRequest, context: grpc.aio.ServicerContext[pb.StreamTriggersRequest, pb.StreamTriggersResponse]
    ) -> AsyncIterator[pb.StreamTriggersResponse]:
        """The same, as it happens."""
        owner = await self._desk.owner(caller(), request.owner)
        async with aclosing(self._desk.alerts.triggers(owner, request.after if request.HasField("after") else None)) as told:
            async for events, latest in told:
                yield pb.StreamTriggersResponse(triggers=map(trigger_message, events), latest=latest)
