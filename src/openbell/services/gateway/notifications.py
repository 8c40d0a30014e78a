"""Routes about notifications: the channels of whoever asks, the words that they are told in, and the log of what was told."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, TypeVar

import structlog
from fastapi import APIRouter, Path, Query, Request, Response
from msgspec import UNSET

from openbell.adapters.notifiers.base import Outcome
from openbell.adapters.stores.delivery_log import PAGE_MAX
from openbell.adapters.stores.notification_rows import ChannelRow, DeliveryRow, State
from openbell.errors import BusError, ConfigError, ForbiddenError, ThrottledError
from openbell.model.time import MILLISECOND
from openbell.services.accounts.callers import Caller
from openbell.services.gateway import notification_records as records
from openbell.services.gateway.access import Watcher
from openbell.services.gateway.backstage import Backstage
from openbell.services.gateway.bodies import body_of, json_response, tagged_record, with_next
from openbell.services.gateway.openapi import NOTHING, answers, takes
from openbell.services.notifier.events import ALWAYS, EVENTS

if TYPE_CHECKING:
    from openbell.services.notifier.channels import Channels

T = TypeVar("T")

#: Tests of channels that run at a time; of one user it is one. A sink may take some seconds.
TESTS_MAX = 4

ChannelId = Annotated[int, Path(ge=1, lt=1 << 62)]
EventName = Annotated[str, Path(min_length=1, max_length=64)]
OfChannel = Annotated[int | None, Query(ge=1, lt=1 << 62, description="only to this channel")]
After = Annotated[str, Query(pattern="^([0-9]{1,18}-[0-9]{1,18})?$", description="what the page before said")]
Most = Annotated[int, Query(ge=1, le=PAGE_MAX)]

log = structlog.get_logger("gateway")


class ChannelDesk:
    """The channels of a platform, for callers: everybody has her own, and administrators see no more than that."""

    def __init__(self, backstage: Backstage) -> None:
        self._open = backstage.channels
        self._threads = ThreadPoolExecutor(TESTS_MAX, "channel test")
        self._testing: set[int] = set()

    async def ask(self, what: "Callable[[Channels], T]") -> T:
        """Ask in a thread. BusError on a platform that cannot tell anybody anything."""
        return await asyncio.to_thread(self._ask, what)

    async def change(self, caller: Caller, id: int, changes: records.ChannelChanges) -> ChannelRow:
        """Change a channel. What is told of the house is an administrator's to change, and everybody's own to give up."""

        def change(channels: "Channels") -> ChannelRow:
            known = next((row for row in channels.list(caller.user_id) if row.id == id), None)
            if changes.house is True or (changes.house is UNSET and known is not None and known.house):
                check_house(caller)
            return channels.update(caller.user_id, id, changes)

        return await self.ask(change)

    async def test(self, caller: Caller, id: int) -> Outcome:
        """Send a message now. ThrottledError while another test of the caller's runs, or too many of others."""
        if caller.user_id in self._testing or len(self._testing) >= TESTS_MAX:
            raise ThrottledError("another test runs", "one at a time", "wait until it has ended", retry_after_s=5)
        self._testing.add(caller.user_id)
        loop = asyncio.get_running_loop()
        running: asyncio.Future[Outcome] = loop.run_in_executor(self._threads, self._ask, lambda own: own.test(caller.user_id, id))
        running.add_done_callback(lambda _: self._testing.discard(caller.user_id))
        return await running

    def _ask(self, what: "Callable[[Channels], T]") -> T:
        if self._open is None:
            raise BusError("nobody is told of anything here", "a platform with a database", "start the gateway over one")
        try:
            return what(self._open())
        except ConfigError as error:
            log.warning("channels cannot be used", error=str(error))
            if find_spec("apprise") is None:
                raise BusError("what sends is not installed here", "apprise", "install openbell[notify] on the platform") from None
            raise BusError("channels cannot be used here", do="look at the log of the platform, which says why") from None


def check_house(caller: Caller) -> None:
    """That a caller may hear of what concerns the house."""
    if not caller.may("admin"):
        raise ForbiddenError("this channel is told of what concerns the house", "the permission 'admin'", "leave out `house`")


def notification_routes(backstage: Backstage) -> APIRouter:
    """The routes of one platform."""
    routes = APIRouter(tags=["notifications"])
    desk = ChannelDesk(backstage)

    @routes.get("/channels", responses=answers(records.Channels, tagged=True))
    async def channels(request: Request, caller: Watcher) -> Response:
        """Where the caller is told of what happens, and how each channel stands. Addresses are shown without their secrets."""
        rows = await desk.ask(lambda channels: channels.list(caller.user_id))
        return tagged_record(request, records.Channels([channel_view(row) for row in rows]))

    @routes.post(
        "/channels", status_code=201, responses=answers(records.Channel, 404, 422, ok=201), openapi_extra=takes(records.NewChannel)
    )
    async def create(request: Request, caller: Watcher) -> Response:
        """A channel. `url` is an address of apprise's with its tokens; it is sealed, and never shown again.

        A name is there once: repeating a request makes no second channel, it is 422.
        """
        wanted = await body_of(request, records.NewChannel)
        if wanted.house:
            check_house(caller)
        return json_response(channel_view(await desk.ask(lambda channels: channels.create(caller.user_id, wanted))), 201)

    @routes.patch("/channels/{id}", responses=answers(records.Channel, 404, 422), openapi_extra=takes(records.ChannelChanges))
    async def change(request: Request, id: ChannelId, caller: Watcher) -> Response:
        """Change a channel; what is left out stays. One that its sink refused is tried again with `enabled`, or with another address."""
        return json_response(channel_view(await desk.change(caller, id, await body_of(request, records.ChannelChanges))))

    @routes.delete("/channels/{id}", status_code=204, responses=answers(NOTHING, 404, 422, ok=204))
    async def delete(id: ChannelId, caller: Watcher) -> Response:
        """Remove a channel, and the log of what was told to it."""
        await desk.ask(lambda channels: channels.delete(caller.user_id, id))
        return Response(status_code=204)

    @routes.post("/channels/{id}/test", responses=answers(records.Tried, 404, 422))
    async def test(id: ChannelId, caller: Watcher) -> Response:
        """Send a message to a channel now, also in quiet hours, and say what came of it. It may take some seconds."""
        outcome = await desk.test(caller, id)
        return json_response(records.Tried(outcome.answer, outcome.reason, outcome.wait_s))

    @routes.get("/notifications", responses=answers(records.Deliveries, 422, tagged=True))
    async def deliveries(
        request: Request, caller: Watcher, channel: OfChannel = None, state: State | None = None, after: After = "", limit: Most = 100
    ) -> Response:
        """What was told to the caller's channels, newest first, and what was not, and why."""
        number, _, of_channel = after.partition("-")
        before = (int(number), int(of_channel)) if after else None
        rows = await desk.ask(lambda channels: channels.log.page(caller.user_id, channel=channel, state=state, before=before, limit=limit))
        shown = records.Deliveries([_delivery_view(row) for row in rows])
        return with_next(tagged_record(request, shown), request, f"{rows[-1].number}-{rows[-1].channel}" if len(rows) == limit else None)

    @routes.get("/notifications/templates", responses=answers(records.Templates, tagged=True))
    async def templates(request: Request, caller: Watcher) -> Response:
        """The words in which the caller is told of each event, and the fields that they may use."""
        return tagged_record(request, records.Templates(_templates(await desk.ask(lambda channels: channels.templates(caller.user_id)))))

    @routes.put(
        "/notifications/templates/{event}", responses=answers(records.Template, 404, 422), openapi_extra=takes(records.TemplateText)
    )
    async def set_template(request: Request, event: EventName, caller: Watcher) -> Response:
        """Own words for an event; empty: the usual ones."""
        wanted = await body_of(request, records.TemplateText)

        def write(channels: "Channels") -> dict[str, str]:
            channels.set_template(caller.user_id, event, wanted.text)
            return channels.templates(caller.user_id)

        own = await desk.ask(write)
        return json_response(next(one for one in _templates(own) if one.event == event))

    return routes


def channel_view(row: ChannelRow) -> records.Channel:
    """A channel as JSON has it."""
    return records.Channel(
        row.id, row.name, row.kind, row.shown, list(row.events), row.minimum, row.quiet, row.zone, row.house, row.enabled, row.status,
        row.error, row.failures, None if row.sent is None else row.sent // MILLISECOND, row.created // MILLISECOND,
    )  # fmt: skip


def _delivery_view(row: DeliveryRow) -> records.Delivery:
    return records.Delivery(
        row.number, row.event, row.severity, row.ts // MILLISECOND, row.fields, row.channel, row.channel_name, row.state, row.attempts,
        row.due // MILLISECOND, row.error, row.digest, row.updated // MILLISECOND,
    )  # fmt: skip


def _templates(own: dict[str, str]) -> list[records.Template]:
    return [
        records.Template(name, event.about, [*event.fields, *ALWAYS], own.get(name, event.text), name in own)
        for name, event in EVENTS.items()
    ]
