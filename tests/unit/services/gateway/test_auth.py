"""Who asks: cookies, keys, the header against forged requests, step-up, and what is said to whom."""

import pytest

from openbell.model.time import HOUR, MINUTE
from tests.accounts import PASSWORD, Clock, add_user, code, opened
from tests.asgi import desk

OTHER = "seven lamps behind rivers"


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
async def accounts(tmp_path, clock):
    async with opened(tmp_path / "users.db", clock) as made:
        for name, role in (("anna", "trader"), ("rita", "admin"), ("otto", "viewer")):
            await add_user(made, name, role)
        yield made


@pytest.fixture
async def gateway(tmp_path, accounts):
    async with desk(tmp_path, accounts) as made:
        yield made


async def test_a_cookie_is_the_browsers_alone(gateway):
    """HttpOnly, SameSite=Strict, for the whole host; its token has 256 random bits and is in no body."""
    answer = await gateway.client().post("/auth/sign-in", json={"name": "anna", "password": PASSWORD})
    cookie = answer.headers["set-cookie"]
    name, _, token = cookie.partition(";")[0].partition("=")
    assert name == "openbell"
    assert len(token) >= 43
    assert token not in answer.text
    assert {"HttpOnly", "Path=/", "SameSite=strict"} <= {part.strip() for part in cookie.split(";")}
    assert "Domain" not in cookie


async def test_over_tls_the_cookie_is_of_this_host_only(tmp_path, accounts):
    """Behind a proxy with TLS: `__Host-`, Secure, and HSTS with every answer."""
    async with desk(tmp_path, accounts, proxies=("127.0.0.1",)) as gateway:
        answer = await gateway.client().post("/auth/sign-in", json={"name": "anna", "password": PASSWORD})
        assert answer.headers["set-cookie"].startswith("__Host-openbell=")
        assert "Secure" in answer.headers["set-cookie"]
        assert answer.headers["strict-transport-security"].startswith("max-age=")
        assert "strict-transport-security" in (await gateway.client().get("/nowhere")).headers


async def test_signing_out_ends_the_session_at_once(gateway):
    """The cookie is taken back, and the token is worth nothing, also where somebody kept it."""
    anna = await gateway.sign_in("anna")
    kept = anna.cookies["openbell"]
    assert (await anna.get("/auth/session")).json()["name"] == "anna"
    out = await anna.post("/auth/sign-out")
    assert out.status_code == 204
    assert 'openbell=""' in out.headers["set-cookie"]
    assert (await gateway.client(Cookie=f"openbell={kept}").get("/portfolio")).status_code == 401


async def test_a_session_ends_when_it_is_idle_and_in_any_case_after_half_a_day(gateway, clock):
    """Half an hour without a request; twelve hours however many there were."""
    anna = await gateway.sign_in("anna")
    clock.move(29 * MINUTE)
    assert (await anna.get("/portfolio")).status_code == 200
    for _ in range(23):
        clock.move(29 * MINUTE)
        last = (await anna.get("/portfolio")).status_code
    assert last == 200
    clock.move(29 * MINUTE)
    assert (await anna.get("/portfolio")).status_code == 401
    otto = await gateway.sign_in("otto")
    clock.move(31 * MINUTE)
    assert (await otto.get("/portfolio")).status_code == 401


@pytest.mark.parametrize(
    "shown",
    [
        {},
        {"Cookie": "openbell=nonsense"},
        {"Cookie": "openbell=" + "x" * 4000},
        {"Authorization": "Bearer obk_0123456789abcdef_" + "0" * 64},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic YW5uYTp4"},
        {"Authorization": "Bearer obk_\u00e9"},
    ],
)
async def test_a_refusal_does_not_say_why(gateway, shown):
    """No session, a wrong one, a key that never was: the same answer, with what a client should do."""
    client = gateway.client(**{name: value.encode("latin-1") for name, value in shown.items()})
    answer = await client.get("/portfolio")
    assert answer.status_code == 401
    assert answer.json()["detail"] == "nobody is signed in; expected a session, or an API key. Sign in."
    assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_unknown_users_and_wrong_passwords_are_told_the_same(gateway):
    """Status and text are the same, so that nobody learns who has an account."""
    answers = [await gateway.client().post("/auth/sign-in", json={"name": name, "password": OTHER}) for name in ("anna", "nobody", "local")]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.text for answer in answers}) == 1


async def test_too_many_tries_are_told_when_to_come_again(gateway):
    """After some tries 429 with Retry-After, the right password included; other addresses go on."""
    stranger = gateway.client("192.0.2.1")
    found = [await stranger.post("/auth/sign-in", json={"name": "anna", "password": OTHER}) for _ in range(7)]
    assert found[-1].status_code == 429
    assert int(found[-1].headers["retry-after"]) >= 1
    assert (await stranger.post("/auth/sign-in", json={"name": "anna", "password": PASSWORD})).status_code == 429
    await gateway.sign_in("anna", "198.51.100.1")


async def test_a_cookie_alone_changes_nothing(gateway):
    """Who changes something by a cookie sends X-Requested-With; reading needs none, and a key needs none either."""
    anna = await gateway.sign_in("anna")
    key = (await anna.post("/keys", json={"name": "k", "scopes": ["read", "trade"]})).json()["key"]
    del anna.headers["X-Requested-With"]
    assert (await anna.get("/profile")).status_code == 200
    for method, path in (("POST", "/orders"), ("PUT", "/profile"), ("DELETE", "/orders/1"), ("POST", "/auth/sign-out")):
        assert (await anna.request(method, path, json={})).status_code == 403, path
    program = gateway.client(Authorization=f"Bearer {key}")
    del program.headers["X-Requested-With"]
    assert (await program.post("/orders", json={})).status_code == 422


@pytest.mark.parametrize("headers", [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}])
async def test_pages_of_other_sites_change_nothing(gateway, headers):
    """Whatever they send besides, and also at the sign-in."""
    anna = await gateway.sign_in("anna")
    assert (await anna.post("/orders", json={}, headers=headers)).status_code == 403
    assert (await gateway.client().post("/auth/sign-in", json={"name": "anna", "password": PASSWORD}, headers=headers)).status_code == 403


async def test_what_changes_who_may_do_what_needs_proof(gateway, clock):
    """Five minutes after the password was given keys and users need it again; a wrong one is refused, and the session goes on."""
    rita = await gateway.sign_in("rita")
    clock.move(6 * MINUTE)
    for method, path, body in (
        ("POST", "/keys", {"name": "k", "scopes": ["read"]}),
        ("POST", "/users", {"name": "nina"}),
        ("PATCH", "/users/otto", {"role": "trader"}),
        ("PATCH", "/users/otto", {"disabled": True}),
        ("POST", "/auth/totp/begin", None),
    ):
        answer = await rita.request(method, path, json=body)
        assert (answer.status_code, answer.json()["type"]) == (403, "/problems/step-up"), path
    assert (await rita.post("/auth/step-up", json={"password": OTHER})).status_code == 403
    assert (await rita.post("/auth/step-up", json={"password": PASSWORD})).json()["fresh"] is True
    assert (await rita.patch("/users/otto", json={"role": "trader"})).json()["role"] == "trader"


async def test_a_key_does_what_its_scopes_say(gateway):
    """And nothing of what belongs to a person, whatever its scopes."""
    rita = await gateway.sign_in("rita")
    made = (await rita.post("/keys", json={"name": "all", "scopes": ["read", "alerts", "trade", "admin"]})).json()
    program = gateway.client(Authorization=f"Bearer {made['key']}")
    assert (await program.get("/auth/session")).json()["permissions"] == ["read", "alerts", "trade", "admin"]
    assert (await program.get("/users")).status_code == 200
    for method, path, body in (
        ("POST", "/keys", {"name": "k", "scopes": ["read"]}),
        ("PATCH", "/users/otto", {"role": "admin"}),
        ("PUT", "/profile", {}),
        ("GET", "/auth/sessions", None),
        ("POST", "/auth/password", {"old": PASSWORD, "new": OTHER}),
    ):
        assert (await program.request(method, path, json=body)).status_code == 403, path
    assert (await rita.delete(f"/keys/{made['id']}")).status_code == 204
    assert (await program.get("/users")).status_code == 401


async def test_nobody_makes_a_key_for_more_than_she_may(gateway):
    """A viewer's key cannot trade, also when she asks for it; and a key is bound to today's role of its user."""
    otto, rita = await gateway.sign_in("otto"), await gateway.sign_in("rita")
    assert (await otto.post("/keys", json={"name": "k", "scopes": ["trade"]})).status_code == 403
    made = (await rita.post("/users", json={"name": "nina", "role": "trader"})).json()
    assert (await gateway.client().post("/auth/first-password", json={"token": made["token"], "password": PASSWORD})).status_code == 204
    nina = await gateway.sign_in("nina")
    key = (await nina.post("/keys", json={"name": "k", "scopes": ["read", "trade"]})).json()["key"]
    program = gateway.client(Authorization=f"Bearer {key}")
    assert (await program.post("/orders", json={})).status_code == 422
    await rita.patch("/users/nina", json={"role": "viewer"})
    assert (await program.post("/orders", json={})).status_code == 403
    await rita.patch("/users/nina", json={"disabled": True})
    assert (await program.get("/portfolio")).status_code == 401
    assert (await nina.get("/portfolio")).status_code == 401


async def test_the_second_factor(gateway, clock):
    """Begun, confirmed, asked for at the next sign-in, each code once, and taken away again."""
    anna = await gateway.sign_in("anna")
    factor = (await anna.post("/auth/totp/begin")).json()
    assert factor["uri"].startswith("otpauth://totp/")
    assert (await anna.post("/auth/totp/confirm", json={"code": "000000"})).status_code == 422
    assert (await anna.post("/auth/totp/confirm", json={"code": code(factor["secret"], clock())})).status_code == 204
    missing = await gateway.client().post("/auth/sign-in", json={"name": "anna", "password": PASSWORD})
    assert (missing.status_code, missing.json()["type"]) == (401, "/problems/code-needed")
    clock.move(MINUTE)
    given = {"name": "anna", "password": PASSWORD, "code": code(factor["secret"], clock())}
    assert (await gateway.client().post("/auth/sign-in", json=given)).json()["second_factor"] is True
    assert (await gateway.client().post("/auth/sign-in", json=given)).status_code == 401
    clock.move(MINUTE)
    assert (await anna.post("/auth/totp/off", json={"code": code(factor["secret"], clock())})).status_code == 204
    await gateway.sign_in("anna")


async def test_recovery_codes(gateway, clock):
    """Shown once to who has just proved who she is, and each is taken where the code of the authenticator is."""
    anna = await gateway.sign_in("anna")
    assert (await anna.post("/auth/recovery-codes")).status_code == 422
    secret = (await anna.post("/auth/totp/begin")).json()["secret"]
    assert (await anna.post("/auth/totp/confirm", json={"code": code(secret, clock())})).status_code == 204
    codes = (await anna.post("/auth/recovery-codes")).json()["codes"]
    assert (await anna.get("/auth/recovery-codes")).json() == {"left": 10}
    again = await gateway.sign_in("anna", code=codes[0])
    assert (await again.get("/auth/recovery-codes")).json() == {"left": 9}
    clock.move(6 * MINUTE)
    assert (await again.post("/auth/recovery-codes")).json()["type"] == "/problems/step-up"
    assert (await again.post("/auth/step-up", json={"code": codes[1]})).json()["fresh"] is True
    assert len((await again.post("/auth/recovery-codes")).json()["codes"]) == 10
    refused = await gateway.client().post("/auth/sign-in", json={"name": "anna", "password": PASSWORD, "code": codes[2]})
    assert refused.status_code == 401


async def test_another_password_ends_the_other_sessions(gateway):
    """The one that changed it goes on; the old password is worth nothing; a wrong one is a refusal, not a sign-out."""
    here, there = await gateway.sign_in("anna"), await gateway.sign_in("anna", "192.0.2.9")
    assert (await here.post("/auth/password", json={"old": OTHER, "new": OTHER})).status_code == 403
    assert (await here.post("/auth/password", json={"old": PASSWORD, "new": "password1234"})).status_code == 422
    assert (await here.post("/auth/password", json={"old": PASSWORD, "new": OTHER})).status_code == 204
    assert (await here.get("/portfolio")).status_code == 200
    assert (await there.get("/portfolio")).status_code == 401


async def test_sessions_are_shown_and_ended_one_by_one(gateway):
    """Each with where it is from; a stranger's is not there."""
    here, there, otto = await gateway.sign_in("anna"), await gateway.sign_in("anna", "192.0.2.9"), await gateway.sign_in("otto")
    shown = (await here.get("/auth/sessions")).json()["sessions"]
    assert {(one["address"], one["current"]) for one in shown} == {("127.0.0.1", True), ("192.0.2.9", False)}
    away = next(one["id"] for one in shown if not one["current"])
    assert (await otto.delete(f"/auth/sessions/{away}")).status_code == 404
    assert (await here.delete(f"/auth/sessions/{away}")).status_code == 204
    assert (await there.get("/portfolio")).status_code == 401


@pytest.mark.parametrize("sign_up", ["closed", "open"])
async def test_sign_up(tmp_path, clock, sign_up):
    """Closed unless the settings open it; who signs up looks, and trades nothing."""
    async with opened(tmp_path / "other.db", clock, sign_up_open=sign_up == "open") as accounts, desk(tmp_path, accounts) as gateway:
        wanted = {"name": "Nina", "password": PASSWORD, "email": "nina@example.com"}
        made = await gateway.client().post("/auth/sign-up", json=wanted)
        if sign_up == "closed":
            assert made.status_code == 403
            return
        assert (made.status_code, made.json()["name"], made.json()["role"]) == (201, "nina", "viewer")
        nina = await gateway.sign_in("nina")
        assert (await nina.post("/orders", json={})).status_code == 403
        assert (await gateway.client().post("/auth/sign-up", json=wanted)).status_code == 422


async def test_the_profile(gateway):
    """Shown and replaced; what makes no sense is refused, and unknown fields too."""
    anna = await gateway.sign_in("anna")
    wanted = {"email": "anna@example.com", "display_name": "Anna \u00c4", "time_zone": "Europe/Berlin"}
    shown = (await anna.put("/profile", json=wanted)).json()
    assert {name: shown[name] for name in wanted} == wanted
    assert (await anna.get("/profile")).json() == shown
    for wrong in ({"time_zone": "Mars/Base"}, {"email": "x"}, {"role": "admin"}, {"display_name": "a\nb"}):
        assert (await anna.put("/profile", json=wrong)).status_code == 422, wrong


async def test_users_and_keys_come_in_pages(gateway):
    """`limit` and `after`, and a header Link to what comes next, until the end."""
    rita = await gateway.sign_in("rita")
    for number in range(5):
        await rita.post("/keys", json={"name": f"k{number}", "scopes": ["read"]})
    for path, what, name in (("/users?limit=2", "users", "name"), ("/keys?limit=2", "keys", "id")):
        whole = [row[name] for row in (await rita.get(path.partition("?")[0])).json()[what]]
        seen: list[str] = []
        following: str | None = path
        while following:
            answer = await rita.get(following)
            seen += [row[name] for row in answer.json()[what]]
            following = answer.links["next"]["url"] if "link" in answer.headers else None
        assert seen == whole
        assert len(whole) >= 3


async def test_the_last_administrator_stays(gateway):
    """Nobody locks everybody out."""
    rita = await gateway.sign_in("rita")
    assert (await rita.patch("/users/rita", json={"role": "viewer"})).status_code == 403
    assert (await rita.patch("/users/rita", json={"disabled": True})).status_code == 403
    assert (await rita.patch("/users/nobody", json={"disabled": True})).status_code == 404


async def test_without_sign_in_everybody_is_local(tmp_path):
    """The user `local` may do everything, and there are no accounts to sign in to."""
    async with desk(tmp_path, None) as gateway:
        client = gateway.client()
        shown = (await client.get("/auth/session")).json()
        assert (shown["name"], shown["role"], shown["sign_in"]) == ("local", "admin", False)
        for method, path in (
            ("POST", "/auth/sign-in"),
            ("GET", "/profile"),
            ("GET", "/users"),
            ("POST", "/keys"),
            ("POST", "/auth/ticket"),
        ):
            assert (await client.request(method, path, json={})).status_code == 403, path
        assert (await client.get("/portfolio")).status_code == 200


async def test_refusals_are_written_down(gateway, accounts, clock):
    """Who tried what, in one line each, of an address once a minute; nothing of what was shown is in it."""
    otto = await gateway.sign_in("otto")
    await otto.get("/users")
    await gateway.client("192.0.2.8", Authorization="Bearer obk_secret-canary").get("/portfolio%0d%0aforged: line")
    await gateway.client("192.0.2.8", Authorization="Bearer obk_secret-canary").get("/portfolio")
    rita = (await accounts.sign_in("rita", PASSWORD))[1]
    rows = await accounts.people.audit(rita, action="refusal")
    assert [(row.actor, row.address) for row in rows] == [("otto", "127.0.0.1"), ("", "192.0.2.8")]
    assert all("canary" not in row.detail and "\n" not in row.detail for row in rows)
    clock.move(HOUR)
