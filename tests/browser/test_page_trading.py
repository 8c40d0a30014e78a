"""Orders by hand, what moves, and where one is told of it, on the page."""

import http.server
import json
import re
import threading
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, Route, expect

from tests.pages import PHONE, Visitors, live, overflow, panel
from tests.running import Running, until

pytestmark = pytest.mark.browser


@pytest.fixture
def hook() -> Iterator[tuple[str, list[str]]]:
    """A webhook on this machine: its URL, and the messages it was sent."""
    heard: list[str] = []

    class Heard(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["message"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Heard)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/openbell", heard
    server.shutdown()
    server.server_close()


def fill_in(page: Page, quantity: str) -> None:
    """A ticket for a market order, up to its confirmation."""
    page.get_by_role("button", name="Buy", exact=True).click()
    page.get_by_label("Quantity").fill(quantity)
    page.get_by_role("button", name="Review").click()
    expect(page.get_by_label("The order")).to_contain_text(f"{quantity} BTCUSDT")


def test_ticket(local: Visitors) -> None:
    """An order is read once more before it is placed, and is then in the list, from by hand."""
    page = local.come()
    live(page)
    fill_in(page, "0.011")
    page.get_by_role("button", name="Place the order").click()
    page.get_by_role("button", name="Done").click()
    row = panel(page, "Orders").locator("tbody tr").filter(has_text="0.011")
    expect(row).to_contain_text("filled")


def test_ticket_sent_twice_is_one_order(local: Visitors, demo: Running) -> None:
    """When the answer is lost the page says that placing it again is safe; and it is one order."""
    page = local.come()
    live(page)
    lost = []

    def lose(route: Route) -> None:
        lost.append(route.fetch().status)
        route.fulfill(status=503, json={"type": "about:blank", "title": "", "status": 503, "detail": "The line broke."})

    page.route("**/orders", lose, times=1)
    local.expected = {503}
    fill_in(page, "0.013")
    page.get_by_role("button", name="Place the order").click()
    expect(page.get_by_role("alert").filter(has_text="it stays one order")).to_be_visible()
    page.get_by_role("button", name="Place the order").click()
    page.get_by_role("button", name="Done").click()
    assert lost == [201]
    assert sum(order["quantity"] == pytest.approx(0.013) for order in demo.get("/orders?limit=2000")["orders"]) == 1


def test_ticket_that_is_denied(local: Visitors) -> None:
    """A risk check that says no is shown with its reason; a limit order has a price and is canceled again."""
    page = local.come(PHONE)
    live(page)
    fill_in(page, "500")
    page.get_by_role("button", name="Place the order").click()
    expect(page.get_by_role("dialog", name="Order")).to_contain_text("denied")
    page.get_by_role("button", name="Another order").click()
    page.get_by_label("Type").select_option("limit")
    page.get_by_label("Quantity").fill("0.017")
    page.get_by_label("Limit price").fill("1000")
    assert overflow(page) <= 0
    page.get_by_role("button", name="Review").click()
    page.get_by_role("button", name="Place the order").click()
    page.get_by_role("button", name="Done").click()
    row = panel(page, "Orders").locator("tbody tr").filter(has_text="0.017")
    expect(row).to_contain_text(re.compile("denied|accepted|submitted"))


def test_movers(local: Visitors) -> None:
    """What moves within a window is listed, and a click shows it in the chart."""
    page = local.come()
    live(page)
    page.get_by_role("tab", name="Movers").click()
    movers = panel(page, "Movers")
    movers.get_by_role("button", name="1m", exact=True).click()
    row = movers.locator("[data-mover=ETHUSDT]").first
    expect(row).to_contain_text("%")
    row.get_by_role("button", name="ETHUSDT").click()
    expect(page.get_by_test_id("candles")).to_have_attribute("aria-label", re.compile("^ETHUSDT"))


def test_channel(local: Visitors, demo: Running, hook: tuple[str, list[str]]) -> None:
    """A webhook is added, tried, told of a fill, changed, turned off and removed; its address with a token is never shown again."""
    url, heard = hook
    page = local.come()
    live(page)
    page.get_by_role("button", name="Notifications").click()
    window = page.get_by_role("dialog", name="Notifications")
    window.get_by_role("button", name="Add a channel").click()
    window.get_by_label("Name").fill("desk")
    window.get_by_text("Webhook").click()
    window.get_by_label("URL").fill(f"{url}?token=hushhush")
    window.get_by_label("everything", exact=True).uncheck()
    window.get_by_label("fills").check()
    window.get_by_role("button", name="Add", exact=True).click()
    row = window.locator("[data-channel=desk]")
    expect(row).to_contain_text("fill")
    assert "hushhush" not in page.content()
    row.get_by_role("button", name="Test desk").click()
    expect(row.get_by_role("status")).to_contain_text("Sent.")
    assert any("test of the channel desk" in text for text in heard)

    demo.ask("POST", "/orders", {"symbol": "BTCUSDT", "side": "buy", "quantity": 0.01})
    until(lambda: any(text.startswith("Fill: buy 0.01 BTCUSDT") for text in heard), 30, "a fill that is told")
    row.get_by_role("button", name="Change desk").click()
    window.get_by_label("Quiet from").fill("22:00")
    window.get_by_label("Quiet to").fill("07:00")
    window.get_by_role("button", name="Save").click()
    expect(row).to_contain_text("quiet 22:00-07:00")
    row.get_by_role("button", name="Turn desk off").click()
    expect(row).to_contain_text("off")
    window.get_by_role("tab", name="Log").click()
    expect(window.get_by_role("list", name="What was told").get_by_role("listitem").filter(has_text="sent").first).to_be_visible()
    window.get_by_role("tab", name="Channels").click()
    row.get_by_role("button", name="Remove desk").click()
    expect(row).to_have_count(0)


def test_nothing_of_signing_in_is_local(local: Visitors) -> None:
    """Where nobody signs in there is neither a door nor a menu."""
    page = local.come()
    live(page)
    expect(page.get_by_role("button", name=re.compile("^Account of"))).to_have_count(0)
    expect(page.get_by_role("button", name="Sign out")).to_have_count(0)
