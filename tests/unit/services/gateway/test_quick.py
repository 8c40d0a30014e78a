"""The short way to `/price/{symbol}` answers as the routes do, and asks for the same."""

import dataclasses

import pytest
from starlette.middleware.cors import CORSMiddleware

from openbell.services.accounts.accounts import USED_NS
from openbell.services.gateway.quick import Quick
from openbell.services.gateway.service import make_app
from tests.accounts import Clock, add_user, make_accounts, opened
from tests.asgi import desk, settings_of

PATHS = ["/price/BTCUSDT", "/price/NONE", "/price/", "/price", "/price/a/b", "/price/%2F", "/price/BTC%55SDT", "/price/BTCUSDT?x=1"]


def without_quick(app):
    """Take the short way out of an application."""
    while not isinstance(app._app, Quick):
        app = app._app
    app._app = app._app._app


@pytest.fixture
async def accounts(tmp_path):
    async with opened(tmp_path / "users.db", Clock()) as made:
        await add_user(made, "anna", "trader")
        yield made


async def seen(client, method, path, **headers):
    """What a client notices of an answer."""
    answer = await client.request(method, path, headers=headers)
    return answer.status_code, answer.content, {name: value for name, value in answer.headers.items() if name != "x-request-id"}


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS", "DELETE"])
async def test_the_same_answers_as_the_long_way(tmp_path, method):
    """Status, body and headers, for what is there and what is not."""
    async with desk(tmp_path, None) as gateway:
        client = gateway.client()
        short = [await seen(client, method, path) for path in PATHS]
        without_quick(gateway.app)
        assert short == [await seen(client, method, path) for path in PATHS]
        assert (short[0][0] == 200) is (method == "GET")


async def test_the_same_callers_get_in(tmp_path, accounts):
    """Nobody, a wrong key, a key that may read, a foreign host; each is counted, and told what is left."""
    async with desk(tmp_path, accounts, rate_limit_address="100/minute") as gateway:
        anna = await gateway.sign_in("anna")
        key = (await anna.post("/keys", json={"name": "k", "scopes": ["read"]})).json()["key"]
        nobody, program = gateway.client(), gateway.client(Authorization=f"Bearer {key}")
        assert (await nobody.get("/price/BTCUSDT")).status_code == 401
        assert (await gateway.client(Authorization="Bearer obk_wrong").get("/price/BTCUSDT")).status_code == 401
        assert (await program.get("/price/BTCUSDT", headers={"Host": "evil.example"})).status_code == 400
        answer = await program.get("/price/BTCUSDT", headers={"X-Request-ID": "mine"})
        assert (answer.status_code, answer.headers["x-request-id"]) == (200, "mine")
        assert answer.json()["symbol"] == "BTCUSDT"
        assert "ratelimit-remaining" in answer.headers
        assert gateway.answered[-1] == ("GET", 200)
        found = [(await nobody.get("/price/BTCUSDT")).status_code for _ in range(100)]
        assert found[-1] == 429


async def test_what_breaks_inside_stays_inside(tmp_path):
    """As with every route."""

    async def broken(_symbol):
        raise RuntimeError("canary")

    async with desk(tmp_path, None) as gateway:
        backstage = dataclasses.replace(gateway.backstage, price=broken)
        gateway.app._app = make_app(backstage, gateway.hub, gateway.access, settings_of(sign_in=False).server)
        answer = await gateway.client().get("/price/BTCUSDT")
        assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
        assert "canary" not in answer.text


async def test_other_sites_are_told_that_they_may(tmp_path):
    """What the settings allow holds here too."""
    async with desk(tmp_path, None, cors_origins=("https://charts.example",)) as gateway:
        assert isinstance(gateway.app._app._app, CORSMiddleware)
        answer = await gateway.client().get("/price/BTCUSDT", headers={"Origin": "https://charts.example"})
        assert answer.headers["access-control-allow-origin"] == "https://charts.example"


async def test_a_key_ends_at_once_whoever_ends_it(tmp_path, accounts):
    """It is remembered as long as nothing has changed; a change by another process is one too, and so is time."""
    other = make_accounts(tmp_path / "users.db", Clock())
    async with desk(tmp_path, accounts) as gateway:
        anna = await gateway.sign_in("anna")
        for end in ("revoked here", "disabled elsewhere"):
            made = (await anna.post("/keys", json={"name": "k", "scopes": ["read"]})).json()
            program = gateway.client(Authorization=f"Bearer {made['key']}")
            for _ in range(3):
                assert (await program.get("/price/BTCUSDT")).status_code == 200
            if end == "revoked here":
                assert (await anna.delete(f"/keys/{made['id']}")).status_code == 204
            else:
                from openbell.services.accounts.callers import LOCAL

                await other.people.disable(LOCAL, "anna")
            assert (await program.get("/price/BTCUSDT")).status_code == 401, end
    await other.close()


async def test_a_key_that_is_remembered_expires_and_counts_as_used(tmp_path):
    """Nothing changes in the database when a key expires."""
    clock = Clock()
    async with opened(tmp_path / "users.db", clock) as accounts:
        await add_user(accounts, "anna", "trader")
        _, caller = await accounts.sign_in("anna", "quiet otter under glass")
        made = await accounts.keys.create(caller, "k", frozenset({"read"}))
        for _ in range(3):
            await accounts.by_key(made.key)
        first = (await accounts.keys.list(caller))[0].used
        clock.move(USED_NS)
        await accounts.by_key(made.key)
        assert (await accounts.keys.list(caller))[0].used == first + USED_NS
