"""Channels over HTTP: each user has her own, an address goes in and never comes out, and what is told of the house is administrators'."""

import asyncio
import dataclasses
import time

import pytest

from openbell.adapters.stores.notification_rows import News
from openbell.adapters.stores.notifications import Outbox
from openbell.errors import ConfigError
from openbell.services.gateway.service import make_app
from openbell.services.gateway.stream import Hub
from tests.accounts import Clock, add_user, opened
from tests.asgi import desk, settings_of
from tests.sinks import TOKEN, Hook

TELEGRAM = f"tgram://{TOKEN}/-100"
SECRET = TOKEN.split(":")[1]


@pytest.fixture
async def accounts(tmp_path):
    async with opened(tmp_path / "alerts.db", Clock()) as made:
        for name, role in (("anna", "trader"), ("otto", "viewer"), ("rita", "admin")):
            await add_user(made, name, role)
        yield made


@pytest.fixture
async def gateway(tmp_path, accounts):
    async with desk(tmp_path, accounts, private=True) as made:
        yield made


@pytest.fixture
def hook():
    with Hook() as server:
        yield server


async def test_made_shown_changed_tried_and_removed(gateway, hook):
    """The whole life of a channel; a viewer may have some too. Nothing that is shown has the address."""
    otto = await gateway.sign_in("otto")
    answers = [await otto.post("/channels", json={"name": "hook", "url": hook.url_of(), "events": ["fill", "alert"]})]
    assert answers[0].status_code == 201
    made = answers[0].json()
    assert (made["name"], made["kind"], made["events"], made["status"], made["ts_sent"]) == (
        "hook",
        "webhook",
        ["fill", "alert"],
        "new",
        None,
    )
    place = f"/channels/{made['id']}"
    answers.append(await otto.post(f"{place}/test"))
    assert answers[-1].json() == {"answer": "sent", "reason": "", "wait_s": 0.0}
    assert "test of the channel hook" in hook.texts[0]
    answers.append(await otto.patch(place, json={"name": "desk", "quiet": "22:00-07:00", "zone": "Asia/Kolkata", "minimum": "warning"}))
    answers.append(await otto.get("/channels"))
    shown = answers[-1].json()["channels"]
    assert [(one["name"], one["quiet"], one["minimum"], one["status"]) for one in shown] == [("desk", "22:00-07:00", "warning", "ok")]
    assert (await otto.patch(place, json={"enabled": False})).json()["enabled"] is False
    assert (await otto.post("/channels", json={"name": "desk", "url": hook.url_of()})).status_code == 422
    assert all("canary" not in answer.text for answer in answers)
    assert (await otto.delete(place)).status_code == 204
    assert (await otto.delete(place)).status_code == 404
    assert (await otto.post(f"{place}/test")).status_code == 404


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"name": "a"}, 422),
        ({"name": "a", "url": ""}, 422),
        ({"name": "", "url": TELEGRAM}, 422),
        ({"name": " a", "url": TELEGRAM}, 422),
        ({"name": "a", "url": f"nothing://{SECRET}/x"}, 422),
        ({"name": "a", "url": f"tgram://{SECRET}"}, 422),
        ({"name": "a", "url": TELEGRAM, "events": ["kil"]}, 404),
        ({"name": "a", "url": TELEGRAM, "quiet": "22:00"}, 422),
        ({"name": "a", "url": TELEGRAM, "zone": "Nowhere/Else"}, 422),
        ({"name": "a", "url": TELEGRAM, "minimum": "loud"}, 422),
        ({"name": "a", "url": TELEGRAM, "owner": 1}, 422),
        (["a"], 422),
    ],
)
async def test_a_channel_that_makes_no_sense(gateway, body, status):
    """It is refused, and the error does not repeat the address."""
    anna = await gateway.sign_in("anna")
    answer = await anna.post("/channels", json=body)
    assert answer.status_code == status, answer.text
    assert SECRET not in answer.text
    assert (await anna.get("/channels")).json() == {"channels": []}


@pytest.mark.parametrize(
    "url",
    ["json://127.0.0.1/x", "json://localhost:8081/orders", "json://10.0.0.8/x", "json://169.254.169.254/latest", "json://[::1]/x",
     "json://192.168.1.1/x", "json://0x7f000001/x", "json://[::ffff:127.0.0.1]/x", "file:///etc/passwd", "syslog://localhost"],
)  # fmt: skip
async def test_no_channel_leads_to_this_machine_or_network(tmp_path, accounts, url):
    """Neither a new one nor one that is changed; `notify.allow_private` is for that."""
    async with desk(tmp_path, accounts) as gateway:
        anna = await gateway.sign_in("anna")
        assert (await anna.post("/channels", json={"name": "a", "url": url})).status_code == 422
        made = (await anna.post("/channels", json={"name": "a", "url": TELEGRAM})).json()
        assert (await anna.patch(f"/channels/{made['id']}", json={"url": url})).status_code == 422
        assert (await anna.get("/channels")).json()["channels"][0]["kind"] == "telegram"


async def test_what_is_another_users_is_not_there(gateway):
    """404 for everybody else, also for an administrator: an address is personal."""
    anna, otto, rita = [await gateway.sign_in(name) for name in ("anna", "otto", "rita")]
    id = (await anna.post("/channels", json={"name": "canary", "url": TELEGRAM})).json()["id"]
    for other in (otto, rita):
        answers = [
            await other.patch(f"/channels/{id}", json={"name": "mine"}),
            await other.post(f"/channels/{id}/test"),
            await other.delete(f"/channels/{id}"),
        ]
        assert [answer.status_code for answer in answers] == [404, 404, 404]
        assert (await other.get("/channels")).json() == {"channels": []}
        assert (await other.get(f"/notifications?channel={id}")).json() == {"deliveries": []}
    assert [one["name"] for one in (await anna.get("/channels")).json()["channels"]] == ["canary"]


async def test_what_concerns_the_house_is_for_administrators(gateway, accounts):
    """To ask for it, and to change such a channel; who is an administrator no more may only give it up."""
    anna, rita = [await gateway.sign_in(name) for name in ("anna", "rita")]
    wanted = {"name": "house", "url": TELEGRAM, "house": True}
    assert (await anna.post("/channels", json=wanted)).status_code == 403
    own = (await anna.post("/channels", json={**wanted, "house": False})).json()
    assert (await anna.patch(f"/channels/{own['id']}", json={"house": True})).status_code == 403
    made = (await rita.post("/channels", json=wanted)).json()
    assert made["house"] is True
    key = (await rita.post("/keys", json={"name": "bot", "scopes": ["alerts"]})).json()["key"]
    bot = gateway.client(Authorization=f"Bearer {key}")
    place = f"/channels/{made['id']}"
    assert (await bot.patch(place, json={"url": f"{TELEGRAM}1"})).status_code == 403
    assert (await bot.patch(place, json={"house": True})).status_code == 403
    assert (await bot.patch(place, json={"house": False})).json()["house"] is False
    assert (await bot.patch(place, json={"url": f"{TELEGRAM}1"})).status_code == 200


async def test_the_log_comes_in_pages(gateway):
    """Newest first, each line once; of a channel, of a state."""
    anna = await gateway.sign_in("anna")
    ids = [(await anna.post("/channels", json={"name": name, "url": TELEGRAM})).json()["id"] for name in ("one", "two")]
    owner = gateway.channels.list(None)[0].owner
    fields = {"symbol": "BTCUSDT", "price": 61_000.0}
    Outbox(gateway.database).tell([News(f"n{number}", owner, "fill", "info", 1_000_000 * number, fields) for number in range(5)])
    whole = (await anna.get("/notifications")).json()["deliveries"]
    assert [(one["event"], one["ts"], one["channel"]) for one in whole] == [("fill", n, id) for n in (4, 3, 2, 1, 0) for id in ids[::-1]]
    assert whole[0]["fields"] == fields
    seen, following = [], "/notifications?limit=3&state=waiting"
    while following:
        answer = await anna.get(following)
        seen += answer.json()["deliveries"]
        following = answer.headers.get("link", "").partition(">")[0].lstrip("<")
    assert seen == whole
    assert {one["channel"] for one in (await anna.get(f"/notifications?channel={ids[0]}")).json()["deliveries"]} == {ids[0]}
    assert (await anna.get("/notifications?state=sent")).json() == {"deliveries": []}
    for query in ("after=x", "after=1-2-3", "after=99999999999999999999-1", "limit=0", "state=gone", "channel=0"):
        assert (await anna.get(f"/notifications?{query}")).status_code == 422, query
    tag = (await anna.get("/notifications")).headers["etag"]
    assert (await anna.get("/notifications", headers={"If-None-Match": tag})).status_code == 304


async def test_words_of_ones_own(gateway):
    """For an event, until the usual ones are brought back; nothing but fields in braces."""
    anna, otto = [await gateway.sign_in(name) for name in ("anna", "otto")]
    usual = {one["event"]: one for one in (await anna.get("/notifications/templates")).json()["templates"]}
    assert usual["fill"]["own"] is False
    assert {"symbol", "time"} <= set(usual["fill"]["fields"])
    own = (await anna.put("/notifications/templates/fill", json={"text": "{side} {symbol}"})).json()
    assert (own["text"], own["own"]) == ("{side} {symbol}", True)
    assert {one["event"]: one for one in (await otto.get("/notifications/templates")).json()["templates"]} == usual
    assert (await anna.put("/notifications/templates/fill", json={"text": ""})).json() == usual["fill"]
    for text in ("{symbol.__class__}", "{nothing}", "{", "x" * 1001, "\x1b[2J"):
        assert (await anna.put("/notifications/templates/fill", json={"text": text})).status_code == 422, text
    assert (await anna.put("/notifications/templates/fil", json={"text": "x"})).status_code == 404


async def test_one_test_at_a_time(gateway, hook):
    """A second test of the same user is told to come again, and the gateway goes on meanwhile."""
    hook.delay_s = 5.0
    anna = await gateway.sign_in("anna")
    id = (await anna.post("/channels", json={"name": "slow", "url": hook.url_of()})).json()["id"]
    first = asyncio.create_task(anna.post(f"/channels/{id}/test"))
    deadline = time.monotonic() + 10
    while not hook.connected:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
    second = await anna.post(f"/channels/{id}/test")
    assert second.status_code == 429
    assert second.headers["retry-after"] == "5"
    assert (await anna.get("/channels")).status_code == 200
    hook.released.set()
    assert (await first).json()["answer"] == "sent"


async def test_a_platform_that_tells_nobody(tmp_path, accounts):
    """A problem that says so, and nothing of the inside: neither why a key does not open, nor where it is."""

    def broken():
        raise ConfigError("/var/lib/openbell/secrets.key has the mode 0644")

    async with desk(tmp_path, accounts) as gateway:
        anna = await gateway.sign_in("anna")
        for channels in (None, broken):
            without = dataclasses.replace(gateway.backstage, channels=channels)
            gateway.app._app = make_app(without, Hub(without, gateway.access), gateway.access, settings_of().server)
            answer = await anna.get("/channels")
            assert answer.status_code == 503
            assert answer.headers["content-type"] == "application/problem+json"
            assert "secrets.key" not in answer.text


async def test_where_nobody_signs_in_they_are_the_houses(tmp_path, hook):
    """Whoever asks is the house."""
    async with desk(tmp_path, None, private=True) as gateway:
        local = gateway.client()
        assert (await local.post("/channels", json={"name": "hook", "url": hook.url_of(), "house": True})).status_code == 201
        assert [row.owner for row in gateway.channels.list(None)] == [0]
