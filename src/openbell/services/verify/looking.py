"""Questions that block, asked in threads that nobody has to wait for: a server that hangs cannot hold the command up."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from openbell.errors import StorageError

T = TypeVar("T")

#: Between two looks, and how long (seconds) one look may take.
LOOK_EVERY_S = 0.005
ANSWER_S = 2.0


async def ask(question: Callable[[], T]) -> T:
    """The answer to a question; raises what it raises. When nobody waits any more, its thread ends with it or with the process."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def tell(set_outcome: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(lambda: None if answer.done() else set_outcome())

    def work() -> None:
        try:
            found = question()
        except Exception as error:
            tell(partial(answer.set_exception, error))
        else:
            tell(partial(answer.set_result, found))

    threading.Thread(target=work, name="verify", daemon=True).start()
    return await answer


async def look_until(look: Callable[[], T | None], what: str, every_s: float = LOOK_EVERY_S) -> T:
    """Look again and again until there is something, and return it. StorageError when `what` does not answer."""
    while True:
        try:
            async with asyncio.timeout(ANSWER_S):
                found = await ask(look)
        except TimeoutError:
            raise StorageError(f"{what} has not answered for {ANSWER_S:g} s", do="see `openbell doctor`") from None
        if found is not None:
            return found
        await asyncio.sleep(every_s)
