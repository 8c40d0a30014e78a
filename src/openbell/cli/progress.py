"""A progress line for long work, on a terminal only, after the first half second only."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def events_progress(title: str) -> Iterator[Callable[[int], None]]:
    """Yields a function to call with the number of events done so far."""
    if not sys.stderr.isatty():
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TextColumn("{task.completed:,.0f} events"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(f"{title}: compiling the kernel, once")
        shown = time.monotonic()

        def advance(done: int) -> None:
            nonlocal shown
            if time.monotonic() - shown > 0.1:
                shown = time.monotonic()
                progress.update(task, description=title, completed=done)

        yield advance
