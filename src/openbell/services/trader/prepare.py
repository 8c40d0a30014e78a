"""Compiling the kernel in a process of its own, so that a service never holds the compiler's memory.

The first time a plan is run its code is compiled into the user's cache, which takes 10 to 20 seconds and 150 MB; loading it from there
takes half a second. A marker beside the compiled code says that it is there; should it lie, the service compiles by itself.
"""

import contextlib
import subprocess
import sys
from hashlib import blake2b
from pathlib import Path

import msgspec
import numpy as np

from openbell.engine.engine import Engine
from openbell.engine.plan import Plan
from openbell.model import enums
from openbell.model.events import EVENT
from openbell.model.jit import INTERPRETED, cache_folder
from openbell.services.trader.recovery import source_of


def prepare(plan: Plan) -> bool:
    """See that the kernel of a plan is compiled; returns whether it had to be."""
    text = msgspec.json.encode(plan.to_dict())
    if INTERPRETED or is_prepared(plan):
        return False
    code = "import sys; from openbell.services.trader.prepare import compile_plan; compile_plan(sys.stdin.buffer.read())"
    done = subprocess.run([sys.executable, "-c", code], input=text, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    if done.returncode == 0:
        with contextlib.suppress(OSError):  # without the cache everything works, slower
            _marker(plan).touch()
    return True


def is_prepared(plan: Plan) -> bool:
    """Whether the kernel of a plan has been compiled by this code."""
    return _marker(plan).exists()


def compile_plan(text: bytes) -> None:
    """Make the engine of a plan and step it once."""
    event = np.zeros(1, EVENT)
    event["seq"], event["kind"], event["instrument"] = 1, enums.TIMER, -1
    Engine(Plan.from_dict(msgspec.json.decode(text))).run(event)


def _marker(plan: Plan) -> Path:
    text = msgspec.json.encode(plan.to_dict()) + source_of(plan).encode()
    return cache_folder() / f"prepared-{blake2b(text, digest_size=8).hexdigest()}"
