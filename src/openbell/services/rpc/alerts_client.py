"""The alerts of a platform from another process, over gRPC: every call has a deadline, and is asked again where that changes nothing.

A service that does not answer is left alone after some failures, so that whoever asks hears of it at once (see `breaker`).
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from random import uniform
from secrets import token_hex
from typing import Any

import grpc
import grpc.aio
import structlog

from openbell.adapters.stores.alert_rows import AlertEvent, AlertRow, Status
from openbell.adapters.stores.alert_rules import NewAlert
from openbell.errors import OpenbellError, UnknownNameError
from openbell.proto.v1 import alerts_service_pb2 as pb
from openbell.proto.v1.alerts_service_pb2_grpc import AlertsServiceStub
from openbell.services.alerts.access import PAGE_MAX, Came
from openbell.services.rpc.alert_records import (
    STATUSES,
    alert_row,
    create_message,
    trigger_event,
    update_message,
)
from openbell.services.rpc.breaker import Breaker
from openbell.services.rpc.callers import SEALED
from openbell.services.rpc.front import REQUEST_ID
from openbell.services.rpc.records import number_of
from openbell.services.rpc.statuses import error_of

#: How long (seconds) a call may take with all its tries, how many those are, and about how long it waits before the second.
CALL_S = 2.0
TRIES_MAX = 3
PAUSE_S = 0.05
#: How long (seconds) a stream waits before it begins anew, at first and at most.
AGAIN_S, AGAIN_MAX_S = 0.1, 5.0
#: What is no answer of the service: it is away, or too slow.
SILENT = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)

log = structlog.get_logger("rpc")

Metadata = tuple[tuple[str, str | bytes], ...]


class AlertsClient:
    """See `openbell.services.alerts.access.Alerts`. `connect` makes the channel, `vouch` what says for whom it asks.

    BusError when the service does not answer.
    """

    def __init__(
        self,
        connect: Callable[[], grpc.aio.Channel],
        vouch: Callable[[int | None], bytes] | None = None,
        breaker: Breaker | None = None,
        call_s: float = CALL_S,
    ) -> None:
        self.breaker = breaker or Breaker("the alerts service")
        self._connect = connect
        self._vouch = vouch
        self._call_s = call_s
        self._channel: grpc.aio.Channel | None = None
        self._stub: Any = None

    async def close(self) -> None:
        """Disconnect."""
        if self._channel is not None:
            await self._channel.close()
            self._channel = self._stub = None

    async def create(self, owner: int, wanted: NewAlert, request: str = "") -> AlertRow:
        """See `Alerts`. It has an id in any case, so that asking again makes no second alert."""
        message = create_message(wanted, request or token_hex(16))
        return alert_row((await self._call("CreateAlert", message, owner)).alert)

    async def update(self, owner: int | None, id: int, changes: Mapping[str, Any]) -> AlertRow:
        """See `Alerts`. It is asked once: an alert that came in between would begin anew a second time."""
        return alert_row((await self._call("UpdateAlert", update_message(id, changes), owner, tries=1)).alert)

    async def delete(self, owner: int | None, id: int) -> bool:
        """See `Alerts`. When the first try was not answered and the second finds nothing, the first has removed it."""
        tried = 0

        def count() -> None:
            nonlocal tried
            tried += 1

        try:
            await self._call("DeleteAlert", pb.DeleteAlertRequest(id=str(id)), owner, trying=count)
        except UnknownNameError:
            return tried > 1
        return True

    async def find(
        self, owner: int | None, symbol: str = "", status: Status | None = None, after: int = 0, limit: int = PAGE_MAX
    ) -> list[AlertRow]:
        """See `Alerts`."""
        message = pb.GetAlertsRequest(
            symbol=symbol, status=number_of(STATUSES, status or ""), after=str(after) if after > 0 else "", limit=min(limit, PAGE_MAX)
        )
        return [alert_row(alert) for alert in (await self._call("GetAlerts", message, owner)).alerts] if limit > 0 else []

    async def events(
        self, owner: int | None, since: int = 0, alert: int | None = None, symbol: str = "", limit: int = PAGE_MAX
    ) -> list[AlertEvent]:
        """See `Alerts`."""
        message = pb.GetTriggersRequest(after=since, alert="" if alert is None else str(alert), symbol=symbol, limit=min(limit, PAGE_MAX))
        return [trigger_event(one) for one in (await self._call("GetTriggers", message, owner)).triggers] if limit > 0 else []

    async def triggers(self, owner: int | None, after: int | None = None) -> AsyncGenerator[Came, None]:
        """See `Alerts`. When the service goes away, it is waited for, and the stream goes on where it was."""
        pause = AGAIN_S
        while True:
            call = self._connected().StreamTriggers(pb.StreamTriggersRequest(after=after), metadata=self._metadata(owner))
            try:
                async for message in call:
                    after, pause = message.latest, AGAIN_S
                    yield Came([trigger_event(one) for one in message.triggers], message.latest)
            except grpc.aio.AioRpcError as error:
                known = error_of(error)
                if known is not None and error.code() not in SILENT:
                    raise known from None
                log.warning("the stream of alerts was cut off", status=error.code().name, after=after)
            finally:
                call.cancel()
            await asyncio.sleep(pause * uniform(0.5, 1.5))
            pause = min(2 * pause, AGAIN_MAX_S)

    async def _call(
        self, method: str, message: Any, owner: int | None, tries: int = TRIES_MAX, trying: Callable[[], None] | None = None
    ) -> Any:
        """What the service answers, within the deadline."""
        loop, pause = asyncio.get_running_loop(), PAUSE_S
        ends = loop.time() + self._call_s
        while True:
            self.breaker.check()
            if trying is not None:
                trying()
            try:
                asked: Awaitable[Any] = getattr(self._connected(), method)(
                    message, timeout=max(ends - loop.time(), 0.001), metadata=self._metadata(owner)
                )
                answer = await asked
            except grpc.aio.AioRpcError as error:
                known, tries = error_of(error), tries - 1
                if known is not None or error.code() not in SILENT:
                    self.breaker.succeeded()
                    raise known or _of_the_inside(method, error) from None
                self.breaker.failed()
                wait = pause * uniform(0.5, 1.5)
                if tries < 1 or loop.time() + wait >= ends:
                    log.warning("the alerts service does not answer", method=method, status=error.code().name)
                    raise self.breaker.refusal() from None
            else:
                self.breaker.succeeded()
                return answer
            await asyncio.sleep(wait)
            pause *= 2

    def _connected(self) -> Any:
        if self._stub is None:
            self._channel = self._connect()
            self._stub = AlertsServiceStub(self._channel)
        return self._stub

    def _metadata(self, owner: int | None) -> Metadata:
        """For whom it asks, and the id of the request that it asks for."""
        found: Metadata = () if self._vouch is None else ((SEALED, self._vouch(owner)),)
        request = structlog.contextvars.get_contextvars().get("request")
        return (*found, (REQUEST_ID, str(request))) if request else found


def _of_the_inside(method: str, error: grpc.aio.AioRpcError) -> OpenbellError:
    """Neither an answer that our services give nor silence."""
    return OpenbellError(f"{method} of the alerts service ended with {error.code().name}: {error.details()}")
