"""Questions that block, asked in threads that nobody has to wait for: a server that hangs cannot hold the command up."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from functools import partial
from typing import TypeVar

T = TypeVar("T")

#: Between two looks.
LOOK_EVERY_S = 0.005


async def look_until(look: Callable[[], T | None], every_s: float = LOOK_EVERY_S) -> T:
    """Look again and again until there is something, and return it; raises what `look` raises."""
    loop = asyncio.get_running_loop()
    found: asyncio.Future[T] = loop.create_future()
    is_over = threading.Event()

    def tell(set_outcome: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(lambda: None if found.done() else set_outcome())

    def watch() -> None:
        try:
            while not is_over.is_set():
                if (seen := look()) is not None:
                    tell(partial(found.set_result, seen))
                    return
                is_over.wait(every_s)
        except Exception as error:
            tell(partial(found.set_exception, error))

    threading.Thread(target=watch, name="verify", daemon=True).start()
    try:
        return await found
    finally:
        is_over.set()


async def ask(question: Callable[[], T]) -> T:
    """The answer to one question."""
    (answer,) = await look_until(lambda: (question(),))
    return answer
