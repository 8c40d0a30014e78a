"""Orders that are filled outside the trader, each service in a process of its own: the kernel's books are the venue's fills."""

import os
from collections import Counter

import msgspec
import numpy as np
import pytest

from openbell.adapters.stores.database import open_database
from openbell.cli.demo_processes import has_recorded, is_published
from openbell.config import load_settings
from openbell.engine.engine import Engine
from openbell.engine.plan import Plan
from openbell.model import enums
from openbell.model.jit import join
from openbell.services.processes.fleet import Fleet
from openbell.services.processes.process import database_place, open_journal
from tests.running import until
from tests.servers import ROOT, environment, fresh_database

pytestmark = [pytest.mark.services, pytest.mark.slow, pytest.mark.timeout(300)]

STRATEGIES = [
    {"id": "in-and-out", "strategy": str(ROOT / "tests/simulation/in_and_out.py"), "symbols": ["BTCUSDT"], "timeframe": ""},
    {
        "id": "all-in", "strategy": "moving_avg_crossover", "symbols": ["BTCUSDT"], "timeframe": "1s",
        "params": {"short_period": 3, "long_period": 8}, "limits": {"order_value_share": 1.0},
    },
]  # fmt: skip


@pytest.fixture
def client(own_name, tmp_path):
    """The environment of a client with names and a database of its own, and its settings file."""
    (tmp_path / "settings.yaml").write_bytes(
        msgspec.json.encode({"feed": {"source": "recorded", "speed": "40"}, "trading": {"fill": "outside", "strategies": STRATEGIES}})
    )
    with fresh_database() as settings:
        yield {
            **os.environ, **environment(), "DB_NAME": settings.database.name, "OPENBELL_BUS__NAMESPACE": own_name.strip("-"),
            "OPENBELL_LOGGING__FORMAT": "json",
        }  # fmt: skip


def quiet(fleet):
    """Wait until nothing comes back any more."""
    seen = []

    def is_quiet():
        health = fleet.health("trader"), fleet.health("orders")
        seen.append([one.progress for one in health])
        return len(seen) > 25 and all(told == seen[-1] for told in seen[-25:])

    until(is_quiet, 60, "nothing to happen any more")


@pytest.mark.parametrize("kills", [0, 4])
def test_the_books_of_the_kernel_are_the_fills_of_the_venue(client, tmp_path, kills):
    """Every order ends filled or canceled, or is open on both sides; positions and cash are the sum of the fills, to the cent.

    The same when the orders service is killed on the way: its venue of paper goes with it and comes back as it was.
    """
    settings = load_settings(tmp_path / "settings.yaml", {"trading.data_dir": str(tmp_path)}, client, tmp_path)
    with Fleet(tmp_path / "settings.yaml", tmp_path, client) as fleet:
        for name in ("orders", "trader"):
            fleet.start(name)
        fleet.wait_healthy("orders", "trader")
        fleet.start("ingest")
        for number in range(kills):
            before = fleet.health("trader").progress["trader"]["commands"]
            fleet.wait(
                "trader", lambda health, before=before: health.progress["trader"]["commands"] > before + 150, f"at kill {number}", 60
            )
            fleet.kill("orders")
            fleet.start("orders")
        fleet.wait("ingest", is_published, "at the end of the recording", 90.0)
        told = fleet.health("trader").progress["decisions"]
        fleet.wait("orders", lambda health: kills > 0 or has_recorded(health, told), "at the last order", 60.0)
        quiet(fleet)
        fleet.stop()
    with open_journal(settings, "main", writable=False) as journal:
        run = journal.run("last")
        batches = list(journal.batches(run.id))
    commands = join([batch.commands for batch in batches if len(batch.commands)])
    engine = Engine(Plan.from_dict(run.plan))
    assert b"".join(engine.run(batch.events).tobytes() for batch in batches) == commands.tobytes()
    database = open_database(database_place(settings))
    rows = database.select("SELECT client_order_id, status, filled FROM orders WHERE run = ?", (run.id,))
    fills = database.select("SELECT client_order_id, quantity, price, fee FROM executions WHERE run = ?", (run.id,))
    database.close()

    booked = commands[commands["kind"] == enums.FILL]
    assert Counter((f"{run.id}-{c['order_id']}", int(c["quantity"]), float(c["price"]), int(c["amount"])) for c in booked) == Counter(fills)
    sent = {f"{run.id}-{order_id}" for order_id in commands["order_id"][commands["kind"] == enums.SUBMIT]}
    denied = {f"{run.id}-{c['order_id']}" for c in commands[(commands["kind"] == enums.ORDER) & (commands["status"] == enums.DENIED)]}
    assert {id for id, *_ in rows} == sent | denied
    is_open = {f"{run.id}-{order['order_id']}" for order in engine.table("orders") if enums.SUBMITTED <= order["status"] <= enums.UNKNOWN}
    statuses = {id: status for id, status, _ in rows}
    assert {id for id in sent if statuses[id] not in ("filled", "canceled")} == is_open
    assert len(is_open) <= 2
    counts = Counter(statuses.values())
    assert counts["filled"] > 20
    assert counts["canceled"] > 5
    events = join([batch.events for batch in batches])
    replies = events[events["kind"] == enums.REPLY]
    refused = commands["seq"][(commands["kind"] == enums.REFUSED) & np.isin(commands["seq"], replies["seq"])]
    late = replies["reply"][np.isin(replies["seq"], refused)]
    assert set(late["status"].tolist()) <= {enums.ACCEPTED}, "what an order asked for since then has overtaken that it was accepted"

    for index, assignment in enumerate(engine.plan.assignments):
        own = booked[booked["strategy"] == index]
        lots = int((own["quantity"] * own["side"]).sum())
        point = next(listing for listing in engine.plan.listings if listing.symbol == "BTCUSDT").lot_size * 1e6
        notional = [int(c["side"]) * int(float(c["price"]) * point * int(c["quantity"]) + 0.5) for c in own]
        account = engine.table("accounts")[index]
        assert int(account["cash"]) == round(assignment.cash * 1e6) - sum(notional) - int(own["amount"].sum())
        count = len(engine.plan.listings)
        assert int(engine.table("positions")[index * count : (index + 1) * count]["quantity"].sum()) == lots
