"""What comes in: events by instrument and by symbol."""

import numpy as np
import pytest

from openbell.model.events import EVENT
from openbell.services.trader.intake import by_instrument, by_symbol


@pytest.mark.parametrize("instruments", [[], [3], [2, 2, 2], [1, 0, -1, 1, 0], [40_000, 2, 40_000, -70_000], range(600)])
def test_events_of_each_instrument_in_order(instruments):
    """Every event is with its instrument, in the order in which they came, also beyond what 16 bits hold."""
    events = np.zeros(len(instruments), EVENT)
    events["instrument"], events["seq"] = list(instruments), np.arange(len(instruments))
    found = by_instrument(events)
    assert [instrument for instrument, _ in found] == sorted(set(instruments))
    for instrument, own in found:
        assert own.dtype == EVENT
        assert own["seq"].tolist() == [place for place, one in enumerate(instruments) if one == instrument]


def test_events_of_each_symbol():
    """The same with names, of a slice too."""
    events = np.zeros(5, EVENT)
    events["instrument"], events["seq"] = [0, 1, 0, 1, 0], np.arange(5)
    assert [(symbol, own["seq"].tolist()) for symbol, own in by_symbol(events[1:], ["A", "B"])] == [("A", [2, 4]), ("B", [1, 3])]
