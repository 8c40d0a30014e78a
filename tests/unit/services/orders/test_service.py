"""The orders service: an order is sent once, and everybody hears what became of it, whatever breaks."""

import asyncio

import pytest

from openbell.adapters.messages.orders import Execution, encode_execution
from openbell.errors import FencedError
from tests.contracts.buses import comes
from tests.unit.services.orders.scene import Scene, ScriptedBroker, cancel, change, order, resting, scene


async def test_an_order_is_sent_and_its_fills_are_told(tmp_path):
    """Accepted, filled in two parts; the rows say the same, and everything is acknowledged."""
    async with scene(tmp_path) as desk:
        desk.say(order(1, quantity_lots=7, quantity=3.5))
        await desk.until(1, "filled")
        assert desk.told(1) in (
            [("accepted", 0), ("partially_filled", 3), ("filled", 7)], [("partially_filled", 3), ("filled", 7)],
        )  # fmt: skip
        assert desk.rows() == ({"r-1": ("filled", 7, 7)}, {"r-1/1", "r-1/2"})
        assert (desk.sent(), desk.service.progress(), desk.bus.dead) == (["r-1"], {"orders r": 11}, [])


async def test_instructions_that_come_again_are_known(tmp_path):
    """In the same batch, later, after a restart: what was said is said again, nothing is sent."""
    async with scene(tmp_path) as desk:
        desk.say(order(1), order(1), resting(2), order(1))
        await desk.until(1, "filled")
        await desk.until(2, "accepted")
        said = len(desk.bus.published["executions"])
        desk.say(order(1), resting(2))
        await comes(lambda: len(desk.bus.published["executions"]) > said)
        await desk.stop()
        await desk.start()
        said = len(desk.bus.published["executions"])
        desk.say(order(1), resting(2))
        await comes(lambda: len(desk.bus.published["executions"]) > said)
        await desk.quiet()
        assert desk.sent() == ["r-1", "r-2"]
        assert desk.told(2) == [("accepted", 0)]


async def test_a_refusal_is_told_with_its_reason(tmp_path):
    """The order is over; the same id is not tried again."""
    async with scene(tmp_path) as desk:
        desk.broker.troubles["submit", "r-1"] = ["refuse"]
        desk.say(order(1))
        await desk.until(1, "rejected")
        desk.say(order(1), cancel(1))
        await desk.quiet()
        assert (desk.sent(), desk.sent("cancel"), desk.told(1)) == (["r-1"], [], [("rejected", 0)])
        assert desk.database.select("SELECT status, reason FROM orders") == [("rejected", "not today")]


@pytest.mark.parametrize("trouble", ["hang", "bug"])
async def test_an_order_without_an_answer_is_asked_for_and_adopted(trouble, tmp_path):
    """It had arrived: unknown until the venue is asked, then as it stands there. A query that fails is no answer."""
    async with scene(tmp_path) as desk:
        desk.broker.is_mute = True
        desk.broker.troubles["submit", "r-1"] = [trouble]
        desk.broker.troubles["query", "r-1"] = ["fail"] * 3
        desk.say(resting(1, 9))
        await desk.until(1, "partially_filled")
        assert [status for status, _ in desk.told(1)] == ["unknown", "partially_filled"]
        assert (desk.sent(), desk.sent("query").count("r-1") >= 4) == (["r-1"], True)
        assert desk.rows() == ({"r-1": ("partially_filled", 9, 1)}, {"r-1/1"})


async def test_an_order_that_never_arrived_is_sent_again_only_when_that_is_certain(tmp_path):
    """The venue has to answer three times that it has no such order; failed queries do not count."""
    async with scene(tmp_path) as desk:
        desk.broker.troubles["submit", "r-1"] = ["drop"]
        desk.broker.troubles["query", "r-1"] = ["fine", "fail", "fine", "fail"]
        desk.say(order(1))
        await desk.until(1, "filled")
        first, second = (place for place, asked in enumerate(desk.broker.asked) if asked == ("submit", "r-1"))
        assert second - first - 1 == 5
        assert [line["what"] for line in desk.broker.written] == ["accepted", "fill"]


async def test_an_order_in_doubt_stays_so_as_long_as_nobody_answers(tmp_path):
    """It is not sent, not given up, and its cancellation waits until it is known what there is to cancel."""
    async with scene(tmp_path) as desk:
        desk.broker.troubles["submit", "r-1"] = ["hang"]
        desk.broker.troubles["query", "r-1"] = ["fail"] * 6
        desk.say(resting(1))
        await desk.until(1, "unknown")
        desk.say(cancel(1))
        await comes(lambda: len(desk.sent("query")) >= 5)
        assert (desk.told(1), desk.sent("cancel"), desk.service.detail) == (
            [("unknown", 0)], [], "scripted: 1 open, 1 in doubt",
        )  # fmt: skip
        await desk.until(1, "canceled")
        assert (desk.sent(), desk.sent("cancel")) == (["r-1"], ["r-1"])


async def test_an_order_that_never_arrived_and_is_not_wanted_any_more_is_not_sent(tmp_path):
    """Canceled while it was in doubt."""
    async with scene(tmp_path) as desk:
        desk.broker.troubles["submit", "r-1"] = ["drop"]
        desk.broker.troubles["query", "r-1"] = ["fail"] * 3
        desk.say(order(1))
        await desk.until(1, "unknown")
        desk.say(cancel(1))
        await desk.until(1, "canceled")
        assert (desk.sent(), desk.sent("cancel"), desk.broker.written) == (["r-1"], [], [])


async def test_an_unreachable_venue_makes_orders_wait(tmp_path):
    """Certainly not sent: the message comes again after growing pauses, and the order is sent once."""
    async with scene(tmp_path) as desk:
        desk.broker.troubles["submit", "r-1"] = ["unreachable"] * 3
        desk.say(order(1))
        await desk.until(1, "filled")
        assert [(attempt, reason) for _, attempt, reason in desk.bus.retries] == [(n, "nobody is there.") for n in (1, 2, 3)]
        assert [line["what"] for line in desk.broker.written] == ["accepted", "fill"]
        assert "unknown" not in dict(desk.told(1))


async def test_an_order_that_waits_too_long_is_put_aside_and_may_be_sent_back(tmp_path):
    """Among the dead letters with the reason; it was never sent, so sending it back is safe."""
    async with scene(tmp_path) as desk:
        desk.broker.troubles["submit", "r-1"] = ["unreachable"] * 4
        desk.say(order(1))
        await comes(lambda: desk.bus.dead)
        (message, reason) = desk.bus.dead[0]
        assert reason == "nobody is there. (4 attempts)"
        assert desk.told(1) == []
        desk.bus.publish("orders", message.payload, message.key)
        await desk.until(1, "filled")
        assert [line["what"] for line in desk.broker.written] == ["accepted", "fill"]


async def test_an_order_is_not_overtaken_by_its_own_cancellation(tmp_path):
    """Canceled while it waits: the venue never hears of either, and the waiting message finds nothing to do."""
    async with scene(tmp_path) as desk:
        desk.bus.delays = (0.2,)
        desk.broker.troubles["submit", "r-1"] = ["unreachable"]
        desk.say(order(1))
        await comes(lambda: desk.bus.retries)
        desk.say(cancel(1))
        await desk.until(1, "canceled")
        await comes(lambda: len(desk.bus.published["executions"]) > 1)  # said again when the order's message came back
        await desk.quiet()
        assert (desk.sent(), desk.sent("cancel"), desk.broker.written) == (["r-1"], [], [])
        desk.broker.troubles["submit", "r-2"] = ["unreachable"]
        desk.say(order(2), cancel(2))  # in one batch
        await desk.until(2, "canceled")
        assert len(desk.bus.retries) == 1


async def test_an_order_that_is_changed_while_it_waits_is_sent_as_changed(tmp_path):
    """The change is part of it then."""
    async with scene(tmp_path) as desk:
        desk.broker.troubles["submit", "r-1"] = ["unreachable"]
        desk.say(resting(1), change(1, 20))
        await desk.until(1, "accepted")
        assert (desk.broker.book.orders["r-1"]["lots"], desk.sent("modify")) == (20, [])
        assert desk.rows()[0] == {"r-1": ("accepted", 20, 0)}


async def test_a_change_and_a_cancellation(tmp_path):
    """Each is told when it is done; a second change is told like the first."""
    async with scene(tmp_path) as desk:
        desk.say(resting(1))
        await desk.until(1, "accepted")
        for index, lots in ((12, 10), (13, 14)):
            desk.say(change(1, lots, index))
            await comes(lambda lots=lots: desk.broker.book.orders["r-1"]["lots"] == lots)
        await comes(lambda: len(desk.told(1)) == 3)
        desk.say(cancel(1, 14))
        await desk.until(1, "canceled")
        assert desk.told(1) == [("accepted", 0)] * 3 + [("canceled", 0)]
        assert desk.rows()[0] == {"r-1": ("canceled", 14, 0)}
        assert desk.database.select("SELECT limit_price FROM orders") == [(9.0,)]


async def test_a_cancellation_that_comes_too_late_is_answered_by_how_the_order_stands(tmp_path):
    """Refused, because the order was filled, or for another reason: then it works on."""
    async with scene(tmp_path) as desk:
        desk.say(resting(1), resting(2))
        await desk.until(2, "accepted")
        desk.broker.is_mute = True
        desk.broker.book.fill("r-1", 8)
        desk.broker.troubles["cancel", "r-2"] = ["refuse"]
        desk.say(cancel(1), cancel(2))
        await desk.until(1, "filled")
        await comes(lambda: len(desk.told(2)) == 2)
        assert desk.told(2) == [("accepted", 0)] * 2
        assert desk.rows()[0] == {"r-1": ("filled", 8, 8), "r-2": ("accepted", 8, 0)}


async def test_a_cancellation_without_an_answer_is_repeated(tmp_path):
    """Not before it is known that the order is still open; the same for a change."""
    async with scene(tmp_path) as desk:
        desk.say(resting(1), resting(2), resting(3))
        await desk.until(3, "accepted")
        desk.broker.troubles["cancel", "r-1"] = ["drop", "drop"]
        desk.broker.troubles["cancel", "r-2"] = ["hang"]
        desk.broker.troubles["modify", "r-3"] = ["drop"]
        desk.say(cancel(1), cancel(2), change(3, 20))
        await desk.until(1, "canceled")
        await desk.until(2, "canceled")
        await comes(lambda: desk.broker.book.orders["r-3"]["lots"] == 20)
        assert (desk.sent("cancel").count("r-1"), desk.sent("cancel").count("r-2")) == (3, 1)


async def test_the_end_of_an_order_is_told_after_all_of_its_fills(tmp_path):
    """The venue says that it is canceled with 5 filled, and we know of none: the fills are asked for first."""
    async with scene(tmp_path) as desk:
        desk.say(resting(1))
        await desk.until(1, "accepted")
        desk.broker.is_mute = True
        desk.broker.book.fill("r-1", 5)
        desk.say(cancel(1))
        await desk.until(1, "canceled")
        assert desk.told(1) == [("accepted", 0), ("partially_filled", 5), ("canceled", 5)]


async def test_what_was_missed_while_nobody_listened_is_asked_for(tmp_path):
    """The stream broke, or the service was down: every open order is asked about as soon as it is heard again."""
    async with scene(tmp_path) as desk:
        desk.say(resting(1), resting(2))
        await desk.until(2, "accepted")
        desk.broker.break_stream()
        await comes(lambda: not desk.broker.inboxes)
        desk.broker.book.fill("r-1", 8)
        await desk.until(1, "filled")
        await desk.stop()
        desk.broker.book.fill("r-2", 2)
        await desk.start()
        await desk.until(2, "partially_filled")
        assert (desk.told(2), desk.broker.resumed) == ([("accepted", 0), ("partially_filled", 2)], [("r-2", 0)])


async def test_reports_in_any_order_and_number_are_booked_once(tmp_path):
    """A fill that comes three times, one after the order was canceled, and one of an order that is not ours."""
    async with scene(tmp_path) as desk:
        desk.say(resting(1))
        await desk.until(1, "accepted")
        fill = {"id": "r-1", "status": "partially_filled", "execution": "x1", "lots": 2, "price": 9.5}
        for told in (fill, fill, {"id": "r-1", "status": "canceled", "filled": 2}, {**fill, "execution": "x2"}, fill, {**fill, "id": "?"}):
            desk.broker.tell(told)
        await comes(lambda: desk.service._desk.strangers == 1)
        await desk.quiet()
        assert desk.told(1) == [("accepted", 0), ("partially_filled", 2), ("canceled", 2), ("partially_filled", 4)]
        assert desk.rows() == ({"r-1": ("canceled", 8, 4)}, {"x1", "x2"})


async def test_killed_before_it_was_sent_an_order_is_in_doubt(tmp_path):
    """It is written down, so it may have been sent: it is asked for, and sent when the venue never had it."""
    desk = Scene(tmp_path, ScriptedBroker())
    await desk.start()
    holds = asyncio.Event()

    async def never(*_):
        holds.set()
        await asyncio.Event().wait()

    submit, desk.broker.submit = desk.broker.submit, never
    desk.say(order(1), order(2))
    await holds.wait()
    await desk.crash()
    desk.broker.submit = submit
    desk.broker.book.submit({"id": "r-2", "lots": 8, "type": "market"})
    await desk.start()
    await desk.until(1, "filled")
    await desk.until(2, "filled")
    assert desk.told(1)[0][0] == "unknown"
    assert [line["what"] for line in desk.broker.written if line["id"] == "r-2"] == ["accepted", "fill"]
    assert desk.sent() == ["r-1"]
    await desk.stop()


async def test_killed_before_it_was_said_an_answer_is_said_later(tmp_path):
    """It is stored: the next one says it without asking anybody."""
    desk = Scene(tmp_path, ScriptedBroker())
    await desk.start()
    holds = asyncio.Event()

    async def never(*_):
        holds.set()
        await asyncio.Event().wait()

    send, desk.bus.send = desk.bus.send, never
    desk.say(order(1))
    await holds.wait()
    await desk.crash()
    desk.bus.send = send
    await desk.start()
    await desk.until(1, "filled")
    assert desk.sent() == ["r-1"]
    assert [line["what"] for line in desk.broker.written] == ["accepted", "fill"]
    await desk.stop()


async def test_what_makes_no_sense_goes_to_the_dead_letters(tmp_path):
    """Bytes, an order of another run's place, a cancellation of nothing; the rest of the batch is carried out."""
    async with scene(tmp_path) as desk:
        desk.bus.publish("orders", b"\xff\xff nonsense", "r")
        desk.say(order(1), cancel(7), order(3, index=10, client_order_id="r-3"), order(1, index=99))
        desk.bus.publish("executions", b"{", "r")
        await desk.until(1, "filled")
        reasons = sorted(reason for _, reason in desk.bus.dead)
        assert len(reasons) == 5
        for words in ("there is no order r-7", "written down as another instruction", "is there already"):
            assert any(words in reason for reason in reasons), reasons
        assert (desk.sent(), desk.service.refused) == (["r-1"], 5)


async def test_orders_of_the_simulated_venue_are_recorded(tmp_path):
    """Their instructions and executions come over two topics, in any order and again; nothing is sent. Denied ones are on record too."""
    async with scene(tmp_path) as desk:
        fill = Execution(
            run="r", strategy="s", client_order_id="r-1", order_id=1, execution_id="r:13", symbol="A", side="buy", status="filled",
            last_quantity=4.0, last_lots=8, last_price=10.0, filled_quantity=4.0, filled_lots=8, fee=3, currency="USD", ts=5, seq=9,
            index=13, venue="paper",
        )  # fmt: skip
        denied = order(2, status="denied", reason="too many open orders", venue="paper")
        for _ in range(2):
            desk.bus.publish("executions", encode_execution(fill), "r")
            desk.say(order(1, venue="paper"), order(1, "modify", 12, quantity_lots=10, venue="paper"), denied)
            await desk.quiet()
        assert desk.rows() == ({"r-1": ("filled", 10, 8), "r-2": ("denied", 8, 0)}, {"r:13"})
        assert desk.service.progress() == {"orders r": 21, "executions r": 14}
        assert desk.broker.asked == []


async def test_without_a_broker_orders_are_only_recorded(tmp_path):
    """One that has to be sent is refused loudly."""
    desk = Scene(tmp_path, None)
    await desk.start()
    desk.say(order(1, venue="paper"), order(2))
    await comes(lambda: desk.bus.dead)
    await desk.quiet()
    assert "a broker" in desk.bus.dead[0][1]
    assert desk.rows()[0] == {"r-1": ("submitted", 8, 0)}
    await desk.stop()


async def test_who_was_taken_over_ends_and_sends_nothing(tmp_path):
    """Two at once would send everything twice: the older one finds out before it sends."""
    desk = Scene(tmp_path, ScriptedBroker())
    await desk.start()
    older = desk.running
    old_service = desk.service
    newer = Scene(tmp_path, ScriptedBroker())
    await newer.start()
    desk.say(order(1))
    await asyncio.wait({older}, timeout=5)
    with pytest.raises(FencedError):
        older.result()
    assert desk.sent() == []
    await old_service.stop()
    await newer.stop()


async def test_a_stop_finishes_the_batch_in_hand(tmp_path):
    """What is being sent is answered, stored, said and acknowledged; nothing is in doubt afterwards."""
    desk = Scene(tmp_path, ScriptedBroker())
    await desk.start()
    holds, goes_on = asyncio.Event(), asyncio.Event()
    submit = desk.broker.submit

    async def slow(order):
        holds.set()
        await goes_on.wait()
        return await submit(order)

    desk.broker.submit = slow
    desk.say(resting(1))
    await holds.wait()
    stopping = asyncio.create_task(desk.stop())
    await asyncio.sleep(0)
    goes_on.set()
    await stopping
    assert (desk.told(1), desk.rows()[0]) == ([("accepted", 0)], {"r-1": ("accepted", 8, 0)})
