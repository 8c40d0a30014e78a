"""The platform that the browser tests look at: a simulated market, so that it lasts as long as they do."""

from collections.abc import Iterator

import pytest

from tests.running import running


@pytest.fixture(scope="module")
def running_demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of a demo on a free port."""
    with running(tmp_path_factory.mktemp("demo"), "--feed", "simulated", "--speed", "10") as demo:
        yield demo.url
