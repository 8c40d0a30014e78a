"""`openbell up` with settings that it cannot run with."""

import pytest

from openbell.errors import ConfigError
from tests.running import openbell


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("trading: {fill: outside, strategies: [{id: rsi, symbols: [AAPL]}]}", "openbell serve orders"),
        ("trading: {strategies: []}", "at least one symbol"),
    ],
)
def test_what_cannot_work_is_said(settings, words, tmp_path):
    """Orders for a venue outside are the work of another process; a market without symbols is none."""
    (tmp_path / "config.yaml").write_text(settings)
    done = openbell("up", "--config", "config.yaml", "--port", "0", folder=tmp_path)
    assert (done.returncode, "Traceback" in done.stderr) == (ConfigError.exit_code, False)
    assert words in done.stderr
