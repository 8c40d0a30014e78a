"""The demo with each service in a process of its own, over real servers, to the end of the recording; and what came of it."""

import contextlib
import hashlib
import os
import secrets
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from openbell.adapters.stores.base import Journal
from openbell.adapters.stores.database import Reading, open_database
from openbell.adapters.stores.orders import fills_of, orders_of
from openbell.cli.demo_exit import counts_of, write_json
from openbell.cli.demo_strategies import strategies
from openbell.config import load_settings
from openbell.engine.engine import Engine
from openbell.engine.plan import Plan
from openbell.model import enums
from openbell.services.processes.edge import check_buses
from openbell.services.processes.fleet import Fleet, environment_of
from openbell.services.processes.process import database_place, open_journal
from openbell.services.processes.status import ProcessHealth

#: Who has to be there before the first tick, in the order in which they are started.
FIRST = ("portfolio", "orders", "processor", "trader")
#: How long (seconds) everything may take.
PATIENCE_S = 60.0


def run_in_processes(speed: str, json: Path | None, data_dir: Path | None) -> None:
    """Run, print what came of it, and write it as JSON."""
    namespace = f"demo-{secrets.token_hex(3)}"
    with tempfile.TemporaryDirectory(prefix="openbell-") as temporary:
        folder = data_dir or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        config = write_config(folder, speed)
        environment = environment_of(OPENBELL_BUS__NAMESPACE=namespace)
        os.environ.update(OPENBELL_BUS__NAMESPACE=namespace)
        settings = load_settings(config, {"trading.data_dir": str(folder)})
        check_buses(settings)
        with Fleet(config, folder, environment) as fleet:
            seconds = play(fleet, 0 if settings.bus.market == "rabbitmq" else settings.bus.partitions)
            fleet.stop()
        with open_journal(settings, "main", writable=False) as journal:
            result = result_of(journal, seconds)
            with contextlib.closing(open_database(database_place(settings))) as database:
                result["recorded"] = recorded(journal, result["run"], database)
    if json is not None:
        write_json(json, result)
    print(
        f"run {result['run']} in {len(fleet.members)} processes: {result['ticks']:,} ticks in {seconds:.2f} s, "
        f"{result['orders']:,} orders, {result['fills']:,} fills, {result['denials']:,} denied, "
        f"final equity {result['final_equity']:,.2f}"
    )
    print(f"decisions {result['decision_hash']}\nstate     {result['state_hash']}")
    record = result["recorded"]
    whose = "those of the journal" if record["identical"] else "NOT those of the journal"
    print(f"on record {record['orders']:,} orders, {record['fills']:,} fills: {whose}")


def write_config(folder: Path, speed: str, traders: Mapping[str, str] | None = None) -> Path:
    """The demo's settings as a file; `traders` names the trader of strategies that are not the main one's."""
    listed = [{key: value for key, value in msgspec.to_builtins(strategy).items() if value != ""} for strategy in strategies()]
    for strategy in listed:
        strategy["trader"] = (traders or {}).get(strategy["id"], strategy["trader"])
    config = folder / "demo.yaml"
    values = {"feed": {"source": "recorded", "speed": speed}, "trading": {"strategies": listed}}
    config.write_bytes(msgspec.json.encode(values))  # JSON is YAML
    return config


def play(fleet: Fleet, partitions: int) -> float:
    """Start everything, play the recording to its end, and wait until everybody has all of it; returns the seconds from first to last."""
    for name in FIRST:
        fleet.start(name, *(("--fresh",) if name == "trader" else ()))
    fleet.wait_healthy(*FIRST)
    began = time.perf_counter()
    fleet.start("ingest")
    ingest = fleet.wait("ingest", is_published, "at the end of the recording", PATIENCE_S)
    published = ingest.progress["publisher"]["confirmed"]
    trader = fleet.wait("trader", lambda health: health.progress["trader"]["events"] >= published, "at the last tick", PATIENCE_S)
    commands = trader.progress["trader"]["commands"]
    told = fleet.wait("trader", lambda health: health.progress["trader"]["sent"] >= commands, "confirmed", 30.0).progress["decisions"]
    fleet.wait("portfolio", lambda health: health.progress["portfolio"]["commands main"] >= commands, "at the last command", 30.0)
    fleet.wait("orders", lambda health: has_recorded(health, told), "at the last order", 30.0)
    seconds = time.perf_counter() - began
    fleet.wait("processor", caught_up(partitions), "at the last tick", 30.0)
    return seconds


def has_recorded(health: ProcessHealth, told: Mapping[str, int]) -> bool:
    """Whether the orders service has stored all that it was told."""
    recorded = health.progress.get("orders", {})
    return all(recorded.get(name, 0) >= index for name, index in told.items())


def caught_up(partitions: int) -> Callable[..., bool]:
    """Whether processors have stored everything that there was when they were first asked, or later.

    Who has no partition is behind with nothing, so together they have to have all `partitions`; 0 where the bus does not say who has which.
    """
    first: dict[int, int] = {}

    def is_it(*healths: ProcessHealth) -> bool:
        told = [health.progress["processor"] for health in healths]
        looked = [one["looks"] >= first.setdefault(number, one["looks"]) + 2 for number, one in enumerate(told)]
        held = sum(name.startswith("partition") for one in told for name in one)
        return held >= partitions and all(looked) and all(one["behind"] == 0 for one in told)

    return is_it


def is_published(health: ProcessHealth) -> bool:
    """Whether a feed has ended and the bus has all of it."""
    feed, publisher = health.progress["feed"], health.progress["publisher"]
    has_ended = health.checks["feed"].detail.endswith("has ended")
    return has_ended and feed["published"] == publisher["taken"] and publisher["published"] == publisher["confirmed"]


def result_of(journal: Journal, seconds: float) -> dict[str, Any]:
    """What the journal says came of the run, in the words of `openbell demo --json`."""
    run = journal.run("last")
    engine = Engine(Plan.from_dict(run.plan))
    digest, is_identical = hashlib.sha256(), True
    for batch in journal.batches(run.id):
        digest.update(batch.commands.tobytes())
        is_identical &= engine.run(batch.events).tobytes() == batch.commands.tobytes()
    head = engine.head
    return {
        "run": run.id,
        **counts_of(head),
        "seconds": round(seconds, 4),
        "identical": is_identical,  # stepped again from the journal
        "decision_hash": digest.hexdigest(),
        "state_hash": engine.state_hash(),
    }


def recorded(journal: Journal, run: str, database: Reading) -> dict[str, Any]:
    """How many orders and fills the orders service has on record, and whether they are exactly those of the journal."""
    orders: dict[str, tuple[str, int, int]] = {}
    fills: dict[str, tuple[str, int, float, int]] = {}
    for batch in journal.batches(run):
        for index, command in enumerate(batch.commands, batch.first_command):
            if command["kind"] not in (enums.SUBMIT, enums.MODIFY, enums.ORDER, enums.FILL):
                continue
            id, lots, filled = f"{run}-{command['order_id']}", int(command["quantity"]), int(command["filled"])
            known = orders.get(id, ("", 0, 0))
            if command["kind"] == enums.FILL:
                fills[f"{run}:{index}"] = id, lots, float(command["price"]), int(command["amount"])
            is_asked = command["kind"] in (enums.SUBMIT, enums.MODIFY) or command["status"] == enums.DENIED
            quantity = max(lots if is_asked else known[1], filled)
            orders[id] = enums.STATUS_NAMES[int(command["status"])], quantity, filled
    found = orders_of(database, run), fills_of(database, run)
    return {"orders": len(found[0]), "fills": len(found[1]), "identical": found == (orders, fills)}
