"""The kernel of a plan, compiled before it is first run."""

from hashlib import blake2b

import msgspec
import numpy as np

from openbell.engine.engine import Engine
from openbell.engine.plan import Plan
from openbell.model import enums
from openbell.model.events import EVENT
from openbell.services.compiling import compile_apart, is_compiled
from openbell.services.trader.recovery import source_of


def prepare(plan: Plan) -> bool:
    """See that the kernel of a plan is compiled; returns whether it had to be."""
    code = "import sys; from openbell.services.trader.prepare import compile_plan; compile_plan(sys.stdin.buffer.read())"
    return compile_apart(_name(plan), code, msgspec.json.encode(plan.to_dict()))


def is_prepared(plan: Plan) -> bool:
    """Whether the kernel of a plan has been compiled by this code."""
    return is_compiled(_name(plan))


def compile_plan(text: bytes) -> None:
    """Make the engine of a plan and step it once."""
    event = np.zeros(1, EVENT)
    event["seq"], event["kind"], event["instrument"] = 1, enums.TIMER, -1
    Engine(Plan.from_dict(msgspec.json.decode(text))).run(event)


def _name(plan: Plan) -> str:
    text = msgspec.json.encode(plan.to_dict()) + source_of(plan).encode()
    return blake2b(text, digest_size=8).hexdigest()
