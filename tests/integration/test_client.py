"""`openbell.Client` against a platform as a user has it: with people and keys, with one that is killed, and where nobody signs in."""

import signal
import threading
import time

import numpy as np
import pytest

import openbell
from openbell.errors import (
    BrokerError,
    ForbiddenError,
    NotSignedInError,
    OrderInDoubtError,
    UnknownNameError,
    UnreachableError,
    UsageError,
)
from openbell.services.processes.fleet import free_port
from openbell.services.views import Candle, Fill, Order, Price, Snapshot
from tests.gateway import platform_with_people, sign_in
from tests.running import Running, running, until
from tests.sinks import Hook

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    """One platform with people for all tests."""
    with platform_with_people(tmp_path_factory.mktemp("client")) as started:
        yield started


@pytest.fixture(scope="module")
def keys(platform):
    """A key of Bob's for everything that he may do, and one of Vera's."""
    return {name: sign_in(platform, name).with_key(*scopes).key
            for name, scopes in (("bob", ("read", "alerts", "trade")), ("vera", ("read",)))}  # fmt: skip


@pytest.fixture
def bob(platform, keys):
    with openbell.Client(platform.url, key=keys["bob"]) as client:
        yield client


def test_the_market(bob):
    """Prices, candles as records and as a frame that a backtest takes, movers and analytics."""
    assert bob.health().status == "healthy"
    assert bob.price("BTCUSDT").price > 0
    assert set(bob.prices(["BTCUSDT", "ETHUSDT"])) == {"BTCUSDT", "ETHUSDT"}
    until(lambda: len(bob.candles("BTCUSDT", "1s", limit=40)) == 40, 60, "candles")
    candles = bob.candles("BTCUSDT", "1s", limit=40)
    assert [type(candle) for candle in candles] == [Candle] * 40
    assert np.all(np.diff([candle.ts for candle in candles]) > 0)
    frame = bob.frame("BTCUSDT", "1s", end=candles[-1].ts)
    assert frame.columns == ["time", "symbol", "open", "high", "low", "close", "volume", "vwap", "trades"]
    assert frame["time"].dt.epoch("ms").to_list()[-5:] == [candle.ts for candle in candles[-6:-1]]
    assert frame.to_numpy(structured=True)["close"][-1] == candles[-2].close
    result = openbell.backtest("rsi", frame, params={"period": 3})
    assert result.counts["orders"] >= 0
    assert {mover.symbol for mover in bob.movers("1m").gainers + bob.movers("1m").losers} <= {"BTCUSDT", "ETHUSDT"}
    assert bob.analytics("BTCUSDT", "1s").symbol == "BTCUSDT"


def test_candles_in_pages(bob, monkeypatch):
    """More than one answer holds are asked for in several, and each candle comes once."""
    until(lambda: len(bob.candles("BTCUSDT", "1s", limit=60)) == 60, 60, "candles")
    end = bob.candles("BTCUSDT", "1s", limit=2)[0].ts
    whole = bob.candles("BTCUSDT", "1s", end=end, limit=50)
    monkeypatch.setattr("openbell.client.market.PAGE_MAX", 7)
    assert bob.candles("BTCUSDT", "1s", end=end, limit=50) == whole
    assert bob.candles("BTCUSDT", "1s", start=whole[-9].ts, end=end, limit=50) == whole[-9:]


def test_orders(bob, monkeypatch):
    """Placed, listed over pages, canceled; the same key is the same order; what is refused says why."""
    price = bob.price("BTCUSDT").price
    placed = bob.submit("BTCUSDT", "buy", 0.01, idempotency_key="mine")
    assert isinstance(placed, Order)
    assert bob.submit("BTCUSDT", "buy", 0.01, idempotency_key="mine").id == placed.id
    with pytest.raises(UsageError):
        bob.submit("BTCUSDT", "buy", 0.02, idempotency_key="mine")
    resting = bob.submit("BTCUSDT", "buy", 0.01, type="limit", limit_price=round(price * 0.97, 2))
    assert bob.cancel(resting.id).status == "canceled"
    with pytest.raises(UsageError, match="is canceled"):
        bob.cancel(resting.id)
    for _ in range(3):
        bob.submit("BTCUSDT", "buy", 0.01)
    bob.steer("bobs", "pause")
    listed = bob.orders(limit=2_000)
    monkeypatch.setattr("openbell.client.trading.PAGE_MAX", 2)
    paged = bob.orders(limit=2_000)
    ids = [order.id for order in paged]
    assert ids[-len(listed) :] == [order.id for order in listed]  # before them stands what was decided meanwhile
    assert len(set(ids)) == len(ids) > 4
    assert len(bob.orders(limit=3)) == 3
    assert {placed.id, resting.id} <= {order.id for order in listed}
    bob.steer("bobs", "start")
    until(lambda: bob.portfolio().executions, what="a fill")
    assert bob.portfolio().initial_cash == 200_000.0
    assert {strategy.id for strategy in bob.strategies()} == {"bobs", placed.strategy}
    assert until(bob.equity, what="a point")[0][1] > 0


def test_alerts_and_channels(tmp_path):
    """Made, changed, tried and removed; what came and what was told."""
    with Hook() as hook, running(tmp_path, "--feed", "simulated", OPENBELL_NOTIFY__ALLOW_PRIVATE="true") as demo, \
            openbell.Client(demo.url) as local:  # fmt: skip
        channel = local.create_channel("hook", hook.url_of(), events=["alert"])
        assert local.test_channel(channel.id).answer == "sent"
        assert local.change_channel(channel.id, minimum="warning").minimum == "warning"
        local.set_template("alert", "{symbol}!")
        alert = local.create_alert("BTCUSDT", "above", 1.0, note="low", idempotency_key="a")
        assert local.create_alert("BTCUSDT", "above", 1.0, note="low", idempotency_key="a").id == alert.id
        events = until(lambda: local.alert_events().events, what="the alert")
        assert [(event.id, event.note) for event in events] == [(alert.id, "low")]
        until(lambda: any(text.startswith("BTCUSDT!") for text in hook.texts), 30, "the message")
        told = until(lambda: local.notifications(state="sent"), what="the log")
        assert [(one.event, one.channel) for one in told] == [("alert", channel.id)]
        later = local.create_alert("BTCUSDT", "above", 1e9)
        assert local.change_alert(later.id, target_price=2e9).target_price == 2e9
        local.delete_alert(later.id)
        assert [one.id for one in local.alerts()] == [alert.id]
        local.delete_channel(channel.id)
        assert local.channels() == []
        assert local.who().via == "local"


def test_who_may_not(platform, keys):
    """The errors are those of the platform, and no text of a client has its key."""
    with openbell.Client(platform.url, key=keys["vera"]) as vera:
        assert vera.who().permissions == ["read"]
        assert [key.name for key in vera.api_keys()] == ["test"]
        assert keys["vera"] not in repr(vera) + repr(vars(vera)["_platform"])
        with pytest.raises(ForbiddenError):
            vera.submit("BTCUSDT", "buy", 0.01)
        with pytest.raises(UnknownNameError, match="BTCUSDT"):
            vera.price("BTCUSD")
        with pytest.raises(UnknownNameError):
            vera.portfolio(owner="bob")
        with pytest.raises(UsageError):
            vera.movers(limit=0)
    for wrong in ("", "obk_0123456789abcdef_nonsense"):
        with openbell.Client(platform.url, key=wrong) as nobody:
            with pytest.raises(NotSignedInError) as refused:
                nobody.portfolio()
            assert "nonsense" not in str(refused.value)
            with pytest.raises(NotSignedInError), nobody.stream(["prices"]) as stream:
                next(stream)


def test_the_key_of_the_environment(platform, keys, monkeypatch):
    """Address and key from `OPENBELL_API_URL` and `OPENBELL_API_KEY`."""
    monkeypatch.setenv("OPENBELL_API_URL", platform.url)
    monkeypatch.setenv("OPENBELL_API_KEY", f"{keys['vera']}\n")
    with openbell.Client() as client:
        assert client.who().name == "vera"


def test_the_stream(platform, keys, bob):
    """A snapshot, then typed messages of the channels that are wanted; the own orders as they happen."""
    with bob.stream(["prices", "orders", "fills", "candles", "services"], ["BTCUSDT"]) as stream:
        first = next(stream)
        assert (first.channel, type(first.data)) == ("snapshot", Snapshot)
        placed = bob.submit("BTCUSDT", "buy", 0.01)
        found = {}
        for message in stream:
            if message.channel != "fills" or message.data.order_id == placed.id:
                found[message.channel] = message
            if set(found) >= {"fills", "orders", "prices", "candles", "services"}:
                break
        assert isinstance(found["fills"].data, Fill)
        assert {type(price) for price in found["prices"].data.values()} == {Price}
        assert set(found["prices"].data) == {"BTCUSDT"}
        assert isinstance(found["candles"].data, Candle)
        assert (stream.connected, stream.gaps) == (1, 0)
    with pytest.raises(StopIteration):
        next(stream)
    with pytest.raises(UsageError, match="there is no channel 'pricks'; the channels are prices"), bob.stream(["pricks"]) as wrong:
        next(wrong)


def test_a_stream_is_closed_from_another_thread(bob):
    """Whoever waits for the next message does not wait for ever."""
    stream = bob.stream(["alerts"])
    assert next(stream).channel == "snapshot"
    threading.Timer(0.2, stream.close).start()
    began = time.monotonic()
    assert list(stream) == []
    assert time.monotonic() - began < 5.0


def test_a_platform_that_is_killed_and_comes_back(tmp_path):
    """The stream begins with another snapshot, and the order with the same key is the same order."""
    with platform_with_people(tmp_path) as before:
        key = sign_in(before, "eve").with_key("read", "trade").key
        client = openbell.Client(before.url, key=key, timeout_s=5.0)
        stream = client.stream(["prices"])
        assert next(stream).channel == "snapshot"
        placed = client.submit("BTCUSDT", "buy", 0.01, idempotency_key="once")
        before.stop(signal.SIGKILL)
        with pytest.raises(UnreachableError):
            client.orders()
        after = Running(tmp_path, "--config", str(tmp_path / "config.yaml"), command="up", port=before.port)
        try:
            again = next(message for message in stream if message.channel == "snapshot")
            assert again.data.prices
            assert (stream.connected, stream.gaps) == (2, 0)
            after.wait_until_healthy()
            assert client.submit("BTCUSDT", "buy", 0.01, idempotency_key="once").id == placed.id
            assert len(client.orders()) == 1
        finally:
            stream.close()
            client.close()
            after.process.kill()
            after.process.wait(10)


def test_nobody_is_there():
    """It is said at once, and for an order that nothing was sent."""
    with openbell.Client(f"http://127.0.0.1:{free_port()}", timeout_s=1.0) as client:
        with pytest.raises(UnreachableError):
            client.submit("BTCUSDT", "buy", 0.01)
        with pytest.raises(UnreachableError), client.stream(["prices"]) as stream:
            next(stream)
    assert not issubclass(UnreachableError, OrderInDoubtError)
    assert issubclass(OrderInDoubtError, BrokerError)
