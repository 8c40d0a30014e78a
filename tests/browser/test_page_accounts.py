"""The page where users sign in: the door, the menu, and what each sees."""

import re
import sqlite3
import time
from pathlib import Path

import pyotp
import pytest
from playwright.sync_api import expect

from tests.gateway import Person, sign_in
from tests.pages import PHONE, Visitors, account, give, live, overflow, panel, sign_out, stored, streams
from tests.running import Running

pytestmark = pytest.mark.browser


def test_wrong_password_is_said(people: Visitors) -> None:
    """A wrong password is answered in words; the right one opens the page, which keeps nothing a script could read."""
    people.expected = {401}
    page = people.come()
    give(page, "bob", "wrong horse under glass")
    expect(page.get_by_role("alert").filter(has_text="the password or the code is wrong")).to_be_visible()
    assert page.evaluate("document.querySelector('[data-testid=candles]')") is None
    give(page, "bob")
    live(page)
    assert stored(page) == [[], [], "", ""]


def test_second_factor(people: Visitors) -> None:
    """Set up by its secret, with a QR code drawn in the page; from then on a code is asked for, and a wrong one is refused.

    A recovery code stands in for it, once.
    """
    people.expected = {401}
    page = people.sign_in("vera")
    window = account(page, "vera", "Second factor")
    window.get_by_role("button", name="Set up").click()
    expect(window.get_by_role("img", name="QR code")).to_be_visible()
    authenticator = pyotp.TOTP(window.get_by_test_id("secret").inner_text().replace(" ", ""))
    window.get_by_role("textbox", name="Code").fill(authenticator.now())
    window.get_by_role("button", name="Confirm").click()
    expect(window.get_by_text("A code of your authenticator is asked for")).to_be_visible()
    window.get_by_role("button", name="Make recovery codes").click()
    recovery = window.get_by_role("list", name="Recovery codes").get_by_role("listitem").first.inner_text()
    window.get_by_role("button", name="I have kept them").click()
    expect(window.get_by_text("10 still hold")).to_be_visible()
    assert recovery not in page.content()
    page.keyboard.press("Escape")
    sign_out(page, "vera")

    give(page, "vera")
    expect(page.get_by_role("heading", name="Second factor")).to_be_visible()
    expect(page.get_by_label("Code")).to_be_focused()
    page.get_by_label("Code").fill("000000")
    page.get_by_role("button", name="Confirm").click()
    expect(page.get_by_role("alert").filter(has_text="the password or the code is wrong")).to_be_visible()
    page.get_by_label("Code").fill(authenticator.at(time.time(), counter_offset=1))  # a code works once
    page.get_by_role("button", name="Confirm").click()
    live(page)
    sign_out(page, "vera")
    give(page, "vera")
    page.get_by_label("Code").fill(recovery)
    page.get_by_role("button", name="Confirm").click()
    live(page)


def test_sign_out_ends_the_stream(people: Visitors) -> None:
    """Whoever signs out is at the door at once, with no stream behind it; so is every other page of that session, within seconds."""
    people.expected = {401}
    first = people.sign_in("eve")
    open_streams = streams(first)
    second = people.open(first.context)
    live(second)
    first.reload()
    live(first)
    assert len(open_streams) == 1
    sign_out(first, "eve")
    expect(second.get_by_role("heading", name="Sign in")).to_be_visible()
    assert open_streams == []


def test_sign_up_and_what_a_viewer_may(people: Visitors) -> None:
    """Whoever signs up is signed in, looks at the market, and is offered nothing that a viewer may not do."""
    people.expected = {422}
    page = people.come(PHONE, "light")
    page.get_by_role("button", name="Make an account").click()
    page.get_by_label("Name").fill("nora")
    page.get_by_label("Password", exact=True).fill("password1234")
    page.get_by_role("button", name="Make an account").click()
    expect(page.get_by_role("alert").filter(has_text="password")).to_be_visible()
    page.get_by_label("Password", exact=True).fill("a lantern for eleven herons")
    page.get_by_role("button", name="Make an account").click()
    live(page)
    expect(page.get_by_role("button", name="Buy", exact=True)).to_have_count(0)
    expect(page.get_by_role("button", name="Kill", exact=True)).to_have_count(0)
    assert overflow(page) <= 0


def test_first_password_and_the_next(people: Visitors, platform: Running) -> None:
    """Whoever was given a one-time token sets a password with it, signs in, and changes it; the old one opens nothing."""
    people.expected = {401, 422}
    token = sign_in(platform, "root").do("POST", "/users", {"name": "otto", "role": "trader"})["token"]
    page = people.come(PHONE)
    page.get_by_role("button", name="I have a one-time token").click()
    page.get_by_label("One-time token").fill(token)
    page.get_by_label("Password", exact=True).fill("a lantern for eleven herons")
    page.get_by_role("button", name="Set the password").click()
    expect(page.get_by_role("status")).to_contain_text("Your password is set")
    give(page, "otto", "a lantern for eleven herons")
    live(page)
    window = account(page, "otto", "Password")
    window.get_by_label("Password now", exact=True).fill("a lantern for eleven herons")
    window.get_by_label("New password", exact=True).fill("twelve otters left at noon")
    window.get_by_role("button", name="Change the password").click()
    expect(window.get_by_role("status")).to_contain_text("Changed.")
    page.keyboard.press("Escape")
    sign_out(page, "otto")
    give(page, "otto", "a lantern for eleven herons")
    expect(page.get_by_role("alert").filter(has_text="is wrong")).to_be_visible()
    give(page, "otto", "twelve otters left at noon")
    live(page)


def test_key_is_shown_once(people: Visitors, platform: Running) -> None:
    """A new key stands there until it was kept, works, and is nowhere afterwards; revoked it works no more."""
    page = people.sign_in("bob")
    window = account(page, "bob", "API keys")
    window.get_by_label("Name").fill("rebalancing bot")
    window.get_by_role("button", name="Make a key").click()
    key = window.get_by_test_id("key").inner_text()
    assert re.fullmatch(r"obk_[0-9a-f]{16}_\w+", key)
    assert Person(platform, key=key).get("/auth/session")["name"] == "bob"
    window.get_by_role("button", name="I have kept it").click()
    expect(window.get_by_role("list", name="Your keys")).to_contain_text("rebalancing bot")
    assert key not in page.content()
    page.keyboard.press("Escape")
    window = account(page, "bob", "API keys")
    expect(window.get_by_role("list", name="Your keys")).to_contain_text("rebalancing bot")
    assert key not in page.content()
    window.get_by_role("button", name="Revoke the key rebalancing bot").click()
    expect(window.get_by_text("rebalancing bot")).to_have_count(0)
    assert Person(platform, key=key).ask("GET", "/auth/session")[0] == 401


def test_an_old_session_is_asked_again(people: Visitors, platform: Running) -> None:
    """Half an hour after the password was given, a key needs it again: a wrong one is refused, the right one goes on where it was."""
    people.expected = {403}
    page = people.sign_in("root")
    _make_old(platform)
    window = account(page, "root", "API keys")
    window.get_by_label("Name").fill("old")
    window.get_by_role("button", name="Make a key").click()
    asked = page.get_by_role("dialog", name="Is it still you?")
    asked.get_by_label("Password", exact=True).fill("wrong horse under glass")
    asked.get_by_role("button", name="Confirm").click()
    expect(asked.get_by_role("alert")).to_be_visible()
    asked.get_by_label("Password", exact=True).fill("quiet otter under glass")
    asked.get_by_role("button", name="Confirm").click()
    expect(window.get_by_test_id("key")).to_be_visible()


def test_sessions_are_ended(people: Visitors) -> None:
    """The sessions are listed with the one that looks marked, and another one can be ended from here."""
    people.expected = {401}
    here, there = people.sign_in("root"), people.sign_in("root")
    window = account(here, "root", "Sessions")
    expect(window.get_by_text("this one")).to_have_count(1)
    ends = window.get_by_role("button", name=re.compile("^End the session"))
    expect(ends.first).to_be_visible()
    while (left := ends.count()) > 0:
        ends.first.click()
        expect(ends).to_have_count(left - 1)
    expect(there.get_by_role("heading", name="Sign in")).to_be_visible()
    expect(here.get_by_role("banner")).to_contain_text("Live")


def test_profile_by_keyboard(people: Visitors) -> None:
    """The menu opens, walks and closes by keys; the focus goes into the window and comes back."""
    page = people.sign_in("bob")
    button = page.get_by_role("button", name="Account of bob")
    button.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Profile")).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("button", name="Password", exact=True)).to_be_focused()
    page.keyboard.press("Escape")
    expect(button).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Profile")).to_be_focused()
    page.keyboard.press("Enter")
    window = page.get_by_role("dialog", name="Account of bob")
    window.get_by_label("Your name").fill("Bob B.")
    page.keyboard.press("Enter")
    expect(window.get_by_role("status")).to_have_text("Saved.")
    page.keyboard.press("Escape")
    expect(window).to_have_count(0)
    expect(button).to_be_focused()


def test_only_own_accounts_are_shown(people: Visitors) -> None:
    """Bob sees the strategy that is his; the one of the house is for administrators."""
    bob, root = people.sign_in("bob"), people.sign_in("root")
    expect(panel(bob, "Strategies").locator('[data-strategy="bobs"]')).to_be_visible()
    expect(panel(bob, "Strategies").locator('[data-strategy="house"]')).to_have_count(0)
    expect(panel(root, "Strategies").locator('[data-strategy="house"]')).to_be_visible()


def _make_old(platform: Running) -> None:
    """As if every password had been given an hour ago."""
    path = Path(platform.log).parent / "platform.db"
    with sqlite3.connect(path, timeout=10) as database:
        database.execute("UPDATE sessions SET proved = proved - 3600000000000")
