"""Alerts over HTTP: made, shown in pages, changed and removed, each by its owner alone."""

import pytest

from tests.accounts import Clock, add_user, opened
from tests.asgi import desk

ABOVE = {"symbol": "BTCUSDT", "condition": "above", "target_price": 70_000}


@pytest.fixture
async def gateway(tmp_path):
    async with opened(tmp_path / "users.db", Clock()) as accounts:
        for name, role in (("anna", "trader"), ("otto", "viewer"), ("rita", "admin")):
            await add_user(accounts, name, role)
        # In the database of the alerts too: their owners are rows of it.
        async with opened(tmp_path / "alerts.db", Clock()) as same:
            for name in ("anna", "otto", "rita"):
                await add_user(same, name)
        async with desk(tmp_path, accounts) as made:
            yield made


async def test_made_shown_changed_and_removed(gateway):
    """The whole life of an alert; a viewer may have some too."""
    otto = await gateway.sign_in("otto")
    made = await otto.post("/alerts", json={**ABOVE, "note": "high", "ts_expires": 1_900_000_000_000})
    assert made.status_code == 201
    id = made.json()["id"]
    shown = (await otto.get("/alerts")).json()["alerts"]
    assert [(one["id"], one["status"], one["note"], one["ts_expires"]) for one in shown] == [(id, "active", "high", 1_900_000_000_000)]
    changed = (await otto.patch(f"/alerts/{id}", json={"target_price": 80_000, "ts_expires": None})).json()
    assert (changed["target_price"], changed["ts_expires"], changed["note"]) == (80_000.0, None, "high")
    assert (await otto.patch(f"/alerts/{id}", json={"status": "paused"})).json()["status"] == "paused"
    assert (await otto.delete(f"/alerts/{id}")).status_code == 204
    assert (await otto.delete(f"/alerts/{id}")).status_code == 404
    assert (await otto.get("/alerts")).json() == {"alerts": []}
    assert (await otto.get("/alerts/events")).json() == {"events": [], "latest": 0}


async def test_what_is_another_users_is_not_there(gateway):
    """To see, to change, to remove, by its id or by its owner's name: 404, and nothing happens. An administrator may."""
    anna, otto, rita = [await gateway.sign_in(name) for name in ("anna", "otto", "rita")]
    id = (await anna.post("/alerts", json={**ABOVE, "note": "canary"})).json()["id"]
    assert (await otto.get("/alerts")).json() == {"alerts": []}
    assert (await otto.get("/alerts?owner=anna")).status_code == 404
    assert (await otto.get("/alerts/events?owner=anna")).status_code == 404
    for answer in (await otto.patch(f"/alerts/{id}", json={"status": "paused"}), await otto.delete(f"/alerts/{id}")):
        assert answer.status_code == 404
        assert "canary" not in answer.text
    assert [one["status"] for one in (await anna.get("/alerts?owner=anna")).json()["alerts"]] == ["active"]
    assert len((await rita.get("/alerts")).json()["alerts"]) == 1
    assert len((await rita.get("/alerts?owner=anna")).json()["alerts"]) == 1
    assert (await rita.get("/alerts?owner=otto")).json() == {"alerts": []}
    assert (await rita.get("/alerts?owner=nobody")).status_code == 404
    assert (await rita.patch(f"/alerts/{id}", json={"status": "paused"})).json()["status"] == "paused"


async def test_they_come_in_pages(gateway):
    """`limit` and `after`, and a header Link until the end; a filter stays with them."""
    anna = await gateway.sign_in("anna")
    for number in range(5):
        await anna.post("/alerts", json={**ABOVE, "target_price": 1 + number})
    await anna.post("/alerts", json={**ABOVE, "symbol": "ETHUSDT"})
    seen, following = [], "/alerts?limit=2&symbol=BTCUSDT"
    while following:
        answer = await anna.get(following)
        seen += [one["target_price"] for one in answer.json()["alerts"]]
        following = answer.links["next"]["url"] if "link" in answer.headers else ""
    assert seen == [1, 2, 3, 4, 5]


async def test_a_key_makes_one_alert(gateway):
    """Repeated, the same alert; with another body 422; another user's same key is her own."""
    anna, otto = await gateway.sign_in("anna"), await gateway.sign_in("otto")
    key = {"Idempotency-Key": "a-1"}
    first, again = [(await anna.post("/alerts", json=ABOVE, headers=key)).json()["id"] for _ in range(2)]
    assert first == again
    assert (await anna.post("/alerts", json={**ABOVE, "target_price": 5}, headers=key)).status_code == 422
    assert (await otto.post("/alerts", json=ABOVE, headers=key)).json()["id"] != first


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({**ABOVE, "symbol": "NOPE"}, 404),
        ({**ABOVE, "condition": "near"}, 422),
        ({**ABOVE, "target_price": -1}, 422),
        ({**ABOVE, "target_price": 1e300}, 422),
        ({**ABOVE, "extra": 1}, 422),
        ({**ABOVE, "mode": "sometimes"}, 422),
        ({**ABOVE, "cooldown_s": 60}, 422),
        ({**ABOVE, "note": "a\nb"}, 422),
        ({**ABOVE, "schedule": {"session": "moon"}}, 404),
        (
            {**ABOVE, "condition": "indicator_above", "spec": {"indicator": {"name": "rsi", "timeframe": "1m", "params": {"length": -1}}}},
            422,
        ),
        ({"condition": "drawdown_above", "target_price": 5, "spec": {"accounts": ["house"]}}, 404),
    ],
)
async def test_an_alert_that_makes_no_sense(gateway, body, status):
    """Refused at the border with a reason."""
    anna = await gateway.sign_in("anna")
    answer = await anna.post("/alerts", json=body)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text


async def test_alerts_on_accounts_are_on_ones_own(gateway):
    """Without names they are on the accounts of whoever asks, and not on what she gets to name later by a change."""
    anna = await gateway.sign_in("anna")
    made = (await anna.post("/alerts", json={"condition": "drawdown_above", "target_price": 5})).json()
    assert made["spec"]["accounts"] == ["annas"]
    assert (await anna.patch(f"/alerts/{made['id']}", json={"spec": {"accounts": ["house"]}})).status_code == 404
    assert (await anna.patch(f"/alerts/{made['id']}", json={"spec": None})).json()["spec"]["accounts"] == ["annas"]


async def test_nobody_fills_the_store(gateway):
    """An owner has a quota."""
    anna = await gateway.sign_in("anna")
    found = [(await anna.post("/alerts", json={**ABOVE, "target_price": 1 + number})).status_code for number in range(21)]
    assert found == [201] * 20 + [422]
