"""Who gets what, on a platform with people: every route for every caller, what is whose, and connections that end with the session."""

import asyncio
import concurrent.futures
import json
import signal
import time

import pytest
import websockets

from openbell.adapters.sealing import Sealer
from openbell.adapters.stores.database import open_database
from openbell.services.accounts.accounts import Accounts
from openbell.services.accounts.callers import LOCAL
from tests.gateway import MARKET, PEOPLE, STRATEGIES, Person, platform_with_people, renew, sign_in, text_of
from tests.running import Running, until

pytestmark = pytest.mark.integration

#: Every route, and the permission that it needs; "" is open to everybody, "who" for whoever is signed in.
ROUTES = {
    ("GET", "/health"): "",
    ("GET", "/api"): "",
    ("GET", "/openapi.json"): "",
    ("POST", "/auth/sign-up"): "",
    ("POST", "/auth/sign-in"): "",
    ("POST", "/auth/first-password"): "",
    ("GET", "/auth/session"): "who",
    ("GET", "/auth/sessions"): "read",
    ("DELETE", "/auth/sessions/{id}"): "read",
    ("POST", "/auth/step-up"): "read",
    ("POST", "/auth/password"): "read",
    ("POST", "/auth/totp/begin"): "read",
    ("POST", "/auth/totp/confirm"): "read",
    ("POST", "/auth/totp/off"): "read",
    ("GET", "/auth/recovery-codes"): "read",
    ("POST", "/auth/recovery-codes"): "read",
    ("POST", "/auth/ticket"): "read",
    ("GET", "/profile"): "read",
    ("PUT", "/profile"): "read",
    ("GET", "/keys"): "read",
    ("POST", "/keys"): "read",
    ("DELETE", "/keys/{id}"): "read",
    ("GET", "/users"): "admin",
    ("POST", "/users"): "admin",
    ("PATCH", "/users/{name}"): "admin",
    ("GET", "/price/{symbol}"): "read",
    ("GET", "/candles/{symbol}"): "read",
    ("GET", "/analytics/movers"): "read",
    ("GET", "/analytics/correlations"): "read",
    ("GET", "/analytics/anomalies"): "read",
    ("GET", "/analytics/{symbol}"): "read",
    ("GET", "/services"): "read",
    ("GET", "/metrics"): "admin",
    ("GET", "/portfolio"): "read",
    ("GET", "/portfolio/equity"): "read",
    ("GET", "/orders"): "read",
    ("POST", "/orders"): "trade",
    ("DELETE", "/orders/{order_id}"): "trade",
    ("GET", "/strategies"): "read",
    ("POST", "/strategies/{strategy}/{action}"): "trade",
    ("GET", "/alerts"): "alerts",
    ("POST", "/alerts"): "alerts",
    ("GET", "/alerts/events"): "alerts",
    ("PATCH", "/alerts/{id}"): "alerts",
    ("DELETE", "/alerts/{id}"): "alerts",
    ("GET", "/channels"): "alerts",
    ("POST", "/channels"): "alerts",
    ("PATCH", "/channels/{id}"): "alerts",
    ("DELETE", "/channels/{id}"): "alerts",
    ("POST", "/channels/{id}/test"): "alerts",
    ("GET", "/notifications"): "alerts",
    ("GET", "/notifications/templates"): "alerts",
    ("PUT", "/notifications/templates/{event}"): "alerts",
    ("POST", "/auth/sign-out"): "read",  # last: it ends the session
}
#: What belongs to a person and not to a program.
PERSONAL = {
    ("GET", "/auth/sessions"), ("DELETE", "/auth/sessions/{id}"), ("POST", "/auth/step-up"), ("POST", "/auth/password"),
    ("POST", "/auth/totp/begin"), ("POST", "/auth/totp/confirm"), ("POST", "/auth/totp/off"), ("GET", "/auth/recovery-codes"),
    ("POST", "/auth/recovery-codes"), ("PUT", "/profile"), ("POST", "/keys"),
    ("DELETE", "/keys/{id}"), ("POST", "/users"), ("PATCH", "/users/{name}"),
}  # fmt: skip
#: What is asked with a wrong password here.
UNPROVEN = {("POST", "/auth/step-up"), ("POST", "/auth/password")}
PERMISSIONS = {"viewer": {"read", "alerts"}, "trader": {"read", "alerts", "trade"}, "admin": {"read", "alerts", "trade", "admin"}}
#: Something that is nowhere, for each name in a path.
NOWHERE = {"symbol": "BTCUSDT", "order_id": "1", "strategy": "nothing", "action": "pause", "name": "nobody", "event": "nothing"}
#: A body that is right, where another would be refused before it is looked at whose it is.
BODIES = {
    ("POST", "/auth/step-up"): {"password": "wrong"},
    ("POST", "/auth/password"): {"old": "wrong", "new": "seven lamps behind rivers"},
    ("POST", "/auth/totp/confirm"): {"code": "000000"},
    ("POST", "/auth/totp/off"): {"code": "000000"},
    ("PUT", "/profile"): {"display_name": "matrix"},
    ("POST", "/keys"): {"name": "matrix", "scopes": ["read"]},
    ("POST", "/users"): {"name": "matrix"},
    ("PATCH", "/users/{name}"): {"disabled": True},
}


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    """One platform with people for all tests."""
    folder = tmp_path_factory.mktemp("access")
    with platform_with_people(folder) as running:
        running.folder = folder
        yield running


@pytest.fixture(scope="module")
def people(platform):
    """Everybody, signed in."""
    return {name: sign_in(platform, name) for name in PEOPLE}


@pytest.fixture(scope="module")
def bobs(platform, people):
    """What Bob has: an order that rests, one that filled, an alert, a key, a session."""
    bob = people["bob"]
    bob.do("PUT", "/profile", {"display_name": "canary of bob", "email": "canary@example.com"})
    price = bob.get("/price/BTCUSDT")["price"]
    filled = bob.do("POST", "/orders", MARKET)
    until(lambda: bob.get("/portfolio")["executions"], what="a fill")
    return {
        "order": bob.do("POST", "/orders", {**MARKET, "type": "limit", "limit_price": round(price * 0.97, 2)})["id"],
        "filled": filled["id"],
        "account": filled["strategy"],
        "alert": bob.do("POST", "/alerts", {"symbol": "BTCUSDT", "condition": "above", "target_price": 1e9, "note": "canary of bob"})["id"],
        "channel": str(
            bob.do("POST", "/channels", {"name": "canary of bob", "url": "json://93.184.215.14/canary", "events": ["channel"]})["id"]
        ),
        "key": bob.do("POST", "/keys", {"name": "canary of bob", "scopes": ["read"]})["id"],
        "session": next(one["id"] for one in bob.get("/auth/sessions")["sessions"]),
    }


@pytest.fixture(scope="module")
def eves_program(people):
    """Eve by a key for all that she may do."""
    return people["eve"].with_key("read", "alerts", "trade")


def callers(platform, people):
    """(Who, her permissions, whether she is a person) for every kind of caller; each with a session or a key of her own."""
    found = [("nobody", Person(platform), set(), True)]
    for name in ("root", "eve", "vera"):
        may = PERMISSIONS[PEOPLE[name]]
        person = sign_in(platform, name)
        found.append((name, person, may, True))
        found += [(f"{name}'s key for {scope}", person.with_key(scope), {scope}, False) for scope in sorted(may)]
    return found


def test_every_route_for_every_caller(platform, people):
    """Nobody gets 401, who may not gets 403, who may gets past that; nobody breaks anything. Everything is in the table."""
    document = platform.get("/openapi.json")
    documented = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert documented == {route for route in ROUTES if route != ("GET", "/openapi.json")}
    wrong, asked = [], 0
    for who, person, may, is_person in callers(platform, people):
        for (method, path), needed in ROUTES.items():
            ids = {**NOWHERE, "id": "0" * 16 if path.startswith(("/auth", "/keys")) else "999999"}
            place = path.format(**ids)
            body = None if method in ("GET", "DELETE") else BODIES.get((method, path), {})
            status, answer, _ = person.ask(method, place, body)
            asked += 1
            if needed == "":
                right = status in (200, 403, 422)  # signing up is closed here
            elif who == "nobody":
                right = status == 401
            elif needed not in may | {"who"} or (not is_person and (method, path) in PERSONAL) or (method, path) in UNPROVEN:
                right = status == 403
            else:
                right = status in (200, 201, 204, 404, 422)
            if not right:
                wrong.append(f"{who}: {method} {path} needs {needed or 'nothing'} and answers {status} {answer}")
    assert wrong == []
    assert asked > 400


#: What is done to something of Bob's, and what it answers to whom.
FOREIGN = [
    ("DELETE", "/orders/{order}", None),
    ("DELETE", "/orders/{filled}", None),
    ("POST", "/strategies/bobs/pause", None),
    ("POST", "/strategies/{account}/kill", None),
    ("GET", "/orders?owner=bob", None),
    ("GET", "/portfolio?owner=bob", None),
    ("GET", "/portfolio/equity?owner=bob", None),
    ("GET", "/strategies?owner=bob", None),
    ("GET", "/alerts?owner=bob", None),
    ("GET", "/alerts/events?owner=bob", None),
    ("PATCH", "/alerts/{alert}", {"status": "paused"}),
    ("DELETE", "/alerts/{alert}", None),
    ("PATCH", "/channels/{channel}", {"url": "json://93.184.215.14/stolen"}),
    ("POST", "/channels/{channel}/test", None),
    ("DELETE", "/channels/{channel}", None),
    ("DELETE", "/keys/{key}", None),
    ("DELETE", "/auth/sessions/{session}", None),
]


@pytest.mark.parametrize(("method", "path", "body"), FOREIGN)
def test_what_is_bobs_is_not_there_for_others(people, eves_program, bobs, method, path, body):
    """404 for another trader, also by a key; what is refused says nothing of it, and nothing has happened to it."""
    place = path.format(**bobs)
    eve = people["eve"]
    for person in (eve, eves_program):
        status, answer, _ = person.ask(method, place, body)
        expected = 403 if person.key and path.startswith(("/auth", "/keys")) else 404
        assert status == expected, answer
        assert "canary" not in text_of(answer)
    nowhere = {name: "user-99" if name == "account" else "1" * len(value) for name, value in bobs.items()}
    unknown = eve.ask(method, path.format(**nowhere), body)
    assert unknown[0] in (404, 405, 422)
    assert people["vera"].ask(method, place, body)[0] in (403, 404)
    bob = people["bob"]
    assert bobs["order"] in {order["id"] for order in bob.get("/orders?limit=2000")["orders"] if order["status"] == "accepted"}
    assert {one["state"] for one in bob.get("/strategies")["strategies"]} == {"active"}
    assert [(one["id"], one["status"]) for one in bob.get("/alerts")["alerts"]] == [(bobs["alert"], "active")]
    assert [(str(one["id"]), one["status"]) for one in bob.get("/channels")["channels"]] == [(bobs["channel"], "new")]


def test_nothing_of_bobs_is_in_anything_that_eve_reads(people, bobs):
    """Everything that can be read, searched for everything of Bob's; what Bob reads has it, so the search finds something."""
    reads = [path for method, path in ROUTES if method == "GET" and "{" not in path and path != "/openapi.json"]
    traces = ("canary", bobs["order"], bobs["filled"], bobs["account"], bobs["key"], bobs["session"], '"bobs"', ': "house"', "manual")
    found = {}
    for name in ("eve", "vera", "bob"):
        texts = [text_of(people[name].ask("GET", path)[1]) for path in reads]
        found[name] = {trace for trace in traces if any(trace in text for text in texts)}
    assert found["eve"] == found["vera"] == set()
    assert found["bob"] == set(traces) - {': "house"', "manual"}


def test_an_administrator_sees_everybody(people, bobs):
    """All accounts together, or those of one user; and may act on them."""
    root = people["root"]
    names = [one["id"] for one in root.get("/strategies")["strategies"]]
    assert names[:3] == [STRATEGIES[0]["id"], "bobs", "manual"]
    assert {one["id"] for one in root.get("/strategies?owner=bob")["strategies"]} == {"bobs", bobs["account"]}
    assert {one["strategy"] for one in root.get("/orders?owner=bob")["orders"]} <= {"bobs", bobs["account"]}
    assert root.ask("GET", "/orders?owner=nobody")[0] == 404
    assert root.do("POST", "/strategies/bobs/pause")["state"] == "paused"
    assert root.do("POST", "/strategies/bobs/start")["state"] == "active"


def test_a_portfolio_is_of_ones_own_accounts(people, bobs):
    """Bob's is his strategy and his orders; Eve, who has not traded, has nothing; the parts add up to the whole."""
    bob = people["bob"]
    strategies = {one["id"]: one for one in bob.get("/strategies")["strategies"]}
    assert set(strategies) == {"bobs", bobs["account"]}
    portfolio = bob.get("/portfolio")
    assert portfolio["initial_cash"] == 200_000.0
    assert portfolio["equity"] == pytest.approx(portfolio["cash"] + sum(item["value"] for item in portfolio["positions"]))
    assert {item["strategy"] for item in portfolio["positions"]} <= set(strategies)
    points = until(lambda: bob.get("/portfolio/equity")["points"], what="a point of the curve")
    assert points[-1][1] == pytest.approx(portfolio["equity"], rel=0.05)
    empty = people["vera"].get("/portfolio")
    assert (empty["equity"], empty["positions"], empty["executions"]) == (0.0, [], [])


def test_each_user_has_an_account_of_her_own(people, bobs):
    """The first order gives one, the next goes there too, and it is no other user's."""
    eve = people["eve"]
    first, second = [eve.do("POST", "/orders", {**MARKET, "quantity": quantity})["strategy"] for quantity in (0.001, 0.002)]
    assert first == second
    assert first.startswith("user-")
    assert first != bobs["account"]
    assert {order["strategy"] for order in eve.get("/orders")["orders"]} == {first}


def test_the_orders_come_in_pages(people, bobs):
    """Newest first, each once, although new ones come meanwhile."""
    bob = people["bob"]
    bob.do("POST", "/strategies/bobs/pause")
    for number in range(5):
        bob.do("POST", "/orders", {**MARKET, "quantity": round(0.001 * (1 + number), 3)})
    whole = [order["id"] for order in bob.get("/orders?limit=2000")["orders"]]
    seen, following = [], "/orders?limit=2"
    while following:
        status, answer, headers = bob.ask("GET", following)
        assert status == 200
        seen += [order["id"] for order in answer["orders"]]
        if len(seen) == 2:
            bob.do("POST", "/orders", {**MARKET, "quantity": 0.001})
        following = headers.get("link", "").partition(">")[0].lstrip("<")
    bob.do("POST", "/strategies/bobs/start")
    assert seen == whole
    assert bob.ask("GET", "/orders?after=nonsense")[0] == 422
    assert bob.ask("GET", "/orders?after=nobody-1")[0] == 422


# Idempotency.


def test_retries_at_once_are_one_order(people):
    """Twelve at the same time with one key: one order, and the same answer to all."""
    eve = people["eve"]
    before = len(eve.get("/orders?limit=2000")["orders"])
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: eve.ask("POST", "/orders", MARKET, Idempotency_Key="parallel"), range(12)))
    assert {status for status, _, _ in answers} == {201}
    assert len({answer["id"] for _, answer, _ in answers}) == 1
    assert len(eve.get("/orders?limit=2000")["orders"]) == before + 1


def test_a_key_is_its_users_own(people):
    """Bob's key is no order of Eve's, whether the body is the same or not; with another body of her own it is 422."""
    bob, eve = people["bob"], people["eve"]
    one = bob.do("POST", "/orders", {**MARKET, "quantity": 0.004}, Idempotency_Key="shared")
    other = eve.do("POST", "/orders", {**MARKET, "quantity": 0.004}, Idempotency_Key="shared")
    assert one["id"] != other["id"]
    assert one["strategy"] != other["strategy"]
    assert eve.do("POST", "/orders", {**MARKET, "quantity": 0.004}, Idempotency_Key="shared")["id"] == other["id"]
    assert eve.with_key("trade").do("POST", "/orders", {**MARKET, "quantity": 0.004}, Idempotency_Key="shared")["id"] == other["id"]
    for change in ({"quantity": 0.005}, {"side": "sell"}, {"symbol": "ETHUSDT"}, {"type": "limit", "limit_price": 5.0}):
        assert eve.ask("POST", "/orders", {**MARKET, "quantity": 0.004, **change}, Idempotency_Key="shared")[0] == 422, change


# The kill switch.


async def audited(folder, user):
    """What the audit log has of a user's."""
    accounts = Accounts(open_database(folder / "platform.db"), lambda: Sealer(b"k" * 32))
    try:
        return [(row.action, row.subject) for row in await accounts.people.audit(LOCAL, 1_000, user)]
    finally:
        await accounts.close()


def test_a_kill_is_written_down_and_undone_by_a_person(platform, people, bobs):
    """A program may kill; to start what was killed needs somebody who has just proved who she is. Both are in the audit log."""
    program = people["bob"].with_key("trade")
    assert program.do("POST", "/strategies/bobs/kill")["state"] == "halted"
    status, problem, _ = program.ask("POST", "/strategies/bobs/start")
    assert (status, problem["type"]) == (403, "about:blank")
    assert people["bob"].get("/strategies?owner=bob")["strategies"][0]["state"] == "halted"
    assert sign_in(platform, "bob").do("POST", "/strategies/bobs/start")["state"] == "active"
    found = [row for row in asyncio.run(audited(platform.folder, "bob")) if row[0].startswith("strategy.")]
    assert found[-2:] == [("strategy.kill", "bobs"), ("strategy.start", "bobs")]


# The stream.

CHANNELS = ["prices", "candles", "orders", "fills", "signals", "alerts", "portfolio", "equity", "strategies", "services"]


def line_of(platform, person, *protocols):
    """A WebSocket of somebody's."""
    headers = {name: value for name, value in person.headers().items() if name != "X-Requested-With"}
    address = platform.url.replace("http", "ws") + "/ws"
    return websockets.connect(address, additional_headers=headers, subprotocols=protocols or None)


async def drain(line):
    """Everything until it is closed."""
    while True:
        await asyncio.wait_for(line.recv(), 10)


async def listen(line, seconds):
    """Subscribe to everything, and collect what comes for a while."""
    await line.send(json.dumps({"op": "subscribe", "channels": CHANNELS}))
    seen, ends = [], time.monotonic() + seconds
    while (left := ends - time.monotonic()) > 0:
        try:
            seen.append(json.loads(await asyncio.wait_for(line.recv(), left)))
        except TimeoutError:
            break
    return seen


async def test_a_stream_shows_ones_own(platform, people, bobs):
    """While Bob trades Eve hears prices and nothing of him; Bob hears all of it; the administrator too."""

    async def trade():
        for number in range(4):
            await asyncio.to_thread(people["bob"].do, "POST", "/orders", {**MARKET, "quantity": round(0.001 * (1 + number), 3)})
            await asyncio.sleep(0.5)

    lines = {name: await line_of(platform, people[name]) for name in ("bob", "eve", "root")}
    try:
        *seen, _ = await asyncio.gather(*(listen(line, 6.0) for line in lines.values()), trade())
    finally:
        for line in lines.values():
            await line.close()
    bob, eve, root = seen
    for who, messages in (("bob", bob), ("root", root)):
        text = json.dumps(messages)
        assert bobs["account"] in text, who
        assert {"snapshot", "prices", "orders", "fills", "portfolio", "equity", "strategies"} <= {one["channel"] for one in messages}, who
    text = json.dumps(eve)
    assert not [trace for trace in ("bobs", bobs["account"], "house", "manual", bobs["order"]) if f'"{trace}"' in text]
    assert {"snapshot", "prices", "portfolio", "strategies"} <= {one["channel"] for one in eve}
    own = [message["data"] for message in bob if message["channel"] == "equity"]
    everything = [message["data"] for message in root if message["channel"] == "equity"]
    assert all(value < 250_000 for _, value in own)
    assert all(value > 250_000 for _, value in everything)


async def test_the_first_order_shows_itself(platform, people):
    """Who had no account when she connected hears of the one she is given, within seconds."""
    root = people["root"]  # has not traded yet: hers is among all, so a key without `admin` stands for somebody who sees her own only
    person = root.with_key("read", "trade")
    async with line_of(platform, person) as line:
        hearing = asyncio.create_task(listen(line, 8.0))
        await asyncio.sleep(0.5)
        placed = await asyncio.to_thread(person.do, "POST", "/orders", MARKET)
        seen = await hearing
    snapshots = [message["data"] for message in seen if message["channel"] == "snapshot"]
    assert len(snapshots) >= 2
    assert snapshots[0]["orders"] == []
    assert placed["id"] in {order["id"] for order in snapshots[-1]["orders"]}


@pytest.mark.parametrize("way", ["cookie", "key", "ticket"])
async def test_a_line_ends_with_what_opened_it(platform, people, way):
    """Signed out, revoked: closed within five seconds, and not to be opened again."""
    person = await asyncio.to_thread(sign_in, platform, "vera")
    protocols, end = (), lambda: person.do("POST", "/auth/sign-out")
    shown = person
    if way == "key":
        made = person.do("POST", "/keys", {"name": "line", "scopes": ["read"]})
        shown, end = Person(platform, key=made["key"]), lambda: person.do("DELETE", f"/keys/{made['id']}")
    if way == "ticket":
        protocols = ("openbell.v1", f"ticket.{person.do('POST', '/auth/ticket')['ticket']}")
        shown = Person(platform)
    async with line_of(platform, shown, *protocols) as line:
        assert line.subprotocol == ("openbell.v1" if way == "ticket" else None)
        await line.send(json.dumps({"op": "subscribe", "channels": ["prices"]}))
        assert json.loads(await line.recv())["channel"] == "snapshot"
        began = time.monotonic()
        await asyncio.to_thread(end)
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await drain(line)
        assert time.monotonic() - began < 5.0
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1008, "signed out")
    with pytest.raises(websockets.InvalidStatus) as refused:
        await line_of(platform, shown, *protocols)
    assert refused.value.response.status_code == 401


async def test_a_line_ends_when_its_user_is_disabled(platform):
    """Also from outside, by the command line."""
    person = await asyncio.to_thread(sign_in, platform, "vera")
    try:
        async with line_of(platform, person) as line:
            await line.send(json.dumps({"op": "subscribe", "channels": ["prices"]}))
            await line.recv()
            began = time.monotonic()
            await renew(platform.folder, "vera", disabled=True)
            with pytest.raises(websockets.ConnectionClosed):
                await drain(line)
            assert time.monotonic() - began < 5.0
    finally:
        await renew(platform.folder, "vera", disabled=False)


async def test_a_ticket_is_for_one_line(platform, people):
    """The second use is refused; so is nobody, a token in the address, and a page of another site."""
    ticket = people["eve"].do("POST", "/auth/ticket")["ticket"]
    protocols = ("openbell.v1", f"ticket.{ticket}")
    async with line_of(platform, Person(platform), *protocols):
        pass
    for refused in (protocols, ("openbell.v1", "ticket.nonsense"), ()):
        with pytest.raises(websockets.InvalidStatus) as error:
            await line_of(platform, Person(platform), *refused)
        assert error.value.response.status_code == 401
    address = platform.url.replace("http", "ws") + "/ws"
    fresh = people["eve"].do("POST", "/auth/ticket")["ticket"]
    for query in (f"?ticket={fresh}", f"?token={people['eve'].cookie.partition('=')[2]}"):
        with pytest.raises(websockets.InvalidStatus):
            await websockets.connect(address + query)
    with pytest.raises(websockets.InvalidStatus):
        await websockets.connect(address, origin="http://evil.example", additional_headers={"Cookie": people["eve"].cookie})


async def test_a_user_has_so_many_lines(platform, people):
    """Sixteen, and others still get in."""
    lines = [await line_of(platform, people["eve"]) for _ in range(16)]
    try:
        with pytest.raises(websockets.InvalidStatus):
            await line_of(platform, people["eve"])
        async with line_of(platform, people["bob"]):
            pass
    finally:
        for line in lines:
            await line.close()


# What stays behind.


def test_no_secret_is_in_the_log(platform, people):
    """Cookies, keys, tickets and passwords were used all over these tests: none is in a line."""
    key = people["bob"].with_key("read")
    key.get("/portfolio")
    log = platform.log.read_text()
    for secret in (people["bob"].cookie.partition("=")[2], key.key, key.key.rpartition("_")[2], "quiet otter under glass", "ticket."):
        assert secret not in log
    assert '"request":' in log


@pytest.mark.parametrize("number", [signal.SIGKILL])
def test_after_a_kill_it_is_the_same_order(tmp_path, number):
    """Killed and started again: the session, the account, the owner and the idempotency key are what they were."""
    with platform_with_people(tmp_path) as before:
        eve = sign_in(before, "eve")
        placed = eve.do("POST", "/orders", MARKET, Idempotency_Key="mine")
        before.stop(number)
    after = Running(tmp_path, "--config", str(tmp_path / "config.yaml"), command="up", port=before.port)
    try:
        after.wait_until_healthy()
        again = Person(after, "eve", eve.cookie)
        assert again.do("POST", "/orders", MARKET, Idempotency_Key="mine")["id"] == placed["id"]
        assert again.ask("POST", "/orders", {**MARKET, "quantity": 0.02}, Idempotency_Key="mine")[0] == 422
        assert [order["id"] for order in again.get("/orders")["orders"]] == [placed["id"]]
        bob = sign_in(after, "bob")
        assert placed["id"] not in {order["id"] for order in bob.get("/orders")["orders"]}
        assert bob.do("POST", "/orders", MARKET, Idempotency_Key="mine")["id"] != placed["id"]
    finally:
        after.process.kill()
        after.process.wait(10)
