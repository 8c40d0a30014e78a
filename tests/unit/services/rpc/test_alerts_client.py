"""The way of a gateway to the alerts service: the same alerts as in the store, and a service that is away is no reason to wait."""

import asyncio
import contextlib
import socket
import time

import grpc
import pytest

from openbell.adapters.stores.alert_rules import NewAlert, Schedule, Series, Spec
from openbell.errors import BusError, NotSignedInError, StorageError, UnknownNameError, UsageError
from openbell.services.alerts.access import StoredAlerts
from openbell.services.processes.fleet import free_port
from openbell.services.rpc import alerts_client as module
from openbell.services.rpc.alerts_client import AlertsClient
from openbell.services.rpc.breaker import FAILURES_MAX, OPEN_S, Breaker
from openbell.services.rpc.callers import seal
from openbell.services.rpc.places import CHANNEL_OPTIONS
from tests.accounts import opened
from tests.rpc import CALL_S, SEALER, alerts_server, settings
from tests.unit.services.rpc.test_alerts import fire

WANTED = NewAlert("AAPL", "above", 150.0, note="sell half")
EVERYTHING = NewAlert(
    "AAPL", "indicator_crosses_below", -2.0, Spec(indicator=Series("price"), against=Series("sma", "1h")), "every", 90.5, 1.5,
    1_900_000_000_000_000_000, Schedule("us"), "überkauft",
)  # fmt: skip


@contextlib.asynccontextmanager
async def client_to(address, **options):
    client = AlertsClient(lambda: grpc.aio.insecure_channel(address, CHANNEL_OPTIONS), **options)
    try:
        yield client
    finally:
        await client.close()


@pytest.fixture
async def both(tmp_path):
    """A client, and the service it speaks to."""
    async with alerts_server(tmp_path / "platform.db") as alerts, client_to(alerts.address) as client:
        yield client, alerts


def without_revision(row):
    from msgspec.structs import replace

    return replace(row, revision=0)


async def test_alerts_are_those_of_the_store(both):
    """Made, found, changed and removed over gRPC, a row says what it says in the store, and errors are the same errors."""
    client, alerts = both
    stored = StoredAlerts(alerts.store)
    made = [await client.create(0, wanted) for wanted in (WANTED, EVERYTHING)]
    assert made == [without_revision(row) for row in await stored.find(None)] == await client.find(None)
    assert await client.find(None, "MSFT") == []
    assert await client.find(None, limit=1) == made[:1]
    assert await client.find(None, after=made[0].id) == made[1:]
    assert await client.find(None, limit=0) == []
    for changes in (
        {"target_price": 151.0, "mode": "every", "cooldown_s": 5.0, "hysteresis": 1.0}, {"status": "paused"}, {"note": "x", "expires": 5},
        {"schedule": Schedule("india"), "condition": "below", "symbol": "MSFT"}, {"schedule": None, "expires": None, "status": "active"},
        {"condition": "move_above", "spec": Spec(window_s=60)},
    ):  # fmt: skip
        changed = await client.update(None, made[0].id, changes)
        assert changed == without_revision((await stored.find(None))[0]) == (await client.find(None))[0]
        assert {name: getattr(changed, name) for name in changes} == changes
    fire(alerts.store, made[1].id, price=151.5)
    assert await client.find(None) == [without_revision(row) for row in await stored.find(None)]
    assert await client.events(None) == await stored.events(None) != []
    assert await client.events(None, since=1) == []
    assert await client.events(None, alert=made[0].id) == []
    assert (await client.delete(None, made[0].id), await client.delete(None, made[0].id)) == (True, False)
    assert await client.find(None, status="canceled") == [without_revision(row) for row in await stored.find(None, status="canceled")]
    for asked, kind, words in (
        (client.create(0, NewAlert("APPL", "above", 1.0)), UnknownNameError, "Did you mean 'AAPL'"),
        (client.update(None, 99, {"note": "x"}), UnknownNameError, "there is no alert 99"),
        (client.update(None, made[1].id, {"target_price": float("inf")}), UsageError, "the target of an alert is inf"),
        (client.update(None, made[1].id, {"colour": "red"}), UnknownNameError, "there is no field of an alert 'colour'"),
    ):
        with pytest.raises(kind, match=words) as caught:
            await asked
        assert type(caught.value) is kind
    assert not client.breaker.is_open, "a service that says no is one that answers"


async def test_a_request_makes_one_alert(both):
    """Asked again with the same id; without one every call makes one."""
    client, _ = both
    assert len({(await client.create(0, WANTED, "r1")).id for _ in range(3)}) == 1
    assert len({(await client.create(0, WANTED)).id for _ in range(3)}) == 3


async def test_for_whom_it_asks(tmp_path):
    """It vouches for the user; who is not one of the platform's gateways is believed nothing."""
    async with opened(tmp_path / "platform.db") as accounts, alerts_server(tmp_path / "platform.db", accounts) as alerts:
        from tests.accounts import add_user

        ann, bob = [await add_user(accounts, name) for name in ("ann", "bob")]
        async with client_to(alerts.address, vouch=lambda owner: seal(SEALER, owner)) as client:
            made = {owner: (await client.create(owner, WANTED)).id for owner in (ann, bob, 0)}
            for owner, id in made.items():
                assert [row.id for row in await client.find(owner)] == [id]
                assert [row.owner for row in await client.find(owner)] == [owner]
            assert [row.id for row in await client.find(None)] == sorted(made.values())
            assert not await client.delete(ann, made[bob])
            with pytest.raises(UnknownNameError):
                await client.update(ann, made[bob], {"note": "x"})
        async with client_to(alerts.address) as stranger:
            with pytest.raises(NotSignedInError):
                await stranger.find(None)


async def test_what_breaks_inside_the_service_has_its_name(both):
    """A database that is gone is a StorageError here too; the service itself answers."""
    client, alerts = both
    alerts.store._database.close()
    with pytest.raises(StorageError):
        await client.find(None)
    assert not client.breaker.is_open


class Clock:
    """Seconds, as long as nobody moves it."""

    now = 100.0

    def __call__(self):
        return self.now


async def test_a_service_that_dies_and_comes_back(tmp_path):
    """After some failures calls are refused at once; then one is tried now and then, until it is there again."""
    clock, port = Clock(), free_port()
    wanted = settings(alerts_addr=f"127.0.0.1:{port}")
    async with client_to(f"127.0.0.1:{port}", breaker=Breaker("the alerts service", clock), call_s=CALL_S) as client:
        async with alerts_server(tmp_path / "platform.db", wanted=wanted):
            made = await client.create(0, WANTED)
        failures = 0
        while not client.breaker.is_open:
            with pytest.raises(BusError, match="the alerts service does not answer"):
                await client.find(None)
            failures += 1
        assert failures <= FAILURES_MAX
        for _ in range(1000):
            with pytest.raises(BusError, match="Try again in 5 s"):  # nothing was sent
                await client.find(None)
        clock.now += OPEN_S
        with pytest.raises(BusError):  # one is tried, and the service is still away
            await client.find(None)
        with pytest.raises(BusError, match="Try again in 5 s"):
            await client.find(None)
        async with alerts_server(tmp_path / "platform.db", wanted=wanted):
            with pytest.raises(BusError, match="Try again in 5 s"):  # it is there, and nobody knows yet
                await client.find(None)
            deadline = time.monotonic() + CALL_S
            while client.breaker.is_open:  # the channel needs a moment to connect again
                assert time.monotonic() < deadline
                clock.now += OPEN_S
                with contextlib.suppress(BusError):
                    assert [row.id for row in await client.find(None)] == [made.id]
                await asyncio.sleep(0.02)
            assert [row.id for row in await client.find(None)] == [made.id]


async def test_one_call_at_a_time_is_tried_while_it_is_open():
    """However many ask when the time has come, one is sent."""
    clock = Clock()
    breaker = Breaker("it", clock)
    for _ in range(FAILURES_MAX):
        breaker.check()
        breaker.failed()
    clock.now += OPEN_S
    let_through = 0
    for _ in range(10):
        with contextlib.suppress(BusError):
            breaker.check()
            let_through += 1
    assert let_through == 1
    breaker.succeeded()
    assert not breaker.is_open
    breaker.failed()
    breaker.check()


async def test_a_service_that_hangs_is_waited_for_until_the_deadline():
    """Who takes the connection and says nothing is not waited for for ever."""
    with socket.create_server(("127.0.0.1", 0)) as silent:  # the system takes connections for it
        async with client_to(f"127.0.0.1:{silent.getsockname()[1]}", call_s=0.3) as client:
            with pytest.raises(BusError, match="does not answer"):
                await asyncio.wait_for(client.find(None), 5.0)


class Flaky:
    """Around a stub: the answers of some calls get lost on their way, after the service has done what it was asked for."""

    def __init__(self, stub, lost):
        self.stub, self.lost, self.calls = stub, lost, 0

    def __getattr__(self, method):
        async def call(*arguments, **options):
            self.calls += 1
            answer = await getattr(self.stub, method)(*arguments, **options)
            if self.calls <= self.lost:
                raise grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), grpc.aio.Metadata(), "Socket closed")
            return answer

        return call


@pytest.mark.parametrize("lost", [1, 2, 3])
async def test_answers_that_get_lost(both, lost):
    """What is asked again is done once: an alert is made once, and one that was removed is removed."""
    client, alerts = both
    client._connected()

    async def outcome(asked):
        client._stub = Flaky(client._stub.stub if isinstance(client._stub, Flaky) else client._stub, lost)
        client.breaker.succeeded()
        try:
            return await asked()
        except BusError:
            return "in doubt"

    made = await outcome(lambda: client.create(0, WANTED))
    rows = alerts.store.find()
    assert len(rows) == 1
    assert made == ("in doubt" if lost >= module.TRIES_MAX else without_revision(rows[0]))
    assert await outcome(lambda: client.find(None)) == ("in doubt" if lost >= module.TRIES_MAX else [without_revision(rows[0])])
    assert await outcome(lambda: client.update(None, rows[0].id, {"note": "x"})) == "in doubt", "it is asked once"
    assert await outcome(lambda: client.delete(None, rows[0].id)) is True, "the second try finds nothing: the first has removed it"
    assert alerts.store.find() == []


async def test_what_came_is_heard_once_however_often_the_service_dies(tmp_path):
    """A stream that is cut off goes on where it was: before the first alert too, and while alerts came that nobody heard of."""
    port = free_port()
    wanted = settings(alerts_addr=f"127.0.0.1:{port}")
    heard = []
    async with client_to(f"127.0.0.1:{port}") as client:
        stream, beginning = client.triggers(None), asyncio.Event()

        async def listen():
            async for events, _ in stream:
                beginning.set()
                heard.extend((event.seq, event.alert) for event in events)

        listening, expected = None, []
        for life in range(4):
            async with alerts_server(tmp_path / "platform.db", wanted=wanted) as alerts:
                if listening is None:
                    listening = asyncio.create_task(listen())
                    await asyncio.wait_for(beginning.wait(), CALL_S)
                else:
                    rows = alerts.store.create(0, *[WANTED] * 5)
                    fire(alerts.store, *(row.id for row in rows[:2]))
                    fire(alerts.store, *(row.id for row in rows[2:]))
                    expected += [row.id for row in rows]
                    if life % 2:
                        deadline = time.monotonic() + CALL_S
                        while len(heard) < len(expected):
                            assert time.monotonic() < deadline
                            await asyncio.sleep(0.02)
        async with alerts_server(tmp_path / "platform.db", wanted=wanted):
            deadline = time.monotonic() + CALL_S
            while len(heard) < len(expected):
                assert time.monotonic() < deadline
                await asyncio.sleep(0.02)
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
            await stream.aclose()
    assert heard == list(enumerate(expected, 1))
