"""The web page in a real Chromium, served by a running platform.

The fixture `running_demo` must yield the base URL (`http://127.0.0.1:PORT`, no slash at the end) of a platform that serves the
page and replays market data for as long as the tests last, fast enough that within a minute prices move, candles form and at
least one order is filled, with at least one active strategy that may be paused, killed and started again.
"""

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, WebSocketRoute, expect

from tests.pages import DESK, PHONE, overflow, panel

pytestmark = pytest.mark.browser

Open = Callable[..., Page]


class Wire:
    """The line between the page's WebSocket and the platform, which a test can cut, and let fall silent."""

    def __init__(self) -> None:
        self.cut = False
        self.silent = False
        self.ends: list[WebSocketRoute] = []

    def connect(self, end: WebSocketRoute) -> None:
        if self.cut:
            end.close()
            return
        self.ends.append(end)
        platform = end.connect_to_server()
        platform.on_message(lambda message: None if self.silent else end.send(message))

    def break_off(self) -> None:
        self.cut = True
        for end in self.ends:
            end.close()
        self.ends.clear()


@pytest.fixture
def complaints() -> list[str]:
    """What the page logged as an error or threw while a test ran."""
    return []


@pytest.fixture
def open_page(browser: Browser, running_demo: str, complaints: list[str]) -> Iterator[Open]:
    """Opens the page at a size and in a colour scheme, live and with candles; fails the test if the page complained."""
    contexts: list[BrowserContext] = []

    def open_page(size: dict[str, int] = DESK, scheme: str = "dark", wire: Wire | None = None) -> Page:
        context = browser.new_context(viewport=size, color_scheme=scheme)  # type: ignore[arg-type]
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.extend([message.text] if message.type == "error" else []))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        if wire is not None:
            page.route_web_socket(re.compile("/ws$"), wire.connect)
        page.goto(running_demo)
        expect(page.get_by_role("banner")).to_contain_text("Live")
        expect(candles(page)).not_to_have_attribute("data-candles", "0")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def candles(page: Page) -> Locator:
    return page.get_by_test_id("candles")


def active_strategy(page: Page) -> Locator:
    """The card of the first active strategy, found again by its name, so that it stays the same when its state changes."""
    card = page.locator("[data-strategy]").filter(has=page.get_by_test_id("strategy-state").get_by_text("active", exact=True))
    expect(card.first).to_be_visible()
    name = card.first.get_attribute("data-strategy")
    return page.locator(f'[data-strategy="{name}"]')


def background(page: Page) -> int:
    """Brightness of the page's background, 0 (black) to 255 (white)."""
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    channels = [int(part) for part in re.findall(r"\d+", colour)[:3]]
    return sum(channels) // 3


def test_page_shows_the_run(open_page: Open) -> None:
    """Candles are drawn on a canvas, and every panel of a running platform has something to say."""
    page = open_page()
    expect(candles(page).locator("canvas").first).to_be_visible()
    expect(page.get_by_test_id("equity-curve").locator("canvas").first).to_be_visible()
    expect(page.get_by_test_id("equity")).to_have_text(re.compile(r"\d"))
    expect(panel(page, "Last prices").locator("tbody tr").first).to_be_visible()
    for service in ("feed", "trader"):
        expect(panel(page, "Services").locator(f'[data-service="{service}"]')).to_be_visible()


def test_prices_move(open_page: Open) -> None:
    """A last price and the newest candle change while one looks at them."""
    page = open_page()
    prices = panel(page, "Last prices").locator("tbody")
    legend = page.get_by_test_id("legend")
    before = (prices.inner_text(), legend.inner_text())
    expect(prices).not_to_have_text(before[0], use_inner_text=True)
    expect(legend).not_to_have_text(before[1], use_inner_text=True)


def test_fills_are_marked(open_page: Open) -> None:
    """A filled order has its row with a status, and its fill a mark on the candles of its symbol."""
    page = open_page()
    filled = panel(page, "Orders").locator("tbody tr").filter(has_text="filled").first
    expect(filled).to_be_visible()
    symbol = filled.locator("td").nth(1).inner_text().split()[1]
    page.get_by_label("Symbol", exact=True).select_option(symbol)
    expect(candles(page)).to_have_attribute("aria-label", re.compile(re.escape(symbol)))
    expect(candles(page)).not_to_have_attribute("data-marks", "0")


def test_timeframe_is_chosen(open_page: Open) -> None:
    """Another timeframe loads its own candles, and a reload shows the same one again."""
    page = open_page()
    buttons = page.get_by_role("group", name="Timeframe").get_by_role("button")
    other = buttons.and_(page.locator('[aria-pressed="false"]')).first
    name = other.inner_text()
    other.click()
    for _ in range(2):
        expect(buttons.and_(page.get_by_text(name, exact=True))).to_have_attribute("aria-pressed", "true")
        expect(candles(page)).to_have_attribute("aria-label", re.compile(rf" {name}: [1-9]"))
        page.reload()


def test_pause_and_start(open_page: Open) -> None:
    """Pause stops a strategy with one click, start resumes it with another."""
    page = open_page()
    card = active_strategy(page)
    state = card.get_by_test_id("strategy-state")
    card.get_by_role("button", name="Pause").click()
    expect(state).to_have_text("paused")
    card.get_by_role("button", name="Start").click()
    expect(state).to_have_text("active")


def test_kill_takes_two_clicks(open_page: Open) -> None:
    """The first click on kill only asks; Escape takes it back; the second click halts, and start revives."""
    page = open_page()
    card = active_strategy(page)
    state = card.get_by_test_id("strategy-state")
    card.get_by_role("button", name="Kill", exact=True).click()
    confirm = card.get_by_role("button", name="Confirm kill")
    expect(confirm).to_be_focused()
    page.keyboard.press("Escape")
    expect(confirm).to_have_count(0)
    expect(state).to_have_text("active")
    card.get_by_role("button", name="Kill", exact=True).click()
    confirm.click()
    expect(state).to_have_text("halted")
    card.get_by_role("button", name="Start").click()
    expect(state).to_have_text("active")


def test_lost_connection_is_shown_and_mended(open_page: Open) -> None:
    """A broken line is named, order buttons go off and kill stays; when the line is back, so is everything."""
    wire = Wire()
    page = open_page(wire=wire)
    card = active_strategy(page)
    wire.break_off()
    expect(page.get_by_role("banner")).to_contain_text("Offline")
    expect(page.get_by_role("alert").filter(has_text="connection to the platform is lost")).to_be_visible()
    expect(card.get_by_role("button", name="Pause")).to_be_disabled()
    expect(card.get_by_role("button", name="Kill", exact=True)).to_be_enabled()
    wire.cut = False
    page.get_by_role("button", name="Try now").evaluate_all("all => all.forEach(one => one.click())")  # or it has just done so
    expect(page.get_by_role("banner")).to_contain_text("Live")
    expect(card.get_by_role("button", name="Pause")).to_be_enabled()


def test_stale_data_is_shown(open_page: Open) -> None:
    """Five seconds without market data are called stale and turn order buttons off; the gap left behind is mended."""
    wire = Wire()
    page = open_page(wire=wire)
    card = active_strategy(page)
    wire.silent = True
    expect(page.get_by_role("banner")).to_contain_text("Stale")
    expect(card.get_by_role("button", name="Pause")).to_be_disabled()
    expect(card.get_by_role("button", name="Kill", exact=True)).to_be_enabled()
    wire.silent = False
    expect(page.get_by_role("banner")).to_contain_text("Live")
    expect(card.get_by_role("button", name="Pause")).to_be_enabled()


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_phone_width(open_page: Open, scheme: str) -> None:
    """A phone shows every panel without scrolling sideways, in the system's colours."""
    page = open_page(PHONE, scheme)
    assert overflow(page) <= 0
    assert (background(page) > 128) == (scheme == "light")
    for name in ("Strategies", "Positions", "Orders", "Last prices", "Fills and signals", "Services"):
        panel(page, name).scroll_into_view_if_needed()
        expect(panel(page, name)).to_be_in_viewport()
    assert overflow(page) <= 0


def test_theme_switch_is_remembered(open_page: Open) -> None:
    """The switch changes the theme against the system's, and a reload keeps it; nothing else is stored."""
    page = open_page(DESK, "light")
    assert background(page) > 128
    page.get_by_role("button", name="Use the dark theme").click()
    assert background(page) < 128
    page.reload()
    assert background(page) < 128
    assert page.evaluate("[Object.keys(localStorage), Object.keys(sessionStorage), document.cookie]") == [
        ["openbell-theme"],
        [],
        "",
    ]


def test_only_the_platform_is_asked(open_page: Open, running_demo: str) -> None:
    """The page fetches nothing from elsewhere, and its policy allows inline scripts by hash only."""
    page = open_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    reply = page.reload()
    expect(candles(page)).not_to_have_attribute("data-candles", "0")
    assert [url for url in asked if not url.startswith(running_demo)] == []
    assert reply is not None
    policy = reply.headers["content-security-policy"]
    scripts = next(rule for rule in policy.split(";") if rule.strip().startswith("script-src"))
    assert "'sha256-" in scripts
    assert "'unsafe-inline'" not in scripts
