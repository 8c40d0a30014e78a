"""The demo as a user has it: a real process, real HTTP and WebSocket, real kills."""

import asyncio
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time

import pytest
import websockets

from openbell.services.processes.fleet import free_port
from tests.running import Running, clean_environment, openbell, running, until

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """One demo on a simulated market, fast enough that something happens."""
    with running(tmp_path_factory.mktemp("demo"), "--feed", "simulated", "--speed", "20") as started:
        until(lambda: started.get("/portfolio")["executions"], 60, "a fill")
        yield started


# Routes.


def test_health(demo):
    """Healthy, with a check for the database and every service, a timestamp and the version."""
    health = demo.get("/health")
    assert health["status"] == "healthy"
    assert health["timestamp"].endswith("Z")
    assert {"database", "feed", "trader", "processor", "portfolio", "gateway"} <= set(health["checks"])


def test_api_root_and_openapi(demo):
    """The root names the routes; the document describes each with its errors."""
    root = demo.get("/api")
    assert (root["name"], root["openapi"]) == ("openbell", "/openapi.json")
    document = demo.get("/openapi.json")
    assert {"/price/{symbol}", "/candles/{symbol}", "/orders", "/strategies/{strategy}/{action}"} <= set(document["paths"])
    answers = document["paths"]["/orders"]["post"]["responses"]
    assert {"201", "400", "404", "422", "503"} <= set(answers)
    assert answers["422"]["content"]["application/problem+json"]["schema"]["$ref"].endswith("/Problem")
    names = set(document["components"]["schemas"])
    references = {part.split('"')[0] for part in json.dumps(document).split("#/components/schemas/")[1:]}
    assert references <= names


def test_price_and_candles(demo):
    """A last price with its quote; candles oldest first, the last one open, all of one symbol and timeframe."""
    price = demo.get("/price/BTCUSDT")
    assert price["bid"] < price["ask"]
    assert price["symbol"] == "BTCUSDT"
    until(lambda: len(demo.get("/candles/BTCUSDT?timeframe=1s")["candles"]) > 5)
    candles = demo.get("/candles/BTCUSDT?timeframe=1s&limit=5")["candles"]
    assert len(candles) == 5
    starts = [candle["ts"] for candle in candles]
    assert starts == sorted(set(starts))
    assert all(candle["timeframe"] == "1s" and candle["low"] <= candle["open"] <= candle["high"] for candle in candles)
    assert all(candle["complete"] for candle in candles[:-1])
    first, last = candles[0]["ts"], candles[2]["ts"]
    inside = demo.get(f"/candles/BTCUSDT?timeframe=1s&start={first}&end={last}")["candles"]
    assert [candle["ts"] for candle in inside] == starts[:2]


def test_portfolio_adds_up(demo):
    """Equity is cash and positions; an executed order is among the orders; the equity curve has points."""
    portfolio = demo.get("/portfolio")
    assert portfolio["equity"] == pytest.approx(portfolio["cash"] + sum(item["value"] for item in portfolio["positions"]))
    execution = portfolio["executions"][0]
    assert {"order_id", "symbol", "side", "quantity", "price", "fee", "realised_pnl", "ts", "seq"} <= set(execution)
    orders = {order["id"]: order for order in demo.get("/orders?limit=2000")["orders"]}
    assert orders[execution["order_id"]]["status"] in ("filled", "partially_filled")
    assert len(demo.get("/portfolio/equity?limit=3")["points"]) <= 3


def test_analytics(demo):
    """Indicators become ready, movers name the symbols that trade."""
    found = until(lambda: (a := demo.get("/analytics/BTCUSDT?timeframe=1s"))["sma_20"] and a)
    assert found["bollinger"]["lower"] <= found["bollinger"]["middle"] <= found["bollinger"]["upper"]
    assert 0.0 <= found["rsi_14"] <= 100.0
    assert {mover["symbol"] for mover in demo.get("/analytics/movers?window=5m")["most_active"]} == {"BTCUSDT", "ETHUSDT"}


def test_services_and_metrics(demo):
    """Every service says how it stands, and Prometheus reads the same."""
    services = {item["name"]: item for item in demo.get("/services")["services"]}
    assert set(services) == {"feed", "processor", "trader", "portfolio", "analytics", "alerts", "notifier", "gateway"}
    assert all(item["state"] == "running" for item in services.values())
    text = demo.get("/metrics").decode()
    assert 'openbell_kernel{what="trades"}' in text
    assert "openbell_step_seconds_bucket" in text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/price/NOPE", 404),
        ("GET", "/candles/NOPE", 404),
        ("GET", "/candles/BTCUSDT?timeframe=7m", 404),
        ("GET", "/candles/BTCUSDT?timeframe=fast", 422),
        ("GET", "/candles/BTCUSDT?limit=0", 422),
        ("GET", "/analytics/NOPE", 404),
        ("GET", "/orders?limit=x", 422),
        ("POST", "/strategies/rsy/pause", 404),
        ("POST", "/strategies/rsi/eat", 422),
        ("DELETE", "/orders/999", 404),
        ("DELETE", "/orders/abc", 422),
        ("PUT", "/orders", 405),
        ("TRACE", "/orders", 405),
    ],
)
def test_errors_are_problems(demo, method, path, status):
    """Every error has its status and says what is wrong, as problem details."""
    found, problem, headers = demo.ask(method, path)
    assert (found, headers["content-type"]) == (status, "application/problem+json")
    assert problem["status"] == status
    assert problem["detail"]


# Orders and strategies.

MARKET = {"symbol": "BTCUSDT", "side": "buy", "quantity": 0.01}


def order_of(demo, order_id):
    return next(order for order in demo.get("/orders?limit=2000")["orders"] if order["id"] == order_id)


def test_a_market_order_fills(demo):
    """An order of a user's passes the checks, fills, and is held by the account for users' orders."""
    status, order, _ = demo.ask("POST", "/orders", MARKET)
    assert status == 201
    assert (order["type"], order["strategy"], order["quantity"]) == ("market", "manual", 0.01)
    until(lambda: order_of(demo, order["id"])["status"] == "filled")
    held = [item for item in demo.get("/portfolio")["positions"] if item["strategy"] == "manual"]
    assert held[0]["quantity"] >= 0.01


def test_a_limit_order_rests_until_it_is_canceled(demo):
    """It is accepted, DELETE cancels it, and a second DELETE says that it is canceled."""
    price = demo.get("/price/BTCUSDT")["price"]
    status, order, _ = demo.ask("POST", "/orders", {**MARKET, "type": "limit", "limit_price": round(price * 0.97, 2)})
    assert (status, order["type"]) == (201, "limit")
    status, canceled, _ = demo.ask("DELETE", f"/orders/{order['id']}")
    assert (status, canceled["status"]) == (200, "canceled")
    status, problem, _ = demo.ask("DELETE", f"/orders/{order['id']}")
    assert (status, problem["status"]) == (422, 422)


def test_a_denied_order_says_why(demo):
    """An order above the limits is denied with its reason, and is among the orders."""
    status, order, _ = demo.ask("POST", "/orders", {**MARKET, "quantity": 1000})
    assert (status, order["status"], order["reason"]) == (201, "denied", "above the maximum order value")


def test_an_idempotency_key_is_one_order(demo):
    """The same key and body place one order; the same key with another body is refused."""
    before = len(demo.get("/orders?limit=2000")["orders"])
    first = demo.ask("POST", "/orders", {**MARKET, "quantity": 0.002}, Idempotency_Key="k-1")[1]
    again = demo.ask("POST", "/orders", {**MARKET, "quantity": 0.002}, Idempotency_Key="k-1")[1]
    assert first["id"] == again["id"]
    assert demo.ask("POST", "/orders", {**MARKET, "quantity": 0.003}, Idempotency_Key="k-1")[0] == 422
    manual = [order for order in demo.get("/orders?limit=2000")["orders"] if order["strategy"] == "manual" and order["quantity"] == 0.002]
    assert len(manual) == 1
    assert len(demo.get("/orders?limit=2000")["orders"]) >= before + 1


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"[]", 422),
        ({"symbol": "BTCUSDT", "side": "buy"}, 422),
        ({**MARKET, "quantity": -1}, 422),
        ({**MARKET, "quantity": 1e-9}, 422),
        ({**MARKET, "quantity": 0.001001234}, 422),  # no whole number of lots: not rounded, which would be another order
        ({**MARKET, "side": "hold"}, 422),
        ({**MARKET, "extra": 1}, 422),
        ({**MARKET, "type": "limit"}, 422),
        ({**MARKET, "limit_price": 5}, 422),
        ({**MARKET, "symbol": "NOPE"}, 404),
        (b'{"symbol":"BTCUSDT","side":"buy","quantity":NaN}', 400),
        (b'{"symbol":"BTCUSDT","side":"buy","quantity":1e999}', 422),
    ],
)
def test_an_order_that_makes_no_sense(demo, body, status):
    """Refused at the border, with a reason; nothing reaches the trader."""
    found, problem, _ = demo.ask("POST", "/orders", body)
    assert found == status, problem
    assert problem["detail"]


def test_pause_start_and_kill(demo):
    """The state of a strategy follows what is asked, in the answer and in the list."""
    for action, state in (("pause", "paused"), ("start", "active"), ("kill", "halted"), ("start", "active")):
        status, answer, _ = demo.ask("POST", f"/strategies/bollinger-eth/{action}")
        assert (status, answer) == (200, {"id": "bollinger-eth", "state": state})
        found = {item["id"]: item["state"] for item in demo.get("/strategies")["strategies"]}
        assert found["bollinger-eth"] == state


# The guard.


def test_every_answer_has_the_headers(demo):
    """The page, an answer and an error alike: a policy without inline scripts, no sniffing, no framing, no referrer."""
    for path in ("/", "/api", "/price/NOPE", "/health"):
        headers = demo.ask("GET", path)[2]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "'unsafe-inline'" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "server" not in headers


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Sec_Fetch_Site": "same-site"}, 403),
        ({"Host": "evil.example"}, 400),
        ({"Content_Type": "text/plain"}, 422),
    ],
)
def test_other_sites_change_nothing(demo, headers, status):
    """A change asked for from another site, under another name, or as a form is refused."""
    assert demo.ask("POST", "/orders", MARKET, **headers)[0] == status


def test_the_own_page_may_change_things(demo):
    """With the page's own origin the same request passes."""
    assert demo.ask("POST", "/orders", MARKET, Origin=demo.url, Sec_Fetch_Site="same-origin")[0] == 201


def test_a_large_body_is_refused(demo):
    """Nobody needs more than 64 KiB to place an order."""
    assert demo.ask("POST", "/orders", b" " * 70_000)[0] == 413


# The stream.


async def talk(demo, *messages, seconds=20.0, enough=lambda seen: False, **options):
    """Subscribe and collect messages until there is enough."""
    seen = []
    async with websockets.connect(demo.url.replace("http", "ws") + "/ws", **options) as line:
        for message in messages:
            await line.send(json.dumps(message))
        async with asyncio.timeout(seconds):
            while not enough(seen):
                seen.append(json.loads(await line.recv()))
    return seen


ALL = ["prices", "candles", "orders", "fills", "signals", "portfolio", "equity", "strategies", "services"]


async def test_snapshot_then_updates_without_a_gap(demo):
    """First the snapshot with number 0, then every channel, numbered without a gap."""
    channels = {"prices", "candles", "portfolio", "equity", "strategies", "services"}
    seen = await talk(demo, {"op": "subscribe", "channels": ALL}, enough=lambda seen: channels <= {message["channel"] for message in seen})
    assert (seen[0]["channel"], seen[0]["prev"]) == ("snapshot", None)
    assert [message["seq"] for message in seen] == list(range(len(seen)))
    assert [message["prev"] for message in seen[1:]] == [message["seq"] for message in seen[:-1]]
    snapshot = seen[0]["data"]
    assert snapshot["symbols"] == ["BTCUSDT", "ETHUSDT"]
    assert {"run", "timeframes", "portfolio", "strategies", "services", "orders", "fills", "prices"} <= set(snapshot)


async def test_only_what_was_subscribed(demo):
    """Channels and symbols that were not asked for do not come."""
    seen = await talk(
        demo, {"op": "subscribe", "channels": ["prices", "candles"], "symbols": ["ETHUSDT"]}, enough=lambda seen: len(seen) > 30
    )
    assert {message["channel"] for message in seen[1:]} <= {"prices", "candles"}
    for message in seen[1:]:
        symbols = set(message["data"]) if message["channel"] == "prices" else {message["data"]["symbol"]}
        assert symbols == {"ETHUSDT"}


async def test_an_order_comes_through_the_stream(demo):
    """What is placed over HTTP is seen on the line: signal, order, fill."""
    wanted = {"op": "subscribe", "channels": ["orders", "fills", "signals"]}
    async with websockets.connect(demo.url.replace("http", "ws") + "/ws") as line:
        await line.send(json.dumps(wanted))
        assert json.loads(await line.recv())["channel"] == "snapshot"
        placed = (await asyncio.to_thread(demo.ask, "POST", "/orders", MARKET))[1]
        seen = []
        async with asyncio.timeout(20):
            while not any(message["channel"] == "fills" and message["data"]["order_id"] == placed["id"] for message in seen):
                seen.append(json.loads(await line.recv()))
    statuses = [message["data"]["status"] for message in seen if message["channel"] == "orders" and message["data"]["id"] == placed["id"]]
    assert statuses[0] == "submitted"
    assert any(message["channel"] == "signals" and message["data"]["strategy"] == "manual" for message in seen)


@pytest.mark.parametrize("message", ["nonsense", '{"op":"shout"}', '{"op":"subscribe","channels":["secrets"]}', '{"op":"subscribe"}'])
async def test_a_client_that_makes_no_sense_is_sent_away(demo, message):
    """It is told why, and the line is closed with a policy violation."""
    async with websockets.connect(demo.url.replace("http", "ws") + "/ws") as line:
        await line.send(message)
        told = json.loads(await asyncio.wait_for(line.recv(), 10))
        assert (told["channel"], told["data"]["code"]) == ("error", 1008)
        assert told["data"]["detail"].startswith(("a message is not understood", "there is no channel 'secrets'"))
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await asyncio.wait_for(line.recv(), 10)
        assert closed.value.rcvd.code == 1008


async def test_the_line_is_not_for_other_sites(demo):
    """A WebSocket opened by another site's page is refused before it is accepted."""
    with pytest.raises(websockets.InvalidStatus):
        await talk(demo, origin="http://evil.example")


# Life and death.


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_it_goes_on_where_it_was(tmp_path, number):
    """Killed or stopped, started again: the same run, every order and fill still there, an idempotency key still known."""
    with running(tmp_path, "--speed", "50") as before:
        until(lambda: before.get("/portfolio")["executions"], 30, "a fill")
        placed = before.ask("POST", "/orders", MARKET, Idempotency_Key="mine")[1]
        before.ask("POST", "/strategies/rsi/pause")
        orders = {order["id"] for order in before.get("/orders?limit=2000")["orders"]}
        fills = {(fill["order_id"], fill["seq"]) for fill in before.get("/portfolio")["executions"]}
        run = before.get("/services")["services"]
        code = before.stop(number)
    assert code == (-9 if number == signal.SIGKILL else 0)
    with running(tmp_path, "--speed", "50") as after:
        found = {order["id"] for order in after.get("/orders?limit=2000")["orders"]}
        assert orders <= found
        assert fills <= {(fill["order_id"], fill["seq"]) for fill in after.get("/portfolio")["executions"]}
        assert after.ask("POST", "/orders", MARKET, Idempotency_Key="mine")[1]["id"] == placed["id"]
        assert {item["id"]: item["state"] for item in after.get("/strategies")["strategies"]}["rsi"] == "paused"
        names = [next(item["detail"].split(",")[0] for item in services if item["name"] == "trader")
                 for services in (run, after.get("/services")["services"])]  # fmt: skip
        assert names[0] == names[1]
        starts = [candle["ts"] for candle in after.get("/candles/BTCUSDT?timeframe=1s&limit=5000")["candles"]]
        assert starts == sorted(set(starts))
        assert after.stop() == 0
    replayed = openbell("replay", "last", "--journal", str(tmp_path / "data/journal.db"), folder=tmp_path)
    assert replayed.returncode == 0, replayed.stderr


def test_stopping_takes_less_than_five_seconds(tmp_path):
    """SIGTERM: drained, checkpointed, closed, exit code 0, and the run is marked as ended."""
    with running(tmp_path, "--feed", "simulated", "--speed", "20") as demo:
        until(lambda: demo.get("/services")["services"][0]["processed"] > 100)
        began = time.monotonic()
        assert demo.stop() == 0
        assert time.monotonic() - began < 5.0
    runs = json.loads(openbell("runs", "--json", "--journal", str(tmp_path / "data/journal.db"), folder=tmp_path).stdout)
    assert [run["status"] for run in runs] == ["ended"]


async def test_stopping_with_a_client_on_the_line(tmp_path):
    """A client on the line does not hold the end up, and is told that the server goes away."""
    with running(tmp_path, "--feed", "simulated", "--speed", "20") as demo:
        async with websockets.connect(demo.url.replace("http", "ws") + "/ws") as line:
            await line.send(json.dumps({"op": "subscribe", "channels": ALL}))
            await line.recv()
            began = time.monotonic()
            assert await asyncio.to_thread(demo.stop) == 0
            assert time.monotonic() - began < 5.0


def test_when_the_recording_has_ended_it_says_so_and_stays(tmp_path):
    """The feed is done, the page stays; started again, a new run begins."""
    with running(tmp_path, "--speed", "max") as demo:
        feed = until(lambda: (f := demo.get("/services")["services"][-1])["state"] == "done" and f, 30, "the end")
        assert feed["name"] == "feed"
        assert "ended" in feed["detail"]
        assert demo.get("/health")["status"] == "healthy"
        until(lambda: "has ended" in demo.log.read_text(), what="a line that says so")
        until(lambda: sum(one["fills"] for one in demo.get("/strategies")["strategies"]) == 51, 30, "the last fill")
        account, strategies = demo.get("/portfolio"), demo.get("/strategies")["strategies"]
        gains = sum(strategy["equity"] - strategy["initial_cash"] for strategy in strategies)
        assert account["fees"] > 1_000
        assert gains == pytest.approx(account["equity"] - account["initial_cash"], abs=1e-4)  # after fees
        demo.stop()
    with running(tmp_path, "--speed", "1") as again:
        assert "run demo-2: new, because demo-1 had come to the end" in again.log.read_text()


def test_a_port_in_use(tmp_path):
    """Exit code 10 and what to do about it, and no half-made files."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = openbell("demo", "--port", str(port), "--data-dir", str(tmp_path / "data"), folder=tmp_path)
    assert done.returncode == 10
    assert f"127.0.0.1:{port}" in done.stderr
    assert "--port" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_read_only_folder(tmp_path):
    """Exit code 6 and one clear line."""
    (tmp_path / "data").mkdir(mode=0o555)
    done = openbell("demo", "--port", str(free_port()), "--data-dir", str(tmp_path / "data"), folder=tmp_path)
    assert done.returncode == 6, done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_that_cannot_be_one(tmp_path):
    """A file in the place of the folder: exit code 6 and one clear line, also for the superuser."""
    (tmp_path / "data").write_text("a file")
    done = openbell("demo", "--port", str(free_port()), "--data-dir", str(tmp_path / "data"), folder=tmp_path)
    assert done.returncode == 6, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_full_disk(tmp_path):
    """What does not fit is told with exit code 6; the journal holds whole batches only, and a run on a larger disk goes on from there."""
    arguments = ["demo", "--speed", "max", "--exit", "--data-dir", str(tmp_path / "data")]
    command = f"ulimit -f 6000; exec {shlex.join([sys.executable, '-m', 'openbell', *arguments])}"
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, env=clean_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 6, done.stderr
    assert "journal.db" in done.stderr.splitlines()[-1]
    again = openbell(*arguments, "--json", str(tmp_path / "after.json"), folder=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "goes on where it stopped" in again.stdout
    assert openbell("demo", "--speed", "max", "--exit", "--json", str(tmp_path / "whole.json"), folder=tmp_path).returncode == 0
    after, whole = (json.loads((tmp_path / name).read_text()) for name in ("after.json", "whole.json"))
    assert (after["decision_hash"], after["state_hash"]) == (whole["decision_hash"], whole["state_hash"])


def test_two_demos_on_one_folder(tmp_path):
    """The second is refused with exit code 6 while the first writes."""
    with running(tmp_path, "--speed", "1"):
        done = openbell("demo", "--port", str(free_port()), "--data-dir", str(tmp_path / "data"), folder=tmp_path)
        assert done.returncode == 6
        assert "another process" in done.stderr


def test_a_public_address_is_refused(tmp_path):
    """Nobody listens for the whole network by accident."""
    done = openbell("demo", "--port", str(free_port()), folder=tmp_path, OPENBELL_SERVER__HOST="0.0.0.0")
    assert done.returncode == 3
    assert "server.public" in done.stderr


def test_to_the_end_twice_is_the_same(tmp_path):
    """`--speed max --exit --json`: every field, the same hashes twice, and a replay that agrees."""
    results = []
    for name in ("a", "b"):
        done = openbell(
            "demo",
            "--speed",
            "max",
            "--exit",
            "--json",
            str(tmp_path / f"{name}.json"),
            "--data-dir",
            str(tmp_path / name),
            folder=tmp_path,
        )
        assert done.returncode == 0, done.stderr
        results.append(json.loads((tmp_path / f"{name}.json").read_text()))
    first, second = results
    assert first["ticks"] == 107_593
    assert {"run", "ticks", "bars", "signals", "orders", "fills", "final_equity", "ticks_per_s", "decision_hash", "state_hash"} <= set(
        first
    )
    assert first["fills"] > 20
    for name in ("decision_hash", "state_hash", "final_equity", "bars", "orders"):
        assert first[name] == second[name]
    replayed = openbell("replay", first["run"], "--json", "--journal", str(tmp_path / "a/journal.db"), folder=tmp_path)
    assert replayed.returncode == 0, replayed.stderr


def test_without_a_folder_its_run_is_the_last_and_replays(tmp_path):
    """Three commands as the README's reader types them: the demo to its end, its replay, the list of runs."""
    assert openbell("demo", "--speed", "max", "--exit", "--json", "out.json", folder=tmp_path).returncode == 0
    result = json.loads((tmp_path / "out.json").read_text())
    replayed = openbell("replay", "--json", folder=tmp_path)
    assert replayed.returncode == 0, replayed.stderr
    assert json.loads(replayed.stdout)["run"] == result["run"]
    assert result["decision_hash"] in replayed.stdout
    assert result["run"] in openbell("runs", folder=tmp_path).stdout


def test_speed_does_not_change_a_decision(tmp_path):
    """The page's run, killed in the middle and taken up at full speed, ends with the hashes of an undisturbed one."""
    paths = [tmp_path / "whole.json", tmp_path / "broken.json"]
    assert openbell("demo", "--speed", "max", "--exit", "--json", str(paths[0]), folder=tmp_path).returncode == 0
    demo = Running(tmp_path, "--speed", "200").wait_until_healthy()
    until(lambda: demo.get("/services")["services"][-1]["processed"] > 5_000, 30)
    demo.stop(signal.SIGKILL)
    done = openbell("demo", "--speed", "max", "--exit", "--json", str(paths[1]), "--data-dir", str(tmp_path / "data"), folder=tmp_path)
    assert done.returncode == 0, done.stderr
    whole, broken = (json.loads(path.read_text()) for path in paths)
    assert broken["decision_hash"] == whole["decision_hash"]
    assert broken["state_hash"] == whole["state_hash"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["demo", "--speed", "fast"], 2, "speed"),
        (["demo", "--json", "x.json"], 2, "--exit"),
        (["demo", "--exit", "--feed", "simulated"], 2, "never ends"),
        (["demo", "--sped", "1"], 2, "--sped"),
        (["fly"], 2, "fly"),
        (["up", "--config", "nowhere.yaml"], 3, "nowhere.yaml"),
        (["up"], 3, "symbols"),
    ],
)
def test_a_command_that_makes_no_sense(tmp_path, arguments, code, words):
    """One line on stderr that names the mistake, the exit code of its kind, no traceback."""
    done = openbell(*arguments, folder=tmp_path)
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
