"""Alerts on the page: made in one line, told when they come, and nobody else's."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.gateway import sign_in
from tests.pages import PATIENCE_MS, PHONE, Visitors, live, overflow, panel
from tests.running import Running

pytestmark = pytest.mark.browser

#: The first alert of a platform has its kernel compiled, where that has not been done on this machine.
FIRST_MS = 3 * PATIENCE_MS


def last_price(page: Page, symbol: str = "BTCUSDT") -> float:
    """What the page shows as the last price."""
    text = panel(page, "Last prices").locator(f'[data-symbol="{symbol}"]').get_by_test_id("last-price").inner_text()
    return float(re.sub(r"[^\d.]", "", text))


def add_alert(page: Page, target: float, condition: str = "crosses", symbol: str = "BTCUSDT") -> None:
    """By the line of the page."""
    page.get_by_role("tab", name=re.compile("^Alerts")).click()
    line = page.get_by_role("form", name="New alert")
    line.get_by_label("Symbol of the alert").select_option(symbol)
    line.get_by_label("Condition").select_option(condition)
    line.get_by_label("Target").fill(f"{target:g}" if target < 1000 else f"{target:.2f}")
    line.get_by_role("button", name="Add").click()


def test_alert_comes(local: Visitors) -> None:
    """An alert on a price that the market has passed comes: it is told in the corner, counted in the list, and in the history."""
    page = local.come()
    live(page)
    add_alert(page, last_price(page) * 0.99, "above")
    told = page.get_by_role("log", name="Alerts that came")
    expect(told).to_contain_text("BTCUSDT is at or above", timeout=FIRST_MS)
    row = page.get_by_role("list", name="Your alerts").get_by_role("listitem").first
    expect(row).to_contain_text("triggered")
    expect(row).to_contain_text("came at")
    told.get_by_role("button", name=re.compile("^Dismiss")).first.click()
    expect(told).to_be_empty()
    page.get_by_role("tab", name="Alert history").click()
    expect(panel(page, "Alert history").get_by_role("cell", name=re.compile("^BTCUSDT is at or above"))).to_be_visible()


def test_alert_is_paused_and_removed(local: Visitors) -> None:
    """One that waits is paused, goes on, and is removed; what makes no sense is refused in words."""
    local.expected = {422}
    page = local.come(PHONE, "light")
    live(page)
    add_alert(page, 0, "above")
    expect(page.get_by_role("alert").filter(has_text="above 0")).to_be_visible()
    add_alert(page, 999_999, "above", "ETHUSDT")
    row = page.get_by_role("list", name="Your alerts").get_by_role("listitem").filter(has_text="ETHUSDT is at or above 999,999")
    row.get_by_role("button", name=re.compile("^Pause")).click()
    expect(row).to_contain_text("paused")
    row.get_by_role("button", name=re.compile("^Resume")).click()
    expect(row).to_contain_text("active")
    assert overflow(page) <= 0
    row.get_by_role("button", name=re.compile("^Remove")).click()
    expect(row).to_have_count(0)


def test_what_people_write_stays_text(local: Visitors, demo: Running) -> None:
    """A note that looks like a page is shown as it was written, and nothing of it runs or loads."""
    note = "<img src=x onerror=alert(1)><script>alert(2)</script>"
    demo.ask("POST", "/alerts", {"symbol": "BTCUSDT", "condition": "above", "target_price": 888_888, "note": note})
    page = local.come()
    live(page)
    page.get_by_role("tab", name=re.compile("^Alerts")).click()
    expect(page.get_by_role("list", name="Your alerts").get_by_text(note)).to_be_visible()


@pytest.mark.parametrize(
    ("watched", "target", "said"),
    [
        ("rsi", "30", "BTCUSDT rsi(14) 1s crosses 30"),
        ("price/sma", "0", "BTCUSDT price crosses sma(20) 1s"),
        ("bollinger.upper", "70000", "BTCUSDT bollinger(20, 2) upper 1s crosses 70,000"),
        ("macd.histogram", "1", "BTCUSDT macd(12, 26, 9) histogram 1s crosses 1"),
        ("move", "2", "BTCUSDT move within 15m crosses 2 %"),
        ("volume", "100000", "BTCUSDT volume within 15m crosses 100,000"),
        ("position", "5", "BTCUSDT position crosses 5"),
        ("drawdown", "90", "Drawdown crosses 90 %"),
    ],
)
def test_every_kind(local: Visitors, watched: str, target: str, said: str) -> None:
    """Each thing that may be watched is accepted by the platform, and shown in words."""
    page = local.come()
    live(page)
    page.get_by_role("button", name="1s", exact=True).click()
    page.get_by_role("tab", name=re.compile("^Alerts")).click()
    line = page.get_by_role("form", name="New alert")
    line.get_by_label("Watch").select_option(watched)
    line.get_by_label("Condition").select_option("crosses")
    line.get_by_label("How often").select_option("every")
    line.get_by_role("button", name="More").click()
    line.get_by_label("Cool-down").select_option("300")
    line.get_by_label("Expires").fill("2031-01-31T16:00")
    line.get_by_label("Target").fill(target)
    line.get_by_role("button", name="Add").click()
    row = page.get_by_role("list", name="Your alerts").get_by_role("listitem").filter(has_text=said)
    expect(row).to_contain_text("every time")
    expect(row).to_contain_text("until Jan 31")


def test_alerts_of_others_are_not_shown(people: Visitors, platform: Running) -> None:
    """What eve is told of, bob neither sees in his list nor hears; he hears of his own."""
    bob, root = people.sign_in("bob"), people.sign_in("root")
    eve = sign_in(platform, "eve")
    eve.do("POST", "/alerts", {"symbol": "BTCUSDT", "condition": "above", "target_price": 1.5, "note": "eves secret"})
    add_alert(bob, 2.5, "above")
    for page in (bob, root):
        page.get_by_role("tab", name=re.compile("^Alerts")).click()
    told = bob.get_by_role("log", name="Alerts that came")
    expect(told).to_contain_text("BTCUSDT is at or above 2.5", timeout=FIRST_MS)
    add_alert(root, 3.5, "above")
    expect(root.get_by_role("log", name="Alerts that came")).to_contain_text("is at or above 3.5")
    assert eve.get("/alerts")["alerts"][0]["status"] == "triggered"
    for page in (bob, root):
        assert "eves secret" not in page.content()
        expect(page.get_by_role("list", name="Your alerts").get_by_role("listitem")).to_have_count(1)
