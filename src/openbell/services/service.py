"""What every service is: a name, a loop, and an honest word about how it stands."""

from typing import Literal

from openbell.services.views import ServiceView

State = Literal["stopped", "running", "done", "failed"]


class Service:
    """Base of the services. The supervisor calls `start`, then `run` as a task, then `stop`; `run` ends when its input does."""

    name = ""
    #: The topics it drains before it ends; a stop closes them stage by stage.
    reads: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.state: State = "stopped"
        self.processed = 0
        self.failure = ""

    async def start(self) -> None:
        """Open what it needs. Raises the error that makes the platform not start."""

    async def run(self) -> None:
        """Work until the input ends."""

    async def stop(self) -> None:
        """Write what is left and close; called whatever happened."""

    @property
    def detail(self) -> str:
        """One line for whoever looks."""
        return ""

    @property
    def lag_ms(self) -> float | None:
        """How long its input waits, None where that is not known."""
        return None

    @property
    def queue(self) -> int:
        """Messages waiting for it."""
        return 0

    def progress(self) -> dict[str, int]:
        """How far it is, by what it counts: who waits for a service to have caught up compares these."""
        return {}

    def view(self) -> ServiceView:
        """How it stands."""
        return ServiceView(self.name, self.state, self.failure or self.detail, self.processed, self.lag_ms, self.queue, self.failure)
