"""Every request: ids, limits, tags, compression, other sites, other hosts, headers, and what is said when something breaks."""

import dataclasses
import json

import pytest
import structlog
from starlette.routing import Mount

from openbell.config import ServerSettings
from openbell.errors import ConfigError
from openbell.services.gateway.access import check_routes, needed_by, routes_of
from openbell.services.gateway.addresses import Proxies
from openbell.services.gateway.server import check_host, raise_file_limit, tls_context
from openbell.services.gateway.service import make_app
from openbell.services.gateway.stream import Hub
from tests.accounts import Clock, add_user, opened
from tests.asgi import desk, settings_of

#: What is open to everybody, where users sign in.
OPEN = {
    ("GET", "/health"), ("GET", "/api"), ("GET", "/openapi.json"), ("POST", "/auth/sign-up"), ("POST", "/auth/sign-in"),
    ("POST", "/auth/first-password"), ("GET", "/auth/session"),
}  # fmt: skip


@pytest.fixture
async def accounts(tmp_path):
    async with opened(tmp_path / "users.db", Clock()) as made:
        for name, role in (("anna", "trader"), ("rita", "admin")):
            await add_user(made, name, role)
        yield made


@pytest.fixture
async def gateway(tmp_path, accounts):
    async with desk(tmp_path, accounts) as made:
        yield made


def inside(app):
    """The FastAPI application behind the middleware."""
    while not hasattr(app, "routes"):
        app = app._app if hasattr(app, "_app") else app.app
    return app


async def test_every_route_says_what_it_needs(gateway):
    """None is open because somebody forgot: those that are stand in a list."""
    routes = routes_of(inside(gateway.app).routes)
    found = {(method, route.path) for route in routes for method in getattr(route, "methods", None) or ("WS",)
             if needed_by(route).permission is None}  # fmt: skip
    assert found == OPEN
    assert len(routes) > 30
    assert [type(route) for route in inside(gateway.app).routes if isinstance(route, Mount)]  # the page's files, for everybody


async def test_a_route_that_says_nothing_is_refused(gateway):
    """The application is not made then."""
    app = inside(gateway.app)
    app.add_api_route("/forgotten", lambda: "secret")
    with pytest.raises(AssertionError, match="/forgotten"):
        check_routes(app.routes)


# Ids.


async def test_an_id_goes_through(gateway):
    """The client's own comes back; without one, or with one that could forge a line, there is a new one."""
    client = gateway.client()
    assert (await client.get("/api", headers={"X-Request-ID": "my-1.a_B"})).headers["x-request-id"] == "my-1.a_B"
    for wrong in ("", "a b", "x" * 65, "a\tb", "é".encode()):
        found = (await client.get("/api", headers={"X-Request-ID": wrong})).headers["x-request-id"]
        assert len(found) == 16
    assert (await client.get("/nowhere")).headers["x-request-id"] != found


async def test_the_log_has_the_id_and_no_secret(gateway):
    """Every line of a request has it; a change is told in one line, without its query and its body."""
    rita = await gateway.sign_in("rita")
    with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        await rita.post("/users?note=canary", json={"name": "nina", "email": "canary@example.com"}, headers={"X-Request-ID": "r-1"})
    told = next(line for line in lines if line["event"] == "request")
    assert (told["request"], told["caller"], told["path"], told["status"]) == ("r-1", "rita", "/users", 201)
    assert {line["request"] for line in lines} == {"r-1"}
    assert "canary" not in json.dumps(told)


# Limits.


async def test_a_user_who_asks_too_often(tmp_path, accounts):
    """The answer says what is left; then 429 with when to come again, for this user and from wherever, and for nobody else."""
    async with desk(tmp_path, accounts, rate_limit="5/hour", rate_limit_address="1000/hour") as gateway:
        anna = await gateway.sign_in("anna")
        left = [int((await anna.get("/portfolio")).headers["ratelimit-remaining"]) for _ in range(5)]
        assert left == [4, 3, 2, 1, 0]
        refused = await anna.get("/portfolio")
        assert (refused.status_code, refused.headers["content-type"]) == (429, "application/problem+json")
        assert 1 <= int(refused.headers["retry-after"]) <= 3601
        assert (await (await gateway.sign_in("rita")).get("/portfolio")).status_code == 200


async def test_an_address_that_asks_too_often(tmp_path, accounts):
    """Also for what is open, for pages that are not there, and for a WebSocket; others go on, and all carry the usual headers."""
    async with desk(tmp_path, accounts, rate_limit_address="3/hour") as gateway:
        stranger = gateway.client("192.0.2.1")
        found = [(await stranger.get(path)).status_code for path in ("/api", "/nowhere", "/portfolio", "/api")]
        assert found == [200, 404, 401, 429]
        assert "content-security-policy" in (await stranger.get("/api")).headers
        assert (await gateway.client("192.0.2.2").get("/api")).status_code == 200


async def test_without_sign_in_on_this_machine_nothing_is_counted(tmp_path):
    """Nobody but the user is there."""
    async with desk(tmp_path, None) as gateway:
        assert gateway.access.rates is None
        assert "ratelimit-limit" not in (await gateway.client().get("/api")).headers


# Tags and compression.


async def test_what_a_client_has_is_not_sent_again(gateway):
    """304 for the tag of the answer before, as long as the answer is the same."""
    anna = await gateway.sign_in("anna")
    for path in ("/openapi.json", "/candles/BTCUSDT?timeframe=1s", "/analytics/movers"):
        first = await anna.get(path)
        assert first.headers["etag"].startswith('W/"')
        again = await anna.get(path, headers={"If-None-Match": f'"other", {first.headers["etag"]}'})
        assert (again.status_code, again.content) == (304, b"")
        assert (await anna.get(path, headers={"If-None-Match": '"other"'})).status_code == 200


async def test_every_answer_with_a_tag(gateway):
    """What the document says has a tag has one, and is 304 to who shows it. What is somebody's own is kept in no store."""
    rita = await gateway.sign_in("rita")
    document = (await rita.get("/openapi.json")).json()
    tagged = [path for path, methods in document["paths"].items() if "304" in methods.get("get", {}).get("responses", {})]
    assert len(tagged) >= 10
    for path in tagged:
        answer = await rita.get(path.replace("{symbol}", "BTCUSDT"))
        if answer.status_code == 200:
            again = await rita.get(path.replace("{symbol}", "BTCUSDT"), headers={"If-None-Match": f'W/"other", {answer.headers["etag"]}'})
            assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", answer.headers["etag"]), path
            is_public = path.startswith(("/candles", "/analytics"))
            assert answer.headers["cache-control"] == ("private, no-cache" if is_public else "no-store"), path
        else:
            assert (path, answer.status_code) == ("/analytics/{symbol}", 404)  # no candle has closed yet


async def test_the_document_names_what_every_answer_carries(gateway):
    """The id of the request and the limits on all, the next page on lists, when to come again on 429; and errors are problems."""
    document = (await gateway.client().get("/openapi.json")).json()
    rates = {"X-Request-ID", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"}
    assert set(document["components"]["headers"]) == rates | {"ETag", "Link", "Retry-After", "WWW-Authenticate"}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            named = {parameter["name"].lower() for parameter in operation.get("parameters", ())}
            for status, answer in operation["responses"].items():
                expected = set(rates)
                if status in ("200", "304") and "304" in operation["responses"]:
                    expected |= {"ETag"}
                if status == "200" and "after" in named:
                    expected |= {"Link"}
                expected |= {"401": {"WWW-Authenticate"}, "429": {"Retry-After"}}.get(status, set())
                assert set(answer["headers"]) == expected, (method, path, status)
                if int(status) >= 400 and path != "/health":
                    assert list(answer["content"]) == ["application/problem+json"], (method, path, status)
            assert ("304" in operation["responses"]) == ("if-none-match" in named)
            assert ("idempotency-key" in named) == ((method, path) in {("post", "/orders"), ("post", "/alerts")})


async def test_large_answers_are_compressed_and_secrets_are_not(gateway):
    """For who accepts it, above a kilobyte; never where a secret may be in it."""
    anna = await gateway.sign_in("anna")
    answer = await anna.get("/openapi.json")
    assert (answer.headers["content-encoding"], answer.headers["vary"]) == ("gzip", "Accept-Encoding")
    assert "content-encoding" not in (await anna.get("/openapi.json", headers={"Accept-Encoding": "identity"})).headers
    assert "content-encoding" not in (await anna.get("/api")).headers
    for number in range(15):
        await anna.post("/keys", json={"name": f"a name of a key {number}", "scopes": ["read"]})
    for path in ("/keys", "/auth/session", "/profile"):
        assert "content-encoding" not in (await anna.get(path)).headers


# Other sites, other hosts.


@pytest.mark.parametrize("origin", ["https://charts.example.com", "https://charts.example.com:444", "https://evil.example", "null", "*"])
async def test_cors_is_exact(tmp_path, accounts, origin):
    """A site that the settings name may ask with credentials; any other, and one that only looks alike, gets no permission."""
    async with desk(tmp_path, accounts, cors_origins=("https://charts.example.com",)) as gateway:
        anna = await gateway.sign_in("anna")
        asked = {"Origin": origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-requested-with"}
        before, read = await anna.options("/orders", headers=asked), await anna.get("/portfolio", headers={"Origin": origin})
        write = await anna.post("/orders", json={}, headers={"Origin": origin, "Sec-Fetch-Site": "same-site"})
        if origin == "https://charts.example.com":
            assert (before.status_code, before.headers["access-control-allow-origin"]) == (200, origin)
            assert before.headers["access-control-allow-credentials"] == "true"
            assert read.headers["access-control-allow-origin"] == origin
            assert write.status_code == 422
        else:
            assert all("access-control-allow-origin" not in answer.headers for answer in (before, read, write))
            assert write.status_code == 403


async def test_cors_is_off_by_default(gateway):
    """No answer says that another site may read it."""
    for method in ("GET", "OPTIONS"):
        answer = await gateway.client().request(method, "/api", headers={"Origin": "https://charts.example.com"})
        assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    "origin", ["*", "charts.example.com", "https://charts.example.com/", "https://*.example.com/x", "https://A.example"]
)
def test_origins_are_written_out(origin):
    """A star or a part of an address is an error at the start."""
    with pytest.raises(ConfigError):
        check_host(ServerSettings(cors_origins=(origin,)))


async def test_another_host_name_is_refused(gateway):
    """A page under another name that leads here (DNS rebinding) reads nothing."""
    assert (await gateway.client().get("/api", headers={"Host": "evil.example"})).status_code == 400


async def test_every_answer_has_the_headers(gateway):
    """Answers, refusals and errors of every kind."""
    client = gateway.client()
    for method, path in (("GET", "/"), ("GET", "/api"), ("GET", "/portfolio"), ("GET", "/nowhere"), ("PUT", "/orders"), ("TRACE", "/api")):
        headers = (await client.request(method, path)).headers
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "'unsafe-inline'" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert headers["x-request-id"]
        assert "server" not in headers
        assert "strict-transport-security" not in headers  # it is HTTP on this machine


async def test_trace_is_not_there(gateway):
    """Nothing is echoed."""
    answer = await gateway.client(Authorization="Bearer obk_canary").request("TRACE", "/portfolio")
    assert answer.status_code == 405
    assert "canary" not in answer.text


# Bodies.


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"\xff\xfe", 400),
        (b"[" * 60_000, 422),
        (b'{"name":' + b"[" * 50_000, 422),
        (b'{"name":"a","password":"b","admin":true}', 422),
        (b'{"name":1,"password":"b"}', 422),
        (b"null", 422),
        (b'{"name":"' + b"a" * 65 + b'","password":"b"}', 422),
        (b'{"name":"a","password":"' + b"b" * 1025 + b'"}', 422),
        (b" " * 70_000, 413),
    ],
)
async def test_a_body_that_makes_no_sense(gateway, body, status):
    """Refused before anything is done with it; a password in it is not repeated."""
    answer = await gateway.client().post("/auth/sign-in", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    assert "bbbb" not in answer.text


async def test_a_body_without_a_length_is_refused(gateway):
    """It could be endless."""

    async def endless():
        yield b"{}"

    answer = await gateway.client().post("/auth/sign-in", content=endless(), headers={"Content-Type": "application/json"})
    assert answer.status_code == 413


async def test_a_form_is_no_request(gateway):
    """What a page can send without asking first is not taken."""
    answer = await gateway.client().post("/auth/sign-in", data={"name": "anna", "password": "x"})
    assert answer.status_code == 422


# What breaks inside.


class Broken:
    """Whatever is asked of it, it fails with something that nobody outside should read."""

    def __getattr__(self, name):
        def fail(*_arguments, **_options):
            raise RuntimeError("canary: /srv/secret/path")

        return fail


async def test_what_breaks_inside_stays_inside(gateway):
    """Every handler, with everything behind it broken: a generic error with an id, and nothing done."""
    rita = await gateway.sign_in("rita")
    parts = {name: Broken() for name in ("portfolio", "owners", "price", "run", "services", "ask")}
    broken = dataclasses.replace(gateway.backstage, **parts)
    made = make_app(broken, Hub(broken, gateway.access), gateway.access, settings_of().server)
    gateway.app._app = made
    failed = 0
    asked = [(method, route.path) for route in routes_of(inside(gateway.app).routes) for method in getattr(route, "methods", None) or ()]
    with structlog.testing.capture_logs() as logged:  # drawn for a terminal, a traceback takes seconds
        for method, template in asked:
            path = template.replace("{symbol}", "BTCUSDT").replace("{order_id}", "1").replace("{strategy}", "house")
            path = path.replace("{action}", "pause").replace("{id}", "0" * 16).replace("{name}", "rita")
            if path.startswith("/auth/sign-out"):
                continue
            body = {"symbol": "BTCUSDT", "side": "buy", "quantity": 1} if path == "/orders" else {}
            answer = await rita.request(method, path, json=body)
            assert "canary" not in answer.text
            assert "Traceback" not in answer.text
            if answer.status_code == 500:
                failed += 1
                assert answer.headers["content-type"] == "application/problem+json"
    assert sum(entry["event"] == "request failed" for entry in logged) == failed
    assert failed >= 8


# Addresses.


@pytest.mark.parametrize(
    ("peer", "forwarded", "found"),
    [
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["6.6.6.6, 203.0.113.9"], "203.0.113.9"),  # the first was written by the client itself
        ("10.0.0.1", ["6.6.6.6, 203.0.113.9, 10.0.0.7"], "203.0.113.9"),  # two proxies
        ("10.0.0.1", ["6.6.6.6", "203.0.113.9"], "203.0.113.9"),  # in two headers
        ("10.0.0.1", ["203.0.113.9:4711"], "203.0.113.9"),
        ("10.0.0.1", ["[2001:db8::1]:4711"], "2001:db8::1"),
        ("10.0.0.1", ["nonsense"], "10.0.0.1"),
        ("10.0.0.1", ["6.6.6.6, nonsense"], "10.0.0.1"),
        ("::ffff:10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("192.0.2.1", ["203.0.113.9"], "192.0.2.1"),  # no proxy of ours: what it says is worth nothing
        ("127.0.0.1", ["203.0.113.9"], "127.0.0.1"),
    ],
)
def test_who_is_behind_a_proxy(peer, forwarded, found):
    """X-Forwarded-For is believed of proxies that the settings name, read from its end."""
    headers = [(b"x-forwarded-for", line.encode()) for line in forwarded]
    assert Proxies(("10.0.0.0/8",)).address({"type": "http", "client": (peer, 1), "headers": headers}) == found


def test_a_proxy_is_an_address():
    """Anything else is an error at the start."""
    with pytest.raises(ConfigError, match="proxies"):
        Proxies(("proxy.example.com",))


async def test_a_forged_address_changes_nothing(tmp_path, accounts):
    """Limits count the connection's address when it is no proxy of ours."""
    async with desk(tmp_path, accounts, rate_limit_address="3/hour") as gateway:
        found = [(await gateway.client().get("/api", headers={"X-Forwarded-For": f"6.6.6.{number}"})).status_code for number in range(4)]
        assert found == [200, 200, 200, 429]


# The start.


@pytest.mark.parametrize(
    ("settings", "starts"),
    [
        ({}, True),
        ({"host": "::1"}, True),
        ({"sign_in": True}, True),
        ({"host": "0.0.0.0"}, False),
        ({"host": "0.0.0.0", "public": True}, True),  # the container's port mapping, or a proxy, keeps others away
        ({"host": "0.0.0.0", "sign_in": True}, False),
        ({"host": "0.0.0.0", "sign_in": True, "public": True}, False),
        ({"host": "0.0.0.0", "sign_in": True, "tls_cert": "c", "tls_key": "k"}, True),
        ({"host": "0.0.0.0", "sign_in": True, "proxies": ("10.0.0.1",)}, True),
        ({"host": "0.0.0.0", "tls_cert": "c", "tls_key": "k"}, False),
        ({"host": "0.0.0.0", "proxies": ("10.0.0.1",)}, False),
        ({"tls_cert": "c"}, False),
        ({"tls_key": "k"}, False),
    ],
)
def test_where_it_may_listen(settings, starts):
    """An address that others can reach needs sign-in, and TLS or a proxy with it."""
    if starts:
        check_host(ServerSettings(**settings))
        return
    with pytest.raises(ConfigError):
        check_host(ServerSettings(**settings))


def test_a_certificate_that_is_none(tmp_path):
    """Told as a setting, without what is in the file."""
    path = tmp_path / "key.pem"
    path.write_text("canary")
    with pytest.raises(ConfigError) as caught:
        tls_context(ServerSettings(tls_cert=str(path), tls_key=str(path)))
    assert "canary" not in str(caught.value)


def test_as_many_files_as_the_system_allows():
    """The soft limit is raised to the hard one, and what is high stays."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
        raise_file_limit()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        assert soft == min(hard, 1 << 20)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
