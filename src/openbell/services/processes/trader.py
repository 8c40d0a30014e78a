"""`openbell serve trader`: the market-data topic through the kernel, decisions to the others, requests of users in between.

One process trades the strategies whose `trader` is its name, and keeps their journal: the one writer of it, on whatever machine.
"""

import asyncio
import struct

from openbell.adapters.messages.control import Pause, Resume, StatusReply
from openbell.adapters.stores.database import Database
from openbell.adapters.stores.progress import move, read_progress
from openbell.errors import UnknownNameError
from openbell.model import enums
from openbell.services.control.handlers import status_of
from openbell.services.ingest.feed import FeedService
from openbell.services.names import Names
from openbell.services.platform import CHECKPOINT_EVENTS
from openbell.services.processes.process import Process
from openbell.services.topics.names import TICKS
from openbell.services.topics.topic_feed import TopicFeed
from openbell.services.trader.asking import LocalAsk
from openbell.services.trader.decisions import DecisionPublisher
from openbell.services.trader.executions import ExecutionReader
from openbell.services.trader.intake import request_event
from openbell.services.trader.prepare import prepare
from openbell.services.trader.requests import RequestReader
from openbell.services.trader.runs import choose_run, now_ns
from openbell.services.trader.service import TraderService
from openbell.services.trader.trader import Trader


async def build(process: Process) -> None:
    """Take up the trader's newest run, or begin one with the ticks that come from now on."""
    trader = process.trader
    plan = process.plans.get(trader)
    if plan is None:
        raise UnknownNameError.of("trader", trader, process.plans)
    bus, edge = process.bus, process.edge
    database, journal = process.database(), process.journal(trader)
    await asyncio.to_thread(prepare, plan)
    chosen = choose_run(journal, trader, plan, lambda _: False, process.fresh, keep=True)
    running = await asyncio.to_thread(
        Trader.open, journal, chosen.run, plan, None, created_ns=now_ns(), checkpoint_events=CHECKPOINT_EVENTS
    )
    start = {} if running.cursor or not edge.market.KEEPS_HISTORY else await _start(process, database, chosen.run)
    feed = TopicFeed(edge.market, edge.name(TICKS), process.listings, start or "new", f"trader {trader}")
    service = TraderService(bus, running, process.metrics.on_step, remote=True, on_journaled=feed.settle)
    answer_trading(process, service)
    executions = [ExecutionReader(bus, edge, chosen.run, plan)] if plan.venue.fill_model == enums.FILL_OUTSIDE else []
    for batch in journal.batches(chosen.run):
        service.catch_up(batch)
        for reader in executions:
            reader.catch_up(batch)
    process.services += [
        DecisionPublisher(bus, edge, chosen.run, plan, service.confirm),
        RequestReader(bus, edge, trader),
        *executions,
        service,
        FeedService(bus, feed, lambda: running.cursor, "ticks"),
    ]


async def _start(process: Process, database: Database, run: str) -> dict[int, int]:
    """Where a new run begins to read, by partition: noted before anything is read, so that a crash does not move it."""
    topic, market = process.edge.name(TICKS), process.edge.market
    noted = await asyncio.to_thread(database.run, lambda sql: read_progress(sql, f"start {topic} {run}", 0))
    if not noted.state:
        ends: dict[int, int] = await market.ends(topic)  # type: ignore[attr-defined]
        state = struct.pack(f"<{len(ends)}q", *(ends[partition] for partition in sorted(ends)))
        advance = noted.advance(1, state=state)
        await asyncio.to_thread(database.run, lambda sql: move(sql, advance))
        noted = advance.after
    return dict(enumerate(struct.unpack(f"<{len(noted.state) // 8}q", noted.state)))


def answer_trading(process: Process, trader: TraderService) -> None:
    """Answer `pause` and `resume` of a strategy, as events of the one order."""
    names = Names(trader.trader.plan)
    ask = LocalAsk(process.bus, trader)

    async def act(message: Pause | Resume) -> StatusReply | None:
        if message.strategy not in names.strategies:
            return None  # another trader's
        action = enums.REQUEST_PAUSE if isinstance(message, Pause) else enums.REQUEST_START
        await ask(process.trader, request_event(action, strategy=names.strategies.index(message.strategy)))
        return status_of(trader)

    process.channel.on(Pause, act)
    process.channel.on(Resume, act)
