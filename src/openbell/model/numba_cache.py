"""Where numba keeps machine code on disk, and how several processes may write there at once."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from numba import config
from numba.core.caching import FunctionCache

try:
    import fcntl
except ImportError:  # Windows has no such lock; there, two processes should not compile for the first time at once
    fcntl = None  # type: ignore[assignment]


@contextlib.contextmanager
def cache_in(folder: Path) -> Iterator[bool]:
    """Point numba's disk cache at a folder while functions are created; yields False where the folder cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        writable = os.access(folder, os.W_OK)
    except OSError:
        writable = False
    before, config.CACHE_DIR = config.CACHE_DIR, str(folder)
    try:
        yield writable
    finally:
        config.CACHE_DIR = before


class SharedCache(FunctionCache):
    """numba's cache of one function, written by one process at a time.

    numba numbers the machine code of a function's signatures 1, 2, 3, ... in an index. Two processes that add a signature at once would
    give both the same number, and one would then run the machine code of the other's signature.
    """

    def save_overload(self, sig: Any, data: Any) -> None:
        """Add a signature's machine code to the index as it is now."""
        folder = Path(self.cache_path)
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("w") as lock:
            if fcntl is not None:
                fcntl.flock(lock, fcntl.LOCK_EX)
            super().save_overload(sig, data)


def share(dispatcher: Any) -> Any:
    """Give a dispatcher that keeps its code on disk the cache that processes can share; `cache_in` still has to hold."""
    if isinstance(dispatcher._cache, FunctionCache):
        dispatcher._cache = SharedCache(dispatcher.py_func)
    return dispatcher
