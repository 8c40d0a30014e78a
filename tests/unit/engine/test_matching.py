"""The simulated venue, row by row: what happens to one order on the events that follow it. The prices were worked out by hand."""

from dataclasses import dataclass, field

import pytest

from openbell.model import enums
from tests.unit.engine.scene import Scene


@dataclass
class Row:
    """`before` sets the market, `order` is placed, `after` happens; then these are the fills and the last status."""

    about: str
    before: str
    order: tuple
    after: str
    fills: list
    status: str
    reason: int = 0
    venue: dict = field(default_factory=dict)


NOT_AT_ONCE = enums.NOT_FILLED_AT_ONCE
PREVAILING = {"fill": "prevailing"}
HALF = {"participation": 0.5}


def order(side, type="market", limit=0.0, stop=0.0, tif="gtc", quantity=10):
    return side, type, quantity, limit, stop, tif


TRADES = [
    Row("market buy: next trade", "T100", order("buy"), "T101 T102", [(101, 10)], "filled"),
    Row("market sell: next trade", "T100", order("sell"), "T99 T98", [(99, 10)], "filled"),
    Row("limit buy through the market: taker at the trade", "T100", order("buy", "limit", 102), "T101", [(101, 10)], "filled"),
    Row("limit sell through the market", "T100", order("sell", "limit", 98), "T99", [(99, 10)], "filled"),
    Row("limit buy rests, then trades at its limit", "T100", order("buy", "limit", 99), "T100 T99.5 T98", [(99, 10)], "filled"),
    Row("limit sell rests, then trades at its limit", "T100", order("sell", "limit", 101), "T100 T105", [(101, 10)], "filled"),
    Row("limit buy: a touch is enough", "T100", order("buy", "limit", 99), "T100 T99", [(99, 10)], "filled"),
    Row("limit buy never touched", "T100", order("buy", "limit", 99), "T100 T99.01 T101", [], "accepted"),
    Row("stop buy waits below", "T100", order("buy", stop=105, type="stop"), "T104.99 T90", [], "accepted"),
    Row("stop buy triggers at its price", "T100", order("buy", stop=105, type="stop"), "T104 T105", [(105, 10)], "filled"),
    Row("stop buy gaps: pays the trade", "T100", order("buy", stop=105, type="stop"), "T104 T109", [(109, 10)], "filled"),
    Row("stop sell waits above", "T100", order("sell", stop=95, type="stop"), "T95.01 T110", [], "accepted"),
    Row("stop sell gaps: gets the trade", "T100", order("sell", stop=95, type="stop"), "T96 T90", [(90, 10)], "filled"),
    Row("stop-limit buy within its limit", "T100", order("buy", "stop_limit", 106, 105), "T105.5", [(105.5, 10)], "filled"),
    Row("stop-limit buy beyond its limit rests", "T100", order("buy", "stop_limit", 106, 105), "T107 T106.5", [], "accepted"),
    Row("stop-limit buy rests, then at its limit", "T100", order("buy", "stop_limit", 106, 105), "T107 T104", [(106, 10)], "filled"),
    Row("stop-limit sell within", "T100", order("sell", "stop_limit", 94, 95), "T94.5", [(94.5, 10)], "filled"),
    Row("stop-limit sell beyond", "T100", order("sell", "stop_limit", 94, 95), "T93 T93.5", [], "accepted"),
    Row("stop-limit sell rests, then at its limit", "T100", order("sell", "stop_limit", 94, 95), "T93 T96", [(94, 10)], "filled"),
    Row("ioc market", "T100", order("buy", tif="ioc"), "T101", [(101, 10)], "filled"),
    Row("ioc limit that cannot", "T100", order("buy", "limit", 99, tif="ioc"), "T100 T98", [], "canceled", NOT_AT_ONCE),
    Row("ioc takes what is there", "T100", order("buy", tif="ioc"), "T101x8 T101x8", [(101, 4)], "canceled", NOT_AT_ONCE, HALF),
    Row("fok takes all", "T100", order("buy", tif="fok"), "T101x20", [(101, 10)], "filled", 0, HALF),
    Row("fok or nothing", "T100", order("buy", tif="fok"), "T101x19 T101x99", [], "canceled", NOT_AT_ONCE, HALF),
    Row("fok limit that cannot", "T100", order("sell", "limit", 101, tif="fok"), "T100 T102", [], "canceled", NOT_AT_ONCE),
    Row("ioc stop waits for its trigger", "T100", order("buy", "stop", stop=105, tif="ioc"), "T104 T106", [(106, 10)], "filled"),
    Row("ioc stop-limit, triggered beyond its limit", "T100", order("buy", "stop_limit", 106, 105, "ioc"), "T104 T107 T105", [],
        "canceled", NOT_AT_ONCE),
    Row("fok stop waits, then all or nothing", "T100", order("buy", "stop", stop=105, tif="fok"), "T104 T106x2", [], "canceled",
        NOT_AT_ONCE, HALF),
    Row("gtc takes shares", "T100", order("buy"), "T101x8 T102x8 T103x8", [(101, 4), (102, 4), (103, 2)], "filled", 0, HALF),
    Row("part stays", "T100", order("buy"), "T101x8", [(101, 4)], "partially_filled", 0, HALF),
    Row("a share below one lot is nothing", "T100", order("buy"), "T101x1", [], "accepted", 0, HALF),
    Row("prevailing market buy: what stood", "T100", order("buy"), "T101", [(100, 10)], "filled", 0, PREVAILING),
    Row("prevailing market sell: what stood", "T100", order("sell"), "T101", [(100, 10)], "filled", 0, PREVAILING),
    Row("prevailing limit takes what stood", "T100", order("buy", "limit", 100), "T101", [(100, 10)], "filled", 0, PREVAILING),
    Row("prevailing limit rests", "T100", order("buy", "limit", 99), "T98 T99.5 T98.5", [(99, 10)], "filled", 0, PREVAILING),
    Row("prevailing stop: never better than its trigger", "T100", order("buy", "stop", stop=105), "T106", [(106, 10)], "filled", 0,
        PREVAILING),
    Row("prevailing stop sell", "T100", order("sell", "stop", stop=95), "T94", [(94, 10)], "filled", 0, PREVAILING),
]  # fmt: skip

QUOTES = [
    Row("market buy pays the offer", "Q99/101", order("buy"), "Q100/102", [(102, 10)], "filled"),
    Row("market sell gets the bid", "Q99/101", order("sell"), "Q100/102", [(100, 10)], "filled"),
    Row("market buy on a trade pays the standing offer", "Q99/101", order("buy"), "T100", [(101, 10)], "filled"),
    Row("market sell on a trade gets the standing bid", "Q99/101", order("sell"), "T100", [(99, 10)], "filled"),
    Row("limit buy at the offer takes", "Q99/101", order("buy", "limit", 102), "Q99/101", [(101, 10)], "filled"),
    Row("limit buy inside the spread rests", "Q99/101", order("buy", "limit", 100), "Q99/101 Q99/100.5", [], "accepted"),
    Row("limit buy trades when the offer comes", "Q99/101", order("buy", "limit", 100), "Q99/101 Q98/99", [(100, 10)], "filled"),
    Row("limit buy trades when a trade prints through", "Q99/101", order("buy", "limit", 100), "Q99/101 T99.5", [(100, 10)], "filled"),
    Row("limit sell trades when the bid comes", "Q99/101", order("sell", "limit", 100), "Q99/101 Q100.5/102", [(100, 10)], "filled"),
    Row("stop buy triggers on the offer", "Q99/101", order("buy", "stop", stop=105), "Q103/104.99 Q104/105", [(105, 10)], "filled"),
    Row("stop sell triggers on the bid", "Q99/101", order("sell", "stop", stop=95), "Q95.01/96 Q94/96", [(94, 10)], "filled"),
    Row("stop buy triggered by a trade pays the offer", "Q99/101", order("buy", "stop", stop=105), "T105", [(101, 10)], "filled"),
    Row("the offer's size bounds a buyer", "Q99/101", order("buy"), "Q99/101x6 Q99/101x6", [(101, 3)] * 2, "partially_filled", 0, HALF),
    Row("prevailing buy: the offer that stood", "Q99/101", order("buy"), "Q104/106", [(101, 10)], "filled", 0, PREVAILING),
    Row("prevailing sell: the bid that stood", "Q99/101", order("sell"), "Q104/106", [(99, 10)], "filled", 0, PREVAILING),
]  # fmt: skip

BARS = [
    Row("market buy: the open", "B99,101,98,100", order("buy"), "B102,105,95,103", [(102, 10)], "filled"),
    Row("market sell: the open", "B99,101,98,100", order("sell"), "B102,105,95,103", [(102, 10)], "filled"),
    Row("limit buy within the bar", "B99,101,98,100", order("buy", "limit", 97), "B102,105,95,103", [(97, 10)], "filled"),
    Row("limit buy: the better open", "B99,101,98,100", order("buy", "limit", 97), "B96,105,95,103", [(96, 10)], "filled"),
    Row("limit buy: the low touches", "B99,101,98,100", order("buy", "limit", 95), "B102,105,95,103", [(95, 10)], "filled"),
    Row("limit buy: the low does not touch", "B99,101,98,100", order("buy", "limit", 94.99), "B102,105,95,103", [], "accepted"),
    Row("resting limit buy gaps: the better open", "B99,101,98,100", order("buy", "limit", 97), "B102,105,98,103 B96,99,95,98", [(96, 10)],
        "filled"),
    Row("limit sell within the bar", "B99,101,98,100", order("sell", "limit", 104), "B102,105,95,103", [(104, 10)], "filled"),
    Row("resting limit sell gaps", "B99,101,98,100", order("sell", "limit", 104), "B102,103,95,103 B106,107,105,106", [(106, 10)],
        "filled"),
    Row("stop buy within the bar", "B99,101,98,100", order("buy", "stop", stop=104), "B102,105,95,103", [(104, 10)], "filled"),
    Row("stop buy gaps: the open", "B99,101,98,100", order("buy", "stop", stop=104), "B106,108,105,107", [(106, 10)], "filled"),
    Row("stop sell within the bar", "B99,101,98,100", order("sell", "stop", stop=96), "B102,105,95,103", [(96, 10)], "filled"),
    Row("stop sell gaps: the open", "B99,101,98,100", order("sell", "stop", stop=96), "B93,94,90,91", [(93, 10)], "filled"),
    Row("stop sell not reached", "B99,101,98,100", order("sell", "stop", stop=94), "B102,105,95,103", [], "accepted"),
    Row("stop-limit buy within the bar", "B99,101,98,100", order("buy", "stop_limit", 105, 104), "B102,105,95,103", [(104, 10)], "filled"),
    Row("stop-limit buy gaps beyond its limit", "B99,101,98,100", order("buy", "stop_limit", 105, 104), "B106,108,100,107", [], "accepted"),
    Row("stop-limit buy after the gap", "B99,101,98,100", order("buy", "stop_limit", 105, 104), "B106,108,100,107 B107,108,104,105",
        [(105, 10)], "filled"),
    Row("ioc limit looks at the open only", "B99,101,98,100", order("buy", "limit", 97, tif="ioc"), "B102,105,95,103", [], "canceled",
        NOT_AT_ONCE),
    Row("ioc limit at the open", "B99,101,98,100", order("buy", "limit", 103, tif="ioc"), "B102,105,95,103", [(102, 10)], "filled"),
    Row("volume bounds", "B99,101,98,100", order("buy"), "B102,105,95,103x8 B101,105,95,103x80", [(102, 4), (101, 6)], "filled", 0, HALF),
    Row("prevailing: the last close", "B99,101,98,100", order("buy"), "B102,105,95,103", [(100, 10)], "filled", 0, PREVAILING),
    Row("prevailing limit within the bar", "B99,101,98,100", order("buy", "limit", 97), "B102,105,95,103", [(97, 10)], "filled", 0,
        PREVAILING),
    Row("prevailing limit gaps: the better open", "B99,101,98,100", order("buy", "limit", 97), "B96,105,95,103", [(96, 10)], "filled", 0,
        PREVAILING),
    Row("prevailing stop gaps: the open", "B99,101,98,100", order("buy", "stop", stop=104), "B106,108,105,107", [(106, 10)], "filled", 0,
        PREVAILING),
]  # fmt: skip


@pytest.mark.parametrize("row", TRADES + QUOTES + BARS, ids=lambda row: row.about)
def test_order(row):
    """The order trades at these prices and ends in this status."""
    scene = Scene(**row.venue)
    scene.play(row.before)
    if row.order[0] == "sell":  # something to sell
        scene.position["quantity"] = 10
    order_id = scene.order(row.order[0], row.order[1], *row.order[2:])
    scene.play(row.after)
    assert (row.fills, row.status, row.reason) == (scene.fills, *scene.last(order_id))


@pytest.mark.parametrize("row", [row for row in TRADES + QUOTES + BARS if row.fills], ids=lambda row: row.about)
def test_never_on_the_event_that_decided(row):
    """However an order is filled, it is by an event after its own."""
    scene = Scene(**row.venue)
    scene.play(row.before)
    scene.position["quantity"] = 10
    scene.order(row.order[0], row.order[1], *row.order[2:])
    assert scene.fills == []
    decided = int(scene.engine.head["seq"])
    scene.play(row.after)
    assert min(scene.kind(enums.FILL)["seq"]) > decided
