"""What every process answers on the control channel: how its services stand, and to hold its feed or let it go on."""

from collections.abc import Awaitable, Callable, Sequence

from openbell.adapters.messages.control import IngestRequest, Pause, Resume, Status, StatusReply
from openbell.errors import UsageError
from openbell.services.control.channel import ControlChannel
from openbell.services.ingest.feed import FeedService
from openbell.services.service import Service

#: Follows symbols (True), or no longer (False). Raises OpenbellError for what cannot be.
Follow = Callable[[bool, tuple[str, ...]], Awaitable[None]]


class ControlService(Service):
    """Listens on the control channel for a process, and says how `services` stand."""

    name = "control"

    def __init__(self, channel: ControlChannel, services: Callable[[], Sequence[Service]]) -> None:
        super().__init__()
        self.channel = channel
        answer_status(channel, services)

    async def start(self) -> None:
        """Begin to listen."""
        await self.channel.start()

    async def run(self) -> None:
        """Until cancelled."""
        await self.channel.run()

    async def stop(self) -> None:
        """Listen no more."""
        await self.channel.stop()

    @property
    def detail(self) -> str:
        """What came."""
        return f"{self.channel.processed:,} messages, {self.channel.refused:,} that could not be read"


def status_of(service: Service, request: str = "") -> StatusReply:
    """A service's view as a message."""
    view = service.view()
    state = "paused" if getattr(service, "paused", False) and view.state == "running" else view.state
    return StatusReply(
        request=request, service=view.name, state=state, detail=view.detail, processed=view.processed, lag_ms=view.lag_ms,
        queue=view.queue, positions=service.progress(),
    )  # fmt: skip


def answer_status(channel: ControlChannel, services: Callable[[], Sequence[Service]]) -> None:
    """Answer `status` with one message a service: of all of the process, or of the one that is asked for."""

    async def answer(message: Status) -> list[StatusReply]:
        of_process = message.service in ("", channel.name)
        return [status_of(service) for service in services() if of_process or message.service == service.name]

    channel.on(Status, answer, "*")


def answer_feed(channel: ControlChannel, feed: FeedService, source: str = "", follow: Follow | None = None) -> None:
    """Answer `pause` and `resume`, and `ingest_request` for the source of this process, where it can `follow` symbols."""

    async def pause(message: Pause) -> StatusReply | None:
        if message.strategy or message.session:
            return None
        feed.pause()
        return status_of(feed)

    async def resume(message: Resume) -> StatusReply | None:
        if message.strategy or message.session:
            return None
        feed.resume()
        return status_of(feed)

    async def ingest(message: IngestRequest) -> StatusReply | None:
        if message.source not in ("", source):
            return None
        if follow is None:
            raise UsageError(f"the feed {source or feed.name} brings a fixed choice of symbols", "a feed that can follow others")
        await follow(message.action == "subscribe", message.symbols)
        return status_of(feed)

    channel.on(Pause, pause, channel.name, feed.name)
    channel.on(Resume, resume, channel.name, feed.name)
    channel.on(IngestRequest, ingest)
