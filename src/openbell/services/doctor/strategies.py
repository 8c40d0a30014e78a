"""The strategies as they are configured: whether each can be loaded, takes its parameters, and may trade at all."""

from collections.abc import Iterator
from dataclasses import asdict

import msgspec

from openbell.config import Settings, StrategySettings
from openbell.engine.plan import Plan
from openbell.engine.state import first_state
from openbell.errors import OpenbellError
from openbell.model.plan import Limits, Listing
from openbell.services.doctor.finding import Finding, edit, ok, problem, warning
from openbell.services.ingest.markets import listings_of
from openbell.services.plans import make_plan, make_plans
from openbell.strategies.load import load


def strategies(settings: Settings, file: str) -> Iterator[Finding]:
    """One line for all that are well, and one for each that is not; `file` is the one to mend."""
    configured = settings.trading.strategies
    if not configured:
        yield warning(
            "strategies",
            "none are configured",
            "at least one for `openbell up` (the demo brings its own)",
            edit(file, "trading.strategies"),
        )
        return
    listings = listings_of(settings)
    well = []
    for strategy in configured:
        found = [*_faults(strategy, settings, listings, file), *_limits(strategy, file)]
        yield from found
        if not found:
            well.append(strategy.id if strategy.enabled else f"{strategy.id} (not enabled)")
    if len(well) == len(configured):
        try:
            make_plan(settings.trading, listings)
        except OpenbellError as error:
            yield _wrong("strategies", error, file)
            return
    if well:
        yield ok("strategies", ", ".join(well))


def plans_of(settings: Settings) -> list[Plan]:
    """What `openbell up` would run, or the traders of `openbell serve`; nothing where that cannot be told."""
    trading = settings.trading
    if not trading.strategies:
        return []
    try:
        listings = listings_of(settings)
        if settings.bus.market == "inprocess":
            return [make_plan(trading, listings)]
        return list(make_plans(trading, listings).values())
    except OpenbellError:
        return []


def _faults(strategy: StrategySettings, settings: Settings, listings: tuple[Listing, ...], file: str) -> Iterator[Finding]:
    """What keeps one strategy from starting: its file, its symbols, its timeframe, its parameters, its limits."""
    alone = msgspec.structs.replace(settings.trading, strategies=(strategy,))
    try:
        plan = make_plan(alone, listings)
        first_state(plan, [load(assignment.strategy) for assignment in plan.assignments])
    except OpenbellError as error:
        # Most errors name the strategy by themselves.
        named = error.found if strategy.id in error.found else f"{strategy.id}: {error.found}"
        yield _wrong("strategies", type(error)(named, error.expected, error.do), file)


def _limits(strategy: StrategySettings, file: str) -> Iterator[Finding]:
    """Limits under which nothing is ever bought."""
    known = asdict(Limits())
    zero = [name for name, value in strategy.limits.items() if name in known and value == 0 and not isinstance(known[name], bool)]
    zero = [f"limits.{name}" for name in zero] + (["cash"] if strategy.cash == 0 else [])
    if zero and strategy.enabled:
        yield warning(
            f"strategy {strategy.id}",
            f"{', '.join(zero)} is 0, which denies every order",
            "a number above 0, or null for no limit",
            edit(file),
        )


def _wrong(check: str, error: OpenbellError, file: str) -> Finding:
    return problem(check, error.found, error.expected, edit(file, error.do))
