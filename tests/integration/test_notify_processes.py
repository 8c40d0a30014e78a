"""Notifications of a platform in several processes, over real servers: two that may tell, of which one is killed."""

import collections
import re

import pytest

from openbell.adapters.stores.alerts import NewAlert
from openbell.adapters.stores.delivery_log import DeliveryLog
from openbell.cli.demo_processes import is_published
from openbell.model import enums
from openbell.services.ingest.recordings import shipped_session
from openbell.services.notifier.channels import Channels, NewChannel
from openbell.services.stores import sealer_of
from tests.integration.test_alerts import Platform
from tests.running import until
from tests.servers import fresh_database
from tests.sinks import Hook

pytestmark = [pytest.mark.services, pytest.mark.slow, pytest.mark.timeout(400)]

NAMES = ("alerts", "alerts-2")
#: Of the demo's strategies over the recording.
FILLS = 51


def highest():
    """The highest price of each symbol in the recording."""
    source, listings = shipped_session()
    found = dict.fromkeys((listing.symbol for listing in listings), 0.0)
    for events in source.chunks(0):
        trades = events[events["kind"] == enums.TRADE]
        for number, listing in enumerate(listings):
            prices = trades["trade"]["price"][trades["instrument"] == number]
            found[listing.symbol] = max(found[listing.symbol], prices.max(initial=0.0))
    return found


def tells(fleet):
    """The process that tells, None while there is none."""
    for name in NAMES:
        health = fleet.health(name)
        if health is not None and health.progress.get("notifier", {}).get("telling"):
            return name
    return None


@pytest.mark.parametrize(("market", "messages"), [("kafka", 0), ("redis", 4)])
def test_who_tells_is_killed(tmp_path, market, messages):
    """Another one goes on where it stood: every fill and every alert is in the list once, and comes at least once.

    It is killed after so many messages; before anything was decided when there are none.
    """
    with fresh_database() as settings, Hook() as hook, Platform(tmp_path, settings, 60.0, market) as platform, platform.fleet as fleet:
        fleet._environment |= {"OPENBELL_NOTIFY__ALLOW_PRIVATE": "true", "OPENBELL_NOTIFY__STORM": "100000"}
        channels = Channels(platform.database, lambda: sealer_of(platform.settings), allow_private=True)
        channels.create(0, NewChannel("hook", hook.url_of(), ("fill", "alert", "disconnect")))
        alerts = platform.store.create(
            0,
            *(
                NewAlert(symbol, "above", price + step)
                for symbol, price in (("BTCUSDT", 61_500.0), ("ETHUSDT", 2_670.0))
                for step in range(10)
            ),
        )
        platform.start(*NAMES)
        leader = until(lambda: tells(fleet), 60.0, "one that tells")
        for name in ("portfolio", "orders", "trader"):
            fleet.start(name, *(("--fresh",) if name == "trader" else ()))
        fleet.wait_healthy("portfolio", "orders", "trader")
        if messages:
            fleet.start("ingest")
            until(lambda: len(hook.texts) >= messages, 60.0, "something that is told")
        fleet.kill(leader)
        if not messages:
            fleet.start("ingest")
        other = until(lambda: (name := tells(fleet)) != leader and name, 60.0, "another one that tells")
        assert other in NAMES
        published = fleet.wait("ingest", is_published, "at the end of the recording", 120.0).progress["publisher"]["confirmed"]
        fleet.wait("trader", lambda health: health.progress["trader"]["events"] >= published, "at the last tick", 60.0)
        trader = fleet.wait(
            "trader", lambda health: health.progress["trader"]["sent"] >= health.progress["trader"]["commands"], "out", 30.0
        )
        log = DeliveryLog(platform.database)
        prices = highest()
        crossed = {f"alert {alert.id} 1" for alert in alerts if alert.target_price <= prices[alert.symbol]}
        assert crossed
        assert trader.progress["trader"]["commands"] > 0

        def all_told():
            counts = collections.Counter(row.event for row in log.page(limit=1000))
            return counts["fill"] == FILLS and counts["alert"] == len(crossed) and set(log.counts()) == {"sent"}

        until(all_told, 120.0, "everything told")
        rows = log.page(limit=1000)
        assert len({row.id for row in rows}) == len(rows)
        assert {row.id for row in rows if row.event == "alert"} == crossed
        told = collections.Counter(int(re.search(r"\(#(\d+)\)$", text)[1]) for text in hook.texts)
        assert set(told) == {row.number for row in rows}
        assert sum(told.values()) - len(told) <= 1
        fleet.kill("trader")
        until(lambda: any("Service trader failed: nothing heard of it" in text for text in hook.texts), 60.0, "the death of the trader")
