"""What the browser tests share: a Chromium, the sizes of its windows, and how things are found on the page."""

import re

from playwright.sync_api import Browser, BrowserContext, Locator, Page, WebSocket, expect

from tests.accounts import PASSWORD

DESK = {"width": 1440, "height": 900}
PHONE = {"width": 375, "height": 812}
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
#: How long something may take to be there, on a machine that has other work.
PATIENCE_MS = 60_000
expect.set_options(timeout=PATIENCE_MS)


class Visitors:
    """People at browsers of their own, each with a session of her own, and what their pages complained of."""

    def __init__(self, browser: Browser, url: str) -> None:
        self.url = url
        self.complaints: list[str] = []
        #: Answers that a test provokes: Chromium itself writes each into the console.
        self.expected: set[int] = set()
        self._browser = browser
        self._contexts: list[BrowserContext] = []

    def come(self, size: dict[str, int] = DESK, scheme: str = "dark") -> Page:
        """A page in a new browser, at whatever it shows first."""
        context = self._browser.new_context(viewport=size, color_scheme=scheme)  # type: ignore[arg-type]
        self._contexts.append(context)
        return self.open(context)

    def open(self, context: BrowserContext) -> Page:
        """A page in a browser that is there."""
        page = context.new_page()
        page.on("console", lambda message: self._complain(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.goto(self.url)
        return page

    def sign_in(self, name: str, size: dict[str, int] = DESK, scheme: str = "dark") -> Page:
        """Somebody who has signed in, and sees the market."""
        page = self.come(size, scheme)
        give(page, name)
        live(page)
        return page

    def leave(self) -> None:
        """Everybody goes; fails when a page complained of what no test provoked."""
        for context in self._contexts:
            context.close()
        assert self.complaints == []

    def _complain(self, text: str) -> None:
        status = re.search(r"the server responded with a status of (\d+)", text)
        if status is None or int(status[1]) not in self.expected:
            self.complaints.append(text)


def give(page: Page, name: str, password: str = PASSWORD) -> None:
    """Fill in name and password, and send them."""
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_role("button", name="Sign in", exact=True).click()


def live(page: Page) -> None:
    """Wait until the page shows a market that moves."""
    expect(page.get_by_role("banner")).to_contain_text("Live")


def panel(page: Page, name: str) -> Locator:
    """A panel by the name that a screen reader gives it."""
    return page.get_by_role("region", name=name)


def account(page: Page, name: str, section: str) -> Locator:
    """The window of somebody's account, at a section."""
    page.get_by_role("button", name=f"Account of {name}").click()
    page.get_by_role("button", name=section, exact=True).click()
    return page.get_by_role("dialog", name=f"Account of {name}")


def sign_out(page: Page, name: str) -> None:
    """By the menu."""
    page.get_by_role("button", name=f"Account of {name}").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def overflow(page: Page) -> int:
    """Pixels by which the page is wider than the window."""
    width: int = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    return width


def streams(page: Page) -> list[WebSocket]:
    """The page's WebSockets that are open, from now on."""
    found: list[WebSocket] = []

    def add(socket: WebSocket) -> None:
        found.append(socket)
        socket.on("close", lambda _: found.remove(socket))

    page.on("websocket", add)
    return found


def stored(page: Page) -> list[object]:
    """All that a script of the page can read of what the browser keeps, and the address."""
    kept: list[object] = page.evaluate("[Object.keys(localStorage), Object.keys(sessionStorage), document.cookie, location.search]")
    return kept
