"""The doctor on strategies: each that cannot start is named, with its reason."""

import pytest

from openbell.config import FeedSettings, Settings, StrategySettings, TradingSettings
from openbell.services.doctor.strategies import strategies

GOOD = StrategySettings(id="rsi", symbols=("AAPL",))


def settings(*configured, source="simulated"):
    return Settings(trading=TradingSettings(strategies=configured), feed=FeedSettings(source=source))


def test_strategies_in_order():
    """One line with their names."""
    idle = StrategySettings(id="bollinger", symbols=("AAPL",), enabled=False)
    (found,) = strategies(settings(GOOD, idle), "c.yaml")
    assert (found.level, found.found) == ("ok", "rsi, bollinger (not enabled)")


def test_no_strategies():
    """The demo runs without, `up` does not."""
    (found,) = strategies(Settings(), "c.yaml")
    assert (found.level, found.do) == ("warning", ("${EDITOR:-vi} c.yaml    # trading.strategies",))


@pytest.mark.parametrize(
    ("strategy", "words", "remedy"),
    [
        (StrategySettings(id="rsy", symbols=("AAPL",)), "there is no strategy 'rsy'", "did you mean 'rsi'?"),
        (StrategySettings(id="mine", strategy="gone.py", symbols=("AAPL",)), "mine: strategy file gone.py does not exist", ""),
        (StrategySettings(id="rsi", symbols=("AAPL",), params={"perod": 5}), "perod", "did you mean 'period'"),
        (StrategySettings(id="rsi", symbols=("AAPL",), limits={"collar": 5}), "unknown limit 'collar'", "did you mean 'collar_bps'?"),
        (StrategySettings(id="rsi", symbols=("AAPL",), limits={"collar_bps": -1.0}), "limits.collar_bps is -1", ""),
        (StrategySettings(id="rsi", symbols=("AAPL",), timeframe="1x"), "1x", ""),
        (StrategySettings(id="rsi"), "has no symbols", ""),
    ],
)
def test_a_strategy_that_cannot_start(strategy, words, remedy):
    """What was found, near names, the file to open; the others are well all the same."""
    other = StrategySettings(id="bollinger", symbols=("MSFT",))
    found, well = strategies(settings(strategy, other), "c.yaml")
    assert found.level == "problem"
    assert words in found.found
    assert found.do[0].startswith("${EDITOR:-vi} c.yaml")
    assert remedy in found.do[0].lower()
    assert (well.level, well.found) == ("ok", "bollinger")


def test_a_file_that_ends_the_program(tmp_path):
    """A strategy file is somebody's code: whatever it raises is a finding."""
    path = tmp_path / "broken.py"
    path.write_text("raise ValueError('no data today')")
    (found,) = strategies(settings(StrategySettings(id="mine", strategy=str(path), symbols=("AAPL",))), "c.yaml")
    assert found.level == "problem"
    assert "ValueError: no data today" in found.found


def test_a_symbol_that_the_feed_does_not_have():
    """The recorded session has two."""
    (found,) = strategies(settings(GOOD, source="recorded"), "c.yaml")
    assert found.level == "problem"
    assert "AAPL" in found.found
    assert "BTCUSDT" in found.do[0]


def test_a_name_that_is_used_twice():
    """Seen only when all are looked at together."""
    (found,) = strategies(settings(GOOD, GOOD), "c.yaml")
    assert found.level == "problem"
    assert "strategy ids repeat" in found.found


def test_a_limit_of_nothing_denies_everything():
    """A warning: it may be meant."""
    (found,) = strategies(settings(StrategySettings(id="rsi", symbols=("AAPL",), limits={"order_value_share": 0.0})), "c.yaml")
    assert found.level == "warning"
    assert "limits.order_value_share is 0, which denies every order" in found.found
