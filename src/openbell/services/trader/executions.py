"""What a venue outside answered, from the topic `executions` into the trader's one order of events; each answer once.

A message is acknowledged when the answer is journaled. One that comes again is known by its order and its execution id, which stand in the
journal too. What is no execution goes to the dead letters.
"""

import asyncio
from hashlib import blake2b
from typing import Any, cast

import numpy as np
import structlog

from openbell.adapters.buses.base import Bus, RetrySubscription
from openbell.adapters.messages.orders import Execution, decode_execution
from openbell.adapters.stores.base import Batch
from openbell.engine.plan import Plan
from openbell.errors import DataError
from openbell.model import enums
from openbell.model.events import EVENT
from openbell.services.names import Names
from openbell.services.processes.edge import Edge
from openbell.services.service import Service
from openbell.services.topics.names import EXECUTIONS, REQUESTS
from openbell.services.trader.service import Answer, Asked

#: Messages that are journaled together at most.
MESSAGES_MAX = 512
#: Answers that are remembered. A venue does not say again what it said so long ago.
KNOWN_MAX = 1_000_000
_STATUS = {name: number for number, name in enums.STATUS_NAMES.items()}
_REASONS = {text: number for number, text in enums.REASONS.items()}

#: An order, the fingerprint of an execution (0 for a mere status), a status.
Key = tuple[int, int, int]

log = structlog.get_logger("executions")


class ExecutionReader(Service):
    """Reads for one run. The bus for orders HAS_RETRY."""

    name = "executions"

    def __init__(self, bus: Bus, edge: Edge, run: str, plan: Plan) -> None:
        super().__init__()
        self._bus = bus
        self._edge = edge
        self._run = run
        self._instruments = Names(plan).instruments
        self._known: dict[Key, None] = {}
        self.refused = 0

    def catch_up(self, batch: Batch) -> None:
        """Note the answers that the journal holds."""
        replies = batch.events[batch.events["kind"] == enums.REPLY]["reply"]
        for reply in replies:
            self._note((int(reply["order_id"]), int(reply["execution_id"]), int(reply["status"])))

    def _note(self, key: Key) -> bool:
        """Whether an answer is new."""
        if key in self._known:
            return False
        self._known[key] = None
        if len(self._known) > KNOWN_MAX:
            del self._known[next(iter(self._known))]
        return True

    async def run(self) -> None:
        """Until cancelled."""
        group = f"trader {self._run.rpartition('-')[0]}"  # of all its runs: the queue of one that is over would fill up
        subscription = cast(RetrySubscription, self._edge.orders.subscribe(self._edge.name(EXECUTIONS), group))
        try:
            await subscription.ready()
            while messages := await subscription.take(MESSAGES_MAX):
                answers = []
                for message in messages:
                    try:
                        event = self._event(message.payload)
                    except DataError as error:
                        self.refused += 1
                        log.error("execution refused; it is among the dead letters", error=str(error))
                        await subscription.reject(message, str(error))
                        continue
                    if event is not None:
                        reply: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
                        await self._bus.send(REQUESTS, Asked(event, reply))
                        answers.append(reply)
                await asyncio.gather(*answers)
                self.processed += len(answers)
                subscription.ack()
        finally:
            subscription.close()

    def _event(self, payload: bytes) -> Any:
        """The REPLY event of a message; None when it is not for this run, or known. DataError when it cannot be read."""
        execution = decode_execution(payload)
        if execution.run != self._run or execution.venue != "outside" or execution.symbol not in self._instruments:
            return None
        status = _STATUS[execution.status or "accepted"]
        if not self._note((execution.order_id, fingerprint(execution.execution_id), status)):
            return None
        return reply_event(execution, self._instruments[execution.symbol], status)

    @property
    def detail(self) -> str:
        """What was answered, and what could not be read."""
        return f"{self.processed:,} answers" + (f", {self.refused:,} refused" if self.refused else "")


def reply_event(execution: Execution, instrument: int, status: int) -> np.ndarray[Any, Any]:
    """One REPLY event (an array of one, without `seq`), in the session's own time: the time of day would end its candles."""
    event = np.zeros(1, EVENT)
    reason = _REASONS.get(execution.reason, enums.BY_VENUE if status == enums.REJECTED else enums.NONE)
    reply = event["reply"]
    for name, value in (
        ("ts_event", execution.ts_event or execution.ts), ("kind", enums.REPLY), ("status", status), ("reason", reason),
        ("side", enums.BUY if execution.side == "buy" else enums.SELL),
        ("instrument", instrument), ("order_id", execution.order_id), ("quantity", execution.last_lots),
        ("price", execution.last_price or 0.0), ("fee", execution.fee), ("execution_id", fingerprint(execution.execution_id)),
    ):  # fmt: skip
        reply[name] = value
    return event


def fingerprint(execution_id: str) -> int:
    """63 bits of a venue's execution id, 0 for none."""
    return int.from_bytes(blake2b(execution_id.encode(), digest_size=8).digest()) >> 1 if execution_id else 0
