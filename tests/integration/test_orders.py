"""The orders service over RabbitMQ and PostgreSQL: nothing sent twice, nothing lost, whatever is killed, and whatever the venue does.

`KILLS=200 make test-services ARGS=tests/integration/test_orders.py` kills more often; `KILL_SEED` chooses another schedule. The oracle is
the venue's own ledger, written in another process.
"""

import asyncio
import contextlib
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest

from openbell.adapters.buses.rabbitmq.topology import Topology
from openbell.adapters.messages.orders import decode_execution, encode_order
from openbell.adapters.stores.database import open_database
from openbell.adapters.stores.orders import fills_of, orders_of
from openbell.services.stores import place_of
from openbell.services.topics.names import ORDERS_GROUP
from tests.contracts.buses import comes
from tests.rabbitmq import connected
from tests.running import openbell, until
from tests.servers import environment, fresh_database, settings
from tests.simulation.orders_process import DELAYS, bus_of
from tests.simulation.venue import ledger
from tests.unit.services.orders.scene import cancel, change, order, resting

pytestmark = [pytest.mark.services, pytest.mark.slow]

KILLS = int(os.environ.get("KILLS", "24"))
SEED = int(os.environ.get("KILL_SEED", "1"))
#: Orders for each kill.
ORDERS_PER_KILL = 12
ENDED = ("filled", "canceled", "rejected")


class Desk:
    """The processes of one test, its bus, its database, and what it has heard."""

    def __init__(self, folder, topics, prefix, environment, place):
        self.folder, self.topics, self.prefix, self.environment, self.place = folder, topics, prefix, environment, place
        self.bus = bus_of(settings("rabbitmq"), f"{topics}trader", topics, prefix)
        self.heard = {}  # by order, by execution id
        self.process = self.venue = None

    def start(self):
        """An orders service; returns it when it says that it is ready."""
        with (self.folder / "orders.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.simulation.orders_process", str(self.folder), self.topics, self.prefix],
                env=self.environment, stdout=subprocess.PIPE, stderr=log, text=True,
            )  # fmt: skip
        return self.process

    def start_venue(self, seed=SEED):
        self.venue = subprocess.Popen([sys.executable, "-m", "tests.simulation.venue", str(self.folder), str(seed)])
        until((self.folder / "port").exists, 20, "a venue")

    def stop(self):
        for process in (self.process, self.venue):
            if process is not None:
                process.terminate()
                process.wait(20)

    async def say(self, *instructions):
        for instruction in instructions:
            await self.bus.send(f"{self.topics}orders", encode_order(instruction), instruction.run)
        await self.bus.flush()

    async def listen(self):
        """Hear the executions, as a trader does: each once by its id."""
        subscription = self.bus.subscribe(f"{self.topics}executions", "trader")
        await subscription.ready()
        while messages := await subscription.take():
            for message in messages:
                told = decode_execution(message.payload)
                known = self.heard.setdefault(told.order_id, {}).setdefault(told.execution_id, told)
                assert (known.status, known.last_lots) == (told.status, told.last_lots), "one id says two things"
            subscription.ack()

    def status(self, number):
        told = list(self.heard.get(number, {}).values())
        return told[-1].status if told else ""

    def rows(self):
        with contextlib.closing(open_database(self.place)) as database:
            return orders_of(database, "r"), fills_of(database, "r")

    def attempts(self):
        notes = self.folder / "attempts.jsonl"
        return [json.loads(line) for line in notes.read_text().splitlines()] if notes.exists() else []


@pytest.fixture(params=[""])
async def desk(tmp_path, own_name, request):
    """Processes to start, with topics and a database of the test's own; what the test made on the server is removed.

    Everything on the server begins with the parameter, by default with a name of the test's own.
    """
    prefix = request.param or own_name.strip("-")
    server = settings("rabbitmq").rabbitmq
    with fresh_database() as found:
        variables = {**os.environ, **environment(), "DB_NAME": found.database.name, "OPENBELL_LOGGING__FORMAT": "json"}
        made = Desk(tmp_path, own_name, prefix, variables, place_of(found.database))
        queues = made.bus.subscribe([f"{own_name}orders", f"{own_name}executions"], ORDERS_GROUP)
        await queues.ready()
        queues.close()
        listening = asyncio.create_task(made.listen())
        try:
            yield made
        finally:
            made.stop()
            listening.cancel()
            await asyncio.wait({listening})
            await made.bus.close()
            topology = Topology(prefix)
            async with connected(server) as connection:
                channel = await connection.channel(publisher_confirms=False)
                for topic, group in (("orders", ORDERS_GROUP), ("executions", ORDERS_GROUP), ("executions", "trader")):
                    name = f"{prefix}.{own_name}{topic}.{group}"
                    for queue in (name, topology.shelf(name).name):
                        await channel.queue_delete(queue)
                for topic in ("orders", "executions"):
                    await channel.queue_delete(f"{prefix}-partitions.{own_name}{topic}")
                    await channel.exchange_delete(f"{prefix}.{own_name}{topic}")
                if prefix != "openbell":
                    await channel.queue_delete(topology.dead_letters.name)


def instructions_of(number, draw):
    """An order, and for some a change and a cancellation; the cancellation of the rest ends every order."""
    lots = draw.randrange(1, 12)
    if draw.random() < 0.6:
        return [order(number, quantity_lots=lots, quantity=lots / 2)], []
    first = [resting(number, lots + 2)]
    if draw.random() < 0.3:
        first.append(change(number, lots + 20))
    return first, [cancel(number)]


@pytest.mark.timeout(120 + 20 * KILLS)
async def test_killed_at_random_every_order_is_at_the_venue_once(desk):
    """kill -9 at any moment, while the venue hangs, resets, refuses, is late and goes away: each order accepted at most once, none lost.

    What is heard and what is stored is what the venue's ledger says, to the lot.
    """
    draw, count = random.Random(SEED), KILLS * ORDERS_PER_KILL
    desk.start_venue()
    later = []
    for kill in range(KILLS):
        process = desk.start()
        if draw.random() < 0.7:
            assert await asyncio.to_thread(process.stdout.readline) == "ready\n", (desk.folder / "orders.log").read_text()[-2000:]
        for number in range(kill * ORDERS_PER_KILL, (kill + 1) * ORDERS_PER_KILL):
            first, rest = instructions_of(number, draw)
            await desk.say(*first)
            later += rest
        if draw.random() < 0.5 and later:
            await desk.say(*later)
            later = []
        deadline, heard = time.monotonic() + draw.uniform(0.0, 0.6), draw.randrange(1, 8) + len(desk.heard)
        while time.monotonic() < deadline and len(desk.heard) < heard:
            await asyncio.sleep(0.001)  # until so much has been heard, or so much time has passed
        process.send_signal(signal.SIGKILL)
        process.wait()
    await desk.say(*later)
    desk.start()
    numbers = range(count)
    await comes_within(120, lambda: all(desk.status(number) in ENDED for number in numbers), lambda: unfinished(desk, numbers))
    lines = ledger(desk.folder)
    by_order = {number: [line for line in lines if line["id"] == f"r-{number}"] for number in numbers}
    counts = Counter(line["what"] for line in lines)
    assert counts["again"] == 0, [line for line in lines if line["what"] == "again"]
    unsent = [number for number, found in by_order.items() if not found]
    assert all(desk.status(number) == "canceled" for number in unsent), "only what was canceled before it was sent may not be there"
    assert counts["accepted"] + counts["refused"] + len(unsent) == count
    orders, fills = desk.rows()
    for number in numbers:
        found = by_order[number]
        traded = sum(line["lots"] for line in found if line["what"] == "fill")
        told = desk.heard[number].values()
        assert sum(execution.last_lots for execution in told) == traded, number
        assert [execution.status in ENDED for execution in told][:-1].count(True) == 0, "nothing is told after the end"
        status = "rejected" if any(line["what"] == "refused" for line in found) else desk.status(number)
        assert (orders[f"r-{number}"][0], orders[f"r-{number}"][2]) == (status, traded), number
    assert {id: (values[0], values[1]) for id, values in fills.items()} == {
        line["execution"]: (line["id"], line["lots"]) for line in lines if line["what"] == "fill"
    }
    tries = Counter(note["id"] for note in desk.attempts())
    again, doubts = sum(number > 1 for number in tries.values()), sum(in_doubt(told.values()) for told in desk.heard.values())
    print(
        f"seed {SEED}: {KILLS} kills, {count} orders: {counts['accepted']} accepted, {counts['refused']} refused, {counts['fill']} fills,",
        f"{counts['canceled']} canceled, {len(unsent)} canceled before they were sent; {again} tried more than once, {doubts} in doubt;",
        "twice at the venue 0, lost 0",
    )


def in_doubt(told):
    return any(execution.status == "unknown" for execution in told)


async def comes_within(seconds, condition, what):
    """`comes` with a deadline of its own."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s: {what()}"
        await asyncio.sleep(0.02)  # between two looks; the deadline decides


def unfinished(desk, numbers):
    """What is known of the orders that have not ended, for a message."""
    left = {number: [e.status for e in desk.heard.get(number, {}).values()] for number in numbers if desk.status(number) not in ENDED}
    with contextlib.closing(open_database(desk.place)) as database:
        intents = database.select("SELECT client_order_id, command, action, state FROM intents WHERE state <> 'done' ORDER BY command")
    return left, intents, desk.process.poll(), (desk.folder / "orders.log").read_text()[-3000:]


async def test_a_venue_that_cannot_be_reached_is_tried_after_growing_pauses(desk):
    """Nothing left, for certain; when the venue is there, the order is sent, once."""
    desk.start()
    await desk.say(order(1))
    await comes(lambda: len(desk.attempts()) == 3)
    desk.start_venue()
    await comes(lambda: desk.status(1) in ENDED)
    times = [note["at"] for note in desk.attempts()]
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert all(gap >= delay for gap, delay in zip(gaps, DELAYS, strict=False)), gaps
    assert gaps[1] > gaps[0]
    assert [line["what"] for line in ledger(desk.folder) if line["what"] in ("accepted", "again", "refused")] in (["accepted"], ["refused"])


def letters(desk):
    """The dead letters of this test's topics, as the command line lists them."""
    done = openbell("dead-letters", "list", "--json", folder=desk.folder, **environment())
    assert done.returncode == 0, done.stderr
    return [letter for letter in json.loads(done.stdout) if letter["topic"].startswith(desk.topics)]


@pytest.mark.parametrize("desk", ["openbell"], indirect=True)
async def test_what_cannot_be_dealt_with_is_put_aside_with_the_reason_and_can_be_sent_back(desk):
    """A message that is no order, at once; an order whose venue was away too long, after the last attempt. Then it is sent, once."""
    desk.start()
    await desk.bus.send(f"{desk.topics}orders", b"\x08 buy low, sell high", "r")
    await desk.say(order(1))
    await comes_within(30, lambda: len(desk.attempts()) == 1 + len(DELAYS), desk.attempts)
    found = await asyncio.to_thread(until, lambda: (two := letters(desk)) and len(two) == 2 and two)
    nonsense, late = sorted(found, key=lambda letter: letter["attempts"])
    assert ("Order" in nonsense["reason"], nonsense["attempts"], nonsense["group"]) == (True, 1, ORDERS_GROUP)
    assert (late["attempts"], "(5 attempts)" in late["reason"], "does not let us in" in late["reason"]) == (5, True, True)
    assert desk.heard == {}
    desk.start_venue()
    done = await asyncio.to_thread(openbell, "dead-letters", "requeue", late["id"], folder=desk.folder, **environment())
    assert done.stdout == "1 sent back\n"
    await comes(lambda: desk.status(1) in ENDED)
    assert len([line for line in ledger(desk.folder) if line["what"] in ("accepted", "again", "refused")]) == 1
    done = await asyncio.to_thread(openbell, "dead-letters", "drop", nonsense["id"], folder=desk.folder, **environment())
    assert (done.returncode, letters(desk)) == (0, [])
