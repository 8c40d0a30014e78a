"""Compiling kernels in a process of its own, so that a service never holds the compiler's memory.

The first time it takes up to 20 seconds and 150 MB; loading from the user's cache takes half a second. A marker beside the compiled code
says that it is there; should it lie, the service compiles by itself.
"""

import contextlib
import subprocess
import sys

from openbell.model.jit import INTERPRETED, cache_folder


def compile_apart(name: str, code: str, text: bytes = b"") -> bool:
    """See that kernels, whose marker has a name, are compiled by Python code that calls them and may read `text` from its standard input.

    Returns whether they had to be.
    """
    if INTERPRETED or is_compiled(name):
        return False
    done = subprocess.run([sys.executable, "-c", code], input=text, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    if done.returncode == 0:
        with contextlib.suppress(OSError):  # without the cache everything works, slower
            (cache_folder() / f"prepared-{name}").touch()
    return True


def is_compiled(name: str) -> bool:
    """Whether kernels have been compiled by this code."""
    return (cache_folder() / f"prepared-{name}").exists()
