"""What a person sees on the terminal while the platform runs: the address, a status line, and what has to be said."""

import asyncio
import contextlib
import sys
from collections.abc import Iterator
from types import TracebackType

from openbell.services.platform import Platform

REFRESH_S = 0.5


class Terminal:
    """Lines on stdout; a status line that moves only where there is a terminal."""

    def __init__(self, title: str) -> None:
        self.is_live = sys.stdout.isatty()
        self._title = title
        self._console = None
        self._stack = contextlib.ExitStack()
        if self.is_live:
            from rich.console import Console

            self._console = Console(highlight=False)

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    def say(self, text: str, dim: bool = False) -> None:
        """One line."""
        if self._console is not None:
            self._console.print(text, style="dim" if dim else None, markup=False)
        else:
            print(text, flush=True)

    @contextlib.contextmanager
    def working(self, text: str) -> Iterator[None]:
        """Show that something takes its time."""
        if self._console is None:
            yield
            return
        with self._console.status(text):
            yield

    def show(self, platform: Platform) -> None:
        """Say that the platform is there."""
        self.say(f"{self._title}: {platform.address}   (Ctrl-C stops, start again to go on)")

    async def keep_telling(self, platform: Platform) -> None:
        """Keep the status line up to date, and say once that the recording has ended."""
        feed = platform.feed
        if self._console is None:
            await asyncio.wait({platform.supervisor.finished("feed")})
            self._say_end(platform)
            return
        from rich.live import Live

        with Live(console=self._console, refresh_per_second=4, transient=True) as live:
            while feed.state == "running":
                live.update(_status(platform))
                await asyncio.sleep(REFRESH_S)
        self._say_end(platform)

    def _say_end(self, platform: Platform) -> None:
        if platform.feed.state == "done":
            self.say(_status(platform))
            self.say("Nothing more comes; the page stays, Ctrl-C stops")
        elif platform.supervisor.cause is not None:
            self.say(f"market data stopped: {platform.supervisor.cause}")


def _status(platform: Platform) -> str:
    """The session in one line."""
    prices = platform.processor.speed_layer.prices
    shown = "  ".join(f"{symbol} {price.price:,.2f}" for symbol, price in list(prices.items())[:3])
    portfolio = platform.portfolio.portfolio()
    return f"{platform.feed.detail}   {shown}   {platform.portfolio.detail}, equity {portfolio.equity:,.2f} {portfolio.currency}"
