"""gRPC between processes over PostgreSQL and Kafka: users sign in, services show each other certificates, one is killed."""

import asyncio
import os
import re
import threading
import time
import uuid

import grpc
import pytest

from openbell.adapters.sealing import new_key
from openbell.cli.demo_processes import write_config
from openbell.config import load_settings
from openbell.proto.v1 import (
    alerts_pb2,
    alerts_service_pb2_grpc,
    market_service_pb2,
    market_service_pb2_grpc,
    portfolio_service_pb2,
    portfolio_service_pb2_grpc,
)
from openbell.proto.v1 import alerts_service_pb2 as pb
from openbell.services.processes.fleet import RPC, Fleet, free_port
from openbell.services.stores import place_of
from tests.gateway import add_people, sign_in
from tests.rpc import Authority
from tests.running import Running, until
from tests.servers import environment, fresh_database
from tests.sinks import Hook

pytestmark = [pytest.mark.services, pytest.mark.slow, pytest.mark.timeout(400)]

CALL_S = 20.0


class Gateway(Running):
    """The gateway of a fleet, to be asked over HTTP."""

    def __init__(self, port):
        self.port, self.url = port, f"http://127.0.0.1:{port}"


class Listener(threading.Thread):
    """Hears of every alert of a user that comes, and comes back with `after` when it is cut off."""

    def __init__(self, channel, metadata):
        super().__init__(daemon=True)
        self.heard, self.latest, self.cuts, self.ends = [], None, 0, False
        self.began = threading.Event()
        self._stub, self._metadata = alerts_service_pb2_grpc.AlertsServiceStub(channel), metadata
        self.start()

    def run(self):
        while not self.ends:
            try:
                for message in self._stub.StreamTriggers(pb.StreamTriggersRequest(after=self.latest), metadata=self._metadata):
                    self.heard += [(one.seq, one.alert.id) for one in message.triggers]
                    self.latest = message.latest
                    self.began.set()
                    if self.ends:
                        return
            except grpc.RpcError:
                self.cuts += 1
                time.sleep(0.1)


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    """All of it, with a feed that goes on for minutes: (fleet, gateway, people by HTTP, a channel to the gateway with TLS)."""
    folder = tmp_path_factory.mktemp("rpc")
    authority, port = Authority(folder), free_port()
    places = {name: f"127.0.0.1:{free_port()}" for name in RPC.values()}
    certificate, key = authority.issue("openbell")
    with fresh_database() as base:
        client = {
            **os.environ, **environment(), "DB_NAME": base.database.name, "OPENBELL_BUS__NAMESPACE": f"rpc-{uuid.uuid4().hex[:8]}",
            "OPENBELL_BUS__MARKET": "kafka", "OPENBELL_LOGGING__FORMAT": "json", "OPENBELL_SERVER__SIGN_IN": "true",
            "OPENBELL_SECRETS__KEY": new_key(), "OPENBELL_NOTIFY__ALLOW_PRIVATE": "true",
            "OPENBELL_GRPC__TLS_CERT": certificate, "OPENBELL_GRPC__TLS_KEY": key,
            "OPENBELL_GRPC__TLS_CA": authority.certificate, **places,
        }  # fmt: skip
        config = write_config(folder, "4")
        asyncio.run(add_people(folder, place_of(load_settings(config, None, client, folder).database)))
        with Fleet(config, folder, client) as fleet:
            for name in ("portfolio", "processor", "trader", "alerts"):
                fleet.start(name)
            fleet.start("gateway", "--port", str(port))
            fleet.wait_healthy("portfolio", "processor", "trader", "alerts", "gateway")
            fleet.start("ingest")
            fleet.wait_healthy("ingest")
            gateway = Gateway(port)
            people = {name: sign_in(gateway, name) for name in ("root", "bob", "eve")}
            until(lambda: people["bob"].ask("GET", "/price/BTCUSDT")[0] == 200, 60.0, "a price")
            fleet.wait("alerts", lambda health: len(health.progress["alerts"]) >= 4 + 2, "at work", 60.0)
            with grpc.secure_channel(places[RPC["gateway"]], authority.credentials()) as channel:
                yield fleet, gateway, people, channel, authority, places


def above(person, target):
    """An alert that the next tick triggers, made over HTTP."""
    return person.do("POST", "/alerts", {"symbol": "BTCUSDT", "condition": "above", "target_price": target})


def metadata(person, *more):
    return [("authorization", f"Bearer {person.with_key('read', 'alerts', *more).key}")]


def test_the_alerts_service_lets_services_in_only(platform):
    """A certificate of the platform's authority opens the connection; it still has to be said for whom."""
    *_, authority, places = platform
    for credentials, code in ((authority.credentials(), "UNAVAILABLE"), (authority.credentials("other"), "UNAUTHENTICATED")):
        with grpc.secure_channel(places[RPC["alerts"]], credentials) as channel:
            with pytest.raises(grpc.RpcError) as caught:
                alerts_service_pb2_grpc.AlertsServiceStub(channel).GetAlerts(pb.GetAlertsRequest(), timeout=CALL_S)
            assert caught.value.code().name == code


def test_what_the_gateway_serves(platform):
    """Prices from Redis, candles from PostgreSQL, accounts from the decisions."""
    _, _, people, channel, *_ = platform
    own = metadata(people["root"], "admin")
    market = market_service_pb2_grpc.MarketDataServiceStub(channel)
    assert market.GetPrice(market_service_pb2.GetPriceRequest(symbol="BTCUSDT"), metadata=own, timeout=CALL_S).price.price > 0
    wanted = market_service_pb2.GetCandlesRequest(symbol="BTCUSDT", timeframe="1s")

    def candles():
        """Once one is stored beside the one that is forming."""
        found = market.GetCandles(wanted, metadata=own, timeout=CALL_S).candles
        return [candle.complete for candle in found] if len(found) > 1 else None

    *stored, _ = until(candles, 60.0, "candles")
    assert all(stored)
    call = market.StreamPrices(market_service_pb2.StreamPricesRequest(), metadata=own)
    assert len({next(call).prices[0].ts for _ in range(5)}) > 1
    call.cancel()
    stub = portfolio_service_pb2_grpc.PortfolioServiceStub(channel)
    assert stub.GetPortfolio(portfolio_service_pb2.GetPortfolioRequest(), metadata=own, timeout=CALL_S).initial_cash > 0


def test_alerts_over_http_and_grpc_are_the_same(platform):
    """Made by one way, changed and removed by the other; users see their own."""
    _, _, people, channel, *_ = platform
    bob, eve = people["bob"], people["eve"]
    stub, own = alerts_service_pb2_grpc.AlertsServiceStub(channel), metadata(bob)
    made = above(bob, 1e9)
    [found] = stub.GetAlerts(pb.GetAlertsRequest(), metadata=own, timeout=CALL_S).alerts
    assert (found.id, found.target_price) == (made["id"], 1e9)
    stub.UpdateAlert(pb.UpdateAlertRequest(id=found.id, status=alerts_pb2.ALERT_STATUS_PAUSED), metadata=own, timeout=CALL_S)
    assert [alert["status"] for alert in bob.get("/alerts")["alerts"]] == ["paused"]
    assert eve.get("/alerts")["alerts"] == []
    assert eve.ask("DELETE", f"/alerts/{found.id}")[0] == 404
    with pytest.raises(grpc.RpcError) as caught:
        stub.DeleteAlert(pb.DeleteAlertRequest(id=found.id), metadata=metadata(eve), timeout=CALL_S)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert bob.ask("DELETE", f"/alerts/{found.id}")[0] in (200, 204)
    assert not stub.GetAlerts(pb.GetAlertsRequest(), metadata=own, timeout=CALL_S).alerts


def test_a_channel_of_the_gateway_is_told_by_the_alerts_service(platform):
    """Made over HTTP in one process, told by another; the log of it is its owner's alone."""
    _, _, people, *_ = platform
    bob, eve = people["bob"], people["eve"]
    with Hook() as hook:
        made = bob.do("POST", "/channels", {"name": "hook", "url": hook.url_of(), "events": ["alert"]})
        assert bob.do("POST", f"/channels/{made['id']}/test")["answer"] == "sent"
        above(bob, 1.0)
        until(lambda: any(text.startswith("Alert: BTCUSDT is at or above 1") for text in hook.texts), 60.0, "the alert")
        told = until(lambda: bob.get("/notifications?state=sent")["deliveries"], 30.0, "the log")
        assert [(one["event"], one["channel"]) for one in told] == [("alert", made["id"])]
        assert eve.get("/notifications")["deliveries"] == eve.get("/channels")["channels"] == []
        assert bob.ask("DELETE", f"/channels/{made['id']}")[0] == 204


def test_an_alerts_service_that_is_killed(platform):
    """The gateway says so, and goes on when it is back; who listens hears of every alert once, of those made meanwhile too."""
    fleet, _, people, channel, *_ = platform
    bob, eve = people["bob"], people["eve"]
    listener, other = Listener(channel, metadata(bob)), Listener(channel, metadata(eve))
    for each in (listener, other):
        assert each.began.wait(CALL_S)
    made = [above(bob, 1_000.0 + number)["id"] for number in range(5)]
    until(lambda: len(listener.heard) == 5, 30.0, "five alerts")
    fleet.kill("alerts")
    answers = [bob.ask("GET", "/alerts") for _ in range(20)]
    assert {status for status, *_ in answers} == {503}
    assert any(re.search(r"ry again in \d+ s", str(body)) for _, body, _ in answers[5:]), "it is not asked any more"
    assert bob.ask("GET", "/price/BTCUSDT")[0] == 200, "the rest of the platform goes on"
    fleet.start("alerts")
    fleet.wait_healthy("alerts")
    until(lambda: bob.ask("GET", "/alerts")[0] == 200, 30.0, "alerts again")
    made += [above(bob, 2_000.0 + number)["id"] for number in range(5)]
    until(lambda: len(listener.heard) == 10, 60.0, "ten alerts")
    fleet.kill("gateway")
    until(lambda: listener.cuts, 30.0, "a cut")
    fleet.start_again()
    fleet.wait_healthy("gateway")
    made += [above(bob, 3_000.0 + number)["id"] for number in range(5)]
    until(lambda: len(listener.heard) == 15, 60.0, "fifteen alerts")
    listener.ends = other.ends = True
    assert sorted(id for _, id in listener.heard) == sorted(made)
    assert [seq for seq, _ in listener.heard] == sorted({seq for seq, _ in listener.heard})
    assert other.heard == []
