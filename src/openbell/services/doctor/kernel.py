"""The compiled kernel: whether the first start has to compile it, and whether what it compiles can be kept."""

from collections.abc import Iterator

from openbell.config import Settings
from openbell.errors import StorageError
from openbell.model.jit import INTERPRETED, cache_folder
from openbell.services.doctor.disk import existing, refusal
from openbell.services.doctor.finding import Finding, ok, problem, warning
from openbell.services.doctor.strategies import plans_of
from openbell.services.trader.prepare import is_prepared


def cache() -> Iterator[Finding]:
    """The folder that machine code is kept in."""
    path = cache_folder()
    try:
        why = refusal(existing(path))
    except StorageError as error:
        why = error.found
    root = path.parents[1]
    if why:
        yield problem(
            "compile cache", f"{root} cannot be written: {why}", "a folder to keep compiled code", "export OPENBELL_CACHE=/var/tmp/openbell"
        )
    else:
        yield ok("compile cache", str(root))


def compiled(settings: Settings) -> Iterator[Finding]:
    """Whether the kernel of the configured strategies is compiled."""
    if INTERPRETED:
        yield warning(
            "kernel", "OPENBELL_INTERPRETED is set: everything takes a hundred times longer", "compiled code", "unset OPENBELL_INTERPRETED"
        )
        return
    plans = plans_of(settings)
    if not plans:
        return
    if all(is_prepared(plan) for plan in plans):
        yield ok("kernel", "compiled for the configured strategies")
    else:
        yield warning(
            "kernel", "not compiled yet for these strategies: the first start takes 10 to 20 s", "compiled code", "openbell up    # once"
        )
