"""The platforms that the browser tests look at: a simulated market, so that it lasts as long as they do; and the browser."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.gateway import platform_with_people
from tests.pages import ARGUMENTS, Visitors
from tests.running import Running, running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The machine's Chromium, headless; its absence is a failure, not a reason to skip.

    While it is there this thread has a loop that runs, so other tests of the process are without it.
    """
    executable = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if executable is None:
        pytest.fail("found no chromium; install it: apt-get install -y --no-install-recommends chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A demo on a free port, which may tell what listens on this machine."""
    folder = tmp_path_factory.mktemp("demo")
    with running(folder, "--feed", "simulated", "--speed", "10", OPENBELL_NOTIFY__ALLOW_PRIVATE="true") as started:
        yield started


@pytest.fixture(scope="module")
def running_demo(demo: Running) -> str:
    """The base URL of that demo."""
    return demo.url


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A platform where users sign in, with the people of the tests, and where everybody may sign up."""
    starting = platform_with_people(tmp_path_factory.mktemp("people"), sign_up="open")
    with ThreadPoolExecutor(1) as thread:  # in this one playwright has a loop that runs
        started = thread.submit(starting.__enter__).result()
    with contextlib.ExitStack() as stack:
        stack.push(starting)
        yield started


@pytest.fixture
def people(browser: Browser, platform: Running) -> Iterator[Visitors]:
    """Visitors of that platform."""
    visitors = Visitors(browser, platform.url)
    yield visitors
    visitors.leave()


@pytest.fixture
def local(browser: Browser, demo: Running) -> Iterator[Visitors]:
    """Visitors of the demo."""
    visitors = Visitors(browser, demo.url)
    yield visitors
    visitors.leave()
