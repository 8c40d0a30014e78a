"""Text that wants to be more than text: it goes in, comes out as it was, and does nothing on the way."""

import pytest

from tests.accounts import Clock, add_user, opened
from tests.asgi import desk

HOSTILE = [
    "'; DROP TABLE alerts; --", "1' OR '1'='1", '" OR ""="', "%27%20OR%201=1", "$(touch /tmp/x)", "`id`", "; cat /etc/passwd",
    "{{7*7}} ${7*7} {0.__class__} %s%n", "<script>alert(1)</script>", '=HYPERLINK("http://evil.example")', "../../etc/passwd", "\U0001f680",
]  # fmt: skip


@pytest.fixture
async def gateway(tmp_path):
    async with opened(tmp_path / "alerts.db", Clock()) as accounts:
        await add_user(accounts, "anna")
        async with desk(tmp_path, accounts) as made:
            yield made


@pytest.mark.parametrize("text", HOSTILE)
async def test_it_stays_text(gateway, text):
    """In what is stored and in what is asked for: no error of the inside, and no other row than its own."""
    anna = await gateway.sign_in("anna")
    note = {"symbol": "BTCUSDT", "condition": "above", "target_price": 1e6, "note": text}
    for number in (1, 2):
        assert (await anna.post("/alerts", json=note)).json()["note"] == text
        assert [alert["note"] for alert in (await anna.get("/alerts")).json()["alerts"]] == [text] * number
    for path in ("/price/{}", "/candles/{}", "/analytics/{}", "/orders/{}", "/alerts/{}", "/channels/{}", "/strategies/{}/pause"):
        for method in ("GET", "POST", "DELETE"):
            answer = await anna.request(method, path.format(text.replace("/", "%2F").replace("?", "%3F").replace("#", "%23")))
            assert answer.status_code in (404, 405, 422), (method, path, answer.text)
    for query in ("symbol", "owner", "after", "status"):
        answer = await anna.get("/alerts", params={query: text})
        assert answer.status_code in (200, 404, 422)
        assert answer.status_code != 200 or query == "symbol", "an owner or a page that is none"
        assert answer.status_code != 200 or answer.json() == {"alerts": []}
    assert len((await anna.get("/alerts")).json()["alerts"]) == 2


@pytest.mark.parametrize("text", ["a\nlevel=error", "\x1b[2J", "\u202egnp", "\x00"])
async def test_what_cannot_be_shown_is_refused(gateway, text):
    """A second line, a sequence for the terminal, or letters from right to left."""
    anna = await gateway.sign_in("anna")
    answer = await anna.post("/alerts", json={"symbol": "BTCUSDT", "condition": "above", "target_price": 1e6, "note": text})
    assert answer.status_code == 422
    assert text not in answer.text


async def test_a_pickle_or_yaml_is_no_body(gateway):
    """What other programs would run when they read it is not even read."""
    anna = await gateway.sign_in("anna")
    for kind, body in (
        ("application/x-python-pickle", b"cos\nsystem\n(S'id'\ntR."),
        ("application/yaml", b"!!python/object/apply:os.system [id]"),
        ("application/xml", b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>'),
        ("application/json", b"!!python/object/apply:os.system [id]"),
    ):
        answer = await anna.post("/alerts", content=body, headers={"Content-Type": kind})
        assert answer.status_code in (400, 422)
        assert "root:" not in answer.text
