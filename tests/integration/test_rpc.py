"""The platform in one process over gRPC, seen by programs: every method as every role, and by one that knows no contract."""

import asyncio
import contextlib
from pathlib import Path

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from openbell.model.time import SECOND
from openbell.proto.v1 import (
    alerts_service_pb2,
    alerts_service_pb2_grpc,
    market_service_pb2,
    market_service_pb2_grpc,
    orders_service_pb2,
    orders_service_pb2_grpc,
    portfolio_service_pb2,
    portfolio_service_pb2_grpc,
    trading_pb2,
)
from openbell.services.processes.fleet import free_port
from openbell.services.rpc.callers import METHODS
from tests.gateway import add_people, sign_in, write_config
from tests.running import Running, openbell, running, until

pytestmark = [pytest.mark.integration]

CALL_S = 20.0
BUY = {"symbol": "BTCUSDT", "side": trading_pb2.SIDE_BUY, "quantity": 0.01}
#: What each method is asked, and what each role gets; what is not said is OK.
ALERT = {"symbol": "BTCUSDT", "condition": 1, "target_price": 1e9}
ASKED = {
    "AlertsService/CreateAlert": ALERT, "AlertsService/GetAlerts": {}, "AlertsService/UpdateAlert": {"id": "1", "note": "x"},
    "AlertsService/DeleteAlert": {"id": "1"}, "AlertsService/GetTriggers": {}, "AlertsService/StreamTriggers": {},
    "MarketDataService/GetPrice": {"symbol": "BTCUSDT"}, "MarketDataService/GetCandles": {"symbol": "BTCUSDT", "timeframe": "1s"},
    "MarketDataService/StreamPrices": {}, "MarketDataService/GetMovers": {}, "OrdersService/SubmitOrder": BUY,
    "OrdersService/CancelOrder": {"id": "1"}, "OrdersService/GetOrders": {}, "OrdersService/StreamOrders": {},
    "PortfolioService/GetPortfolio": {}, "PortfolioService/GetEquity": {},
}  # fmt: skip
SERVICES = {
    "AlertsService": (alerts_service_pb2, alerts_service_pb2_grpc), "MarketDataService": (market_service_pb2, market_service_pb2_grpc),
    "OrdersService": (orders_service_pb2, orders_service_pb2_grpc), "PortfolioService": (portfolio_service_pb2, portfolio_service_pb2_grpc),
}  # fmt: skip
#: Permissions of the roles.
MAY = {"vera": {"read", "alerts"}, "bob": {"read", "alerts", "trade"}, "root": {"read", "alerts", "trade", "admin"}}
#: Who may call a method, and asked for something that is not there.
PASSED = (grpc.StatusCode.OK, grpc.StatusCode.NOT_FOUND)


class Program:
    """Calls methods with a key, or without."""

    def __init__(self, channel, key=""):
        self.channel = channel
        self.metadata = [("authorization", f"Bearer {key}")] if key else []

    def call(self, method, timeout=CALL_S, **fields):
        service, _, name = method.partition("/")
        messages, stubs = SERVICES[service]
        request = getattr(messages, f"{name}Request")(**fields)
        return getattr(getattr(stubs, f"{service}Stub")(self.channel), name)(request, timeout=timeout, metadata=self.metadata)

    def ask(self, method, **fields):
        """The answer, or the first of a stream, which ends then."""
        call = self.call(method, **fields)
        if not hasattr(call, "cancel"):
            return call
        answer = next(call)
        call.cancel()
        return answer

    def code(self, method, **fields):
        try:
            self.ask(method, **fields)
        except grpc.RpcError as error:
            return error.code()
        return grpc.StatusCode.OK


@contextlib.contextmanager
def serving(folder, *arguments, **grpc_settings):
    """A platform where users sign in, and its gRPC."""
    config, address = write_config(folder), f"127.0.0.1:{free_port()}"
    asyncio.run(add_people(folder))
    environment = {f"OPENBELL_GRPC__{name.upper()}": value for name, value in {"enabled": "true", "addr": address, **grpc_settings}.items()}
    platform = Running(folder, "--config", str(config), *arguments, command="up", **environment)
    try:
        platform.wait_until_healthy()
        with grpc.insecure_channel(address) as channel:
            yield platform, channel
    finally:
        if platform.process.poll() is None:
            platform.process.kill()
            platform.process.wait(10)


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """A platform, and the session of each person."""
    with serving(tmp_path_factory.mktemp("rpc")) as (platform, channel):
        yield {name: sign_in(platform, name) for name in ("vera", "bob", "eve", "root")}, channel


@pytest.fixture(scope="module")
def platform(people):
    """A program of each person, and one of nobody."""
    sessions, channel = people
    scopes = {**MAY, "eve": MAY["bob"]}
    programs = {name: Program(channel, person.with_key(*sorted(scopes[name])).key) for name, person in sessions.items()}
    programs["nobody"] = Program(channel)
    until(lambda: programs["root"].code("MarketDataService/GetPrice", symbol="BTCUSDT") is grpc.StatusCode.OK, 30.0, "a price")
    return programs


def test_every_method_is_asked():
    """The table of this test leaves none of ours out."""
    assert {f"/openbell.v1.{method}" for method in ASKED} == {method for method in METHODS if "openbell" in method}


@pytest.mark.parametrize("method", ASKED)
def test_every_method_as_every_role(platform, method):
    """Who has the permission is let in, who has not is told so, and nobody else learns anything."""
    needed = METHODS[f"/openbell.v1.{method}"]
    assert platform["nobody"].code(method, **ASKED[method]) is grpc.StatusCode.UNAUTHENTICATED
    for name, may in MAY.items():
        code = platform[name].code(method, **ASKED[method])
        assert code in PASSED if needed in may else code is grpc.StatusCode.PERMISSION_DENIED, name


@pytest.mark.parametrize("scope", ["read", "alerts", "trade"])
def test_a_key_with_one_scope(people, scope):
    """It does what needs this permission, whatever the role of its user, and nothing else."""
    sessions, channel = people
    program = Program(channel, sessions["bob"].with_key(scope).key)
    for method, fields in ASKED.items():
        code = program.code(method, **fields)
        assert code in PASSED if METHODS[f"/openbell.v1.{method}"] == scope else code is grpc.StatusCode.PERMISSION_DENIED, method


def test_prices_and_candles(platform):
    """The latest price, its candles in order of time, and what moved."""
    vera = platform["vera"]
    price = vera.ask("MarketDataService/GetPrice", symbol="BTCUSDT").price
    assert price.symbol == "BTCUSDT"
    assert price.bid <= price.price <= price.ask or price.price > 0
    candles = until(
        lambda: (found := vera.ask("MarketDataService/GetCandles", symbol="BTCUSDT", timeframe="1s").candles) and len(found) > 5 and found,
        30.0, "candles",
    )  # fmt: skip
    assert [candle.ts % SECOND for candle in candles] == [0] * len(candles)
    assert sorted({candle.ts for candle in candles}) == [candle.ts for candle in candles]
    assert all(candle.complete for candle in candles[:-1])
    assert {candle.timeframe_ns for candle in candles} == {SECOND}
    some = vera.ask("MarketDataService/GetCandles", symbol="BTCUSDT", timeframe="1s", start=candles[2].ts, end=candles[4].ts)
    assert [candle.ts for candle in some.candles] == [candles[2].ts, candles[3].ts]
    last = vera.ask("MarketDataService/GetCandles", symbol="BTCUSDT", timeframe="1s", limit=2)
    assert len(last.candles) == 2
    movers = vera.ask("MarketDataService/GetMovers", limit=1)
    assert len(movers.most_active) == 1
    for fields in ({"symbol": "BTC"}, {"symbol": "BTCUSDT", "timeframe": "7m"}):
        assert vera.code("MarketDataService/GetCandles", **fields) is grpc.StatusCode.NOT_FOUND
    for fields in ({"timeframe": "x"}, {"start": -1}, {"limit": 5001}):
        code = vera.code("MarketDataService/GetCandles", **{"symbol": "BTCUSDT", "timeframe": "1s", **fields})
        assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert vera.code("MarketDataService/GetPrice", symbol="NONE") is grpc.StatusCode.NOT_FOUND


def test_a_stream_of_prices(platform):
    """What is known comes at once, then what changes, of the symbols that are wanted; a symbol that is not listed is refused."""
    vera = platform["vera"]
    call = vera.call("MarketDataService/StreamPrices", symbols=["BTCUSDT"])
    times = [next(call).prices[0].ts for _ in range(10)]
    call.cancel()
    assert times == sorted(times)
    assert len(set(times)) > 5
    call = vera.call("MarketDataService/StreamPrices")
    symbols = {price.symbol for _ in range(10) for price in next(call).prices}
    call.cancel()
    assert symbols == {"BTCUSDT", "ETHUSDT"}
    assert vera.code("MarketDataService/StreamPrices", symbols=["NONE"]) is grpc.StatusCode.NOT_FOUND


def test_an_order_from_its_making_to_its_end(platform):
    """Placed once however often it is asked for, seen by its owner and administrators only, streamed as it changes, and canceled."""
    eve, bob, root = platform["eve"], platform["bob"], platform["root"]
    call = eve.call("OrdersService/StreamOrders")
    assert not next(call).orders
    below = round(0.98 * eve.ask("MarketDataService/GetPrice", symbol="BTCUSDT").price.price, 2)
    wanted = {**BUY, "type": trading_pb2.ORDER_TYPE_LIMIT, "limit_price": below, "request_id": "far"}
    made = [eve.ask("OrdersService/SubmitOrder", **wanted).order for _ in range(3)]
    assert len({order.id for order in made}) == 1
    assert (made[0].limit_price, made[0].time_in_force) == (below, trading_pb2.TIME_IN_FORCE_GTC)
    assert eve.code("OrdersService/SubmitOrder", **{**wanted, "quantity": 0.02}) is grpc.StatusCode.INVALID_ARGUMENT
    assert [order.id for order in eve.ask("OrdersService/GetOrders").orders] == [made[0].id]
    assert made[0].id in [order.id for order in root.ask("OrdersService/GetOrders", limit=2000).orders]
    assert made[0].id in [order.id for order in root.ask("OrdersService/GetOrders", owner="eve").orders]
    assert made[0].id not in [order.id for order in bob.ask("OrdersService/GetOrders", limit=2000).orders]
    assert bob.code("OrdersService/GetOrders", owner="eve") is grpc.StatusCode.NOT_FOUND
    assert bob.code("OrdersService/CancelOrder", id=made[0].id) is grpc.StatusCode.NOT_FOUND
    assert eve.ask("OrdersService/CancelOrder", id=made[0].id).order.status == trading_pb2.ORDER_STATUS_CANCELED
    assert eve.code("OrdersService/CancelOrder", id=made[0].id) is grpc.StatusCode.INVALID_ARGUMENT
    seen = []
    while not seen or seen[-1].status != trading_pb2.ORDER_STATUS_CANCELED:
        seen += next(call).orders
    call.cancel()
    assert {order.id for order in seen} == {made[0].id}
    bought = eve.ask("OrdersService/SubmitOrder", **BUY).order
    until(lambda: eve.ask("OrdersService/GetOrders").orders[0].status == trading_pb2.ORDER_STATUS_FILLED, 20.0, "a fill")
    found = eve.ask("PortfolioService/GetPortfolio", executions=10)
    assert [(fill.order_id, fill.side) for fill in found.executions] == [(bought.id, trading_pb2.SIDE_BUY)]
    assert [(position.symbol, position.quantity) for position in found.positions] == [("BTCUSDT", 0.01)]
    assert found.equity == pytest.approx(found.cash + found.positions[0].value)
    curve = eve.ask("PortfolioService/GetEquity", limit=10)
    assert len(curve.ts) == len(curve.equity) <= 10
    assert root.ask("PortfolioService/GetPortfolio").initial_cash > found.initial_cash
    assert not [fill for fill in bob.ask("PortfolioService/GetPortfolio", executions=1000).executions if fill.order_id == bought.id]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"side": 0}, "the side is missing; expected one of buy, sell."),
        ({"side": 7}, "the side is 7"),
        ({"type": 99}, "the type is 99"),
        ({"quantity": -1.0}, "Expected `float` > 0.0"),
        ({"quantity": float("nan")}, ""),
        ({"limit_price": 5.0}, "a market order came with limit_price"),
        ({"type": trading_pb2.ORDER_TYPE_LIMIT}, "a limit order came with no price"),
        ({"symbol": "x" * 33}, "Expected `str` of length <= 32"),
        ({"request_id": "x" * 256}, "the id of the request is"),
    ],
)
def test_an_order_that_makes_no_sense(platform, changes, words):
    """Is INVALID_ARGUMENT, with what is wrong."""
    with pytest.raises(grpc.RpcError) as caught:
        platform["eve"].ask("OrdersService/SubmitOrder", **{**BUY, **changes})
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert words in caught.value.details()


def test_an_alert_that_comes(platform):
    """Made over gRPC, compared with the ticks of the same process, and streamed to its owner; not to others."""
    eve, bob = platform["eve"], platform["bob"]
    streams = {program: program.call("AlertsService/StreamTriggers", timeout=60.0) for program in (eve, bob)}
    begins = {program: next(call).latest for program, call in streams.items()}
    price = eve.ask("MarketDataService/GetPrice", symbol="BTCUSDT").price.price
    made = eve.ask("AlertsService/CreateAlert", symbol="BTCUSDT", condition=1, target_price=price * 0.5).alert
    told = next(streams[eve])
    assert [one.alert.id for one in told.triggers] == [made.id]
    assert told.triggers[0].alert.triggered_price >= price * 0.5
    assert told.latest > begins[eve]
    own = bob.ask("AlertsService/CreateAlert", symbol="BTCUSDT", condition=1, target_price=price * 0.5).alert
    assert [one.alert.id for one in next(streams[bob]).triggers] == [own.id]
    for call in streams.values():
        call.cancel()


def test_a_program_that_knows_no_contract(tmp_path):
    """By reflection alone, as grpcurl does: it makes an alert on a price that the recording crosses, and hears that it came."""
    address = f"127.0.0.1:{free_port()}"
    environment = {"OPENBELL_GRPC__ENABLED": "true", "OPENBELL_GRPC__ADDR": address, "OPENBELL_GRPC__REFLECTION": "true"}
    with running(tmp_path, "--speed", "60", **environment), grpc.insecure_channel(address) as channel:
        pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
        service = pool.FindServiceByName("openbell.v1.AlertsService")

        def method(name):
            found = service.methods_by_name[name]
            make = channel.unary_stream if found.server_streaming else channel.unary_unary
            call = make(
                f"/{service.full_name}/{name}", lambda message: message.SerializeToString(), GetMessageClass(found.output_type).FromString
            )
            return lambda fields, **options: call(GetMessageClass(found.input_type)(**fields), **options)

        listening = method("StreamTriggers")({}, timeout=60.0)
        next(listening)
        wanted = {"symbol": "BTCUSDT", "condition": "ALERT_CONDITION_ABOVE", "target_price": 61_800.0, "note": "by reflection"}
        made = method("CreateAlert")(wanted, timeout=CALL_S).alert
        told = next(listening).triggers[0].alert
    assert (told.id, told.note, told.symbol) == (made.id, "by reflection", "BTCUSDT")
    assert told.triggered_price >= 61_800.0


def test_the_demo_serves_no_grpc_unless_it_is_asked_to(tmp_path):
    """And loads nothing of it."""
    with running(tmp_path, "--speed", "10") as demo:
        names = {service["name"] for service in demo.get("/services")["services"]}
        maps = Path(f"/proc/{demo.process.pid}/maps").read_text()
    assert "grpc" not in names
    assert "cygrpc" not in maps


def test_where_it_must_not_listen(tmp_path):
    """An address that others can reach stops the platform before anything slow begins."""
    done = openbell("demo", folder=tmp_path, OPENBELL_GRPC__ENABLED="true", OPENBELL_GRPC__ADDR="0.0.0.0:0")
    assert done.returncode == 3
    assert "grpc.addr is '0.0.0.0:0', which other machines can reach" in done.stderr
    assert "Traceback" not in done.stderr
