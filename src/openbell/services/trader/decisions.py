"""What traders decide, between processes: a publisher beside each trader, and a reader wherever somebody follows.

A reader knows commands by their index in the run: what comes twice is dropped, a gap is refused. It follows traders that trade the plan
it has itself; one with another plan is told apart by the plan's hash and not believed.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from hashlib import blake2b

import structlog

from openbell.adapters.buses.base import Bus, Start
from openbell.adapters.messages.decisions import decode_decisions, encode_decisions
from openbell.adapters.messages.orders import OrderInstruction, encode_execution, encode_order
from openbell.engine.plan import Plan
from openbell.errors import DataError
from openbell.services.names import Names
from openbell.services.processes.edge import Edge
from openbell.services.service import Service
from openbell.services.topics.names import COMMANDS, EXECUTIONS, ORDERS, ORDERS_GROUP
from openbell.services.trader.instructions import instructions
from openbell.services.trader.service import Decided

#: Commands in one message, so that it stays far below what a server takes; what one chunk of ticks decides may be more.
PART_COMMANDS = 4_096
#: Of a run's number.
DIGITS_MAX = 18
#: Runs that are remembered as not believed.
FOREIGN_MAX = 20
#: Characters of a run's name that are shown.
RUN_MAX = 80

log = structlog.get_logger("decisions")


def plan_hash(plan: Plan) -> str:
    """Says that two processes mean the same plan."""
    return blake2b(json.dumps(plan.to_dict(), sort_keys=True, allow_nan=False).encode(), digest_size=8).hexdigest()


def trader_of(run: str) -> tuple[str, int]:
    """The trader of a run such as `main-3`, and the run's number; 0 where there is none."""
    trader, _, number = run.rpartition("-")
    return trader, int(number) if number.isascii() and number.isdigit() and len(number) <= DIGITS_MAX else 0


class DecisionPublisher(Service):
    """Takes the commands of this process's trader to the others; `confirm` hears how many are safe with them."""

    name = "decisions"
    reads = (COMMANDS,)

    def __init__(self, bus: Bus, edge: Edge, run: str, plan: Plan, confirm: Callable[[int], Awaitable[None]]) -> None:
        super().__init__()
        self._edge = edge
        self._run = run
        self._plan = plan_hash(plan)
        self._names = Names(plan)
        self._confirm = confirm
        self._inbox = bus.subscribe(COMMANDS)
        self._told: dict[str, int] = {}

    async def start(self) -> None:
        """See that the queues of the orders service are there: what is said before it has ever run waits for it."""
        queues = self._edge.orders.subscribe([self._edge.name(topic) for topic in (ORDERS, EXECUTIONS)], ORDERS_GROUP)
        try:
            await queues.ready()
        finally:
            queues.close()

    async def run(self) -> None:
        """Until the commands are closed and drained."""
        while messages := await self._inbox.take():
            for message in messages:
                await self._publish(message.payload)
            await self._edge.market.flush()
            await self._edge.orders.flush()
            last: Decided = messages[-1].payload
            await self._confirm(last.first + len(last.commands))

    async def _publish(self, decided: Decided) -> None:
        """Orders first: they are what waits outside."""
        for item in instructions(self._names, self._run, decided.first, decided.commands):
            if isinstance(item, OrderInstruction):
                topic, payload = ORDERS, encode_order(item)
            else:
                topic, payload = EXECUTIONS, encode_execution(item)
            await self._edge.orders.send(self._edge.name(topic), payload, self._run)
            self._told[f"{topic} {self._run}"] = item.index + 1
        for start in range(0, len(decided.commands), PART_COMMANDS):
            part = decided.commands[start : start + PART_COMMANDS]
            payload = encode_decisions(self._run, self._plan, decided.first + start, part, int(part[-1]["seq"]))
            await self._edge.market.send(self._edge.name(COMMANDS), payload, self._run)
        self.processed += len(decided.commands)

    def progress(self) -> dict[str, int]:
        """By topic and run, the index behind the last command that the orders service is told of, as that counts it."""
        return dict(self._told)

    @property
    def detail(self) -> str:
        """How much it has published."""
        return f"{self.processed:,} commands of {self._run}"

    @property
    def queue(self) -> int:
        """Messages waiting."""
        return self._inbox.depth


class DecisionReader(Service):
    """Brings what traders decide onto the bus of this process, in order.

    On a bus that keeps no history `reader` names it, and `settle` stores the effect of what was brought, before it is acknowledged.
    """

    name = "follower"

    def __init__(
        self, bus: Bus, edge: Edge, plans: Mapping[str, Plan], start: Start = "oldest", reader: str = "",
        settle: Callable[[], Awaitable[None]] | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self._settle = settle
        self._bus = bus
        self._edge = edge
        self._hashes = {trader: plan_hash(plan) for trader, plan in plans.items()}
        self._start = start
        self._reader = reader
        self._runs: dict[str, str] = {}
        self.refused = 0  # messages
        #: Runs that were not believed.
        self.foreign: set[str] = set()

    async def run(self) -> None:
        """Until cancelled."""
        market = self._edge.market
        topic = self._edge.name(COMMANDS)
        group = "" if market.KEEPS_HISTORY else self._reader
        subscription = market.subscribe(topic, group, self._start if market.KEEPS_HISTORY else "new")
        try:
            await subscription.ready()
            while messages := await subscription.take(64):
                for message in messages:
                    await self._take(message.payload, message.offset)
                if group and self._settle is not None:
                    await self._settle()
                    subscription.ack()
        finally:
            subscription.close()

    async def _take(self, payload: bytes, offset: int) -> None:
        try:
            decisions = decode_decisions(payload)
        except DataError as error:
            self._refuse("?", str(error))
            return
        trader, number = trader_of(decisions.run)
        if self._hashes.get(trader) != decisions.plan:
            self._refuse(decisions.run, "it has another plan, or another configuration, than this process")
            return
        known = self._runs.get(trader, "")
        if decisions.run != known:
            if known and number < trader_of(known)[1]:
                return  # an older run, said again
            self._runs[trader] = decisions.run
            log.info("following", run=decisions.run, command=decisions.first)
        await self._bus.send(COMMANDS, Decided(decisions.first, decisions.commands, trader, decisions.run, offset))
        self.processed += len(decisions.commands)

    def _refuse(self, run: str, why: str) -> None:
        self.refused += 1
        run = run if len(run) <= RUN_MAX else f"{run[:RUN_MAX]}..."
        if run not in self.foreign and len(self.foreign) < FOREIGN_MAX:
            self.foreign.add(run)
            log.error("decisions refused", run=run, why=why)

    @property
    def detail(self) -> str:
        """Whom it follows."""
        followed = ", ".join(self._runs.values()) or "no trader yet"
        return followed + (f"; {self.refused:,} messages refused: {', '.join(sorted(self.foreign))}" if self.refused else "")
