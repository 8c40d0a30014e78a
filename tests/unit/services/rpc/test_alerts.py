"""AlertsService over a real server: what it does, for whom, and what it says when it does not."""

import asyncio

import grpc
import pytest

from openbell.adapters.stores.alert_rows import Change, Firing
from openbell.adapters.stores.progress import Progress
from openbell.proto.v1 import alerts_pb2
from openbell.proto.v1 import alerts_service_pb2 as pb
from tests.accounts import opened
from tests.rpc import CALL_S, alerts_server, crossing, key_of, refusal

READER = "alerts t"


@pytest.fixture
async def alerts(tmp_path):
    """A service where nobody signs in."""
    async with alerts_server(tmp_path / "platform.db") as made:
        yield made


def fire(store, *ids, price=151.0, position=[0]):  # noqa: B006
    """Have alerts come."""
    rows = {row.id: row for row in store.find()}
    firings = [Firing(id, rows[id].fired + 1, rows[id].revision, 1_000 + id, price, price) for id in ids]
    changes = [
        Change(one.alert, one.revision, "triggered" if rows[one.alert].mode == "once" else "active", 1, one.number, one) for one in firings
    ]
    known = store.progress(READER, 0)
    store.record(firings, changes, Progress(READER, 0, known.position).advance(known.position + 1, state=b"s"))


async def test_an_alert_from_its_making_to_its_end(alerts):
    """Made, listed, changed, held, and removed."""
    async with alerts.stub() as stub:
        made = (await stub.CreateAlert(crossing(note="sell half"), timeout=CALL_S)).alert
        assert (made.symbol, made.condition, made.target_price, made.status, made.note) == (
            "AAPL", alerts_pb2.ALERT_CONDITION_ABOVE, 150.0, alerts_pb2.ALERT_STATUS_ACTIVE, "sell half",
        )  # fmt: skip
        assert list((await stub.GetAlerts(pb.GetAlertsRequest())).alerts) == [made]
        changed = (await stub.UpdateAlert(pb.UpdateAlertRequest(id=made.id, target_price=160.0, repeat=True, cooldown_s=5.0))).alert
        assert (changed.target_price, changed.repeat, changed.cooldown_s, changed.note) == (160.0, True, 5.0, "sell half")
        held = (await stub.UpdateAlert(pb.UpdateAlertRequest(id=made.id, status=alerts_pb2.ALERT_STATUS_PAUSED))).alert
        assert held.status == alerts_pb2.ALERT_STATUS_PAUSED
        await stub.DeleteAlert(pb.DeleteAlertRequest(id=made.id))
        assert not (await stub.GetAlerts(pb.GetAlertsRequest())).alerts
        gone = await stub.GetAlerts(pb.GetAlertsRequest(status=alerts_pb2.ALERT_STATUS_CANCELED))
        assert [alert.id for alert in gone.alerts] == [made.id]


async def test_everything_that_an_alert_may_say(alerts):
    """What is compared, when it may come and until when go there and come back."""
    wanted = crossing(
        condition=alerts_pb2.ALERT_CONDITION_INDICATOR_CROSSES_ABOVE, target=70.0, spec='{"indicator":{"name":"rsi","timeframe":"5m"}}',
        repeat=True, cooldown_s=60.0, hysteresis=2.5, ts_expires=1_900_000_000_000_000_000, schedule='{"session":"us"}', note="überkauft",
    )  # fmt: skip
    async with alerts.stub() as stub:
        made = (await stub.CreateAlert(wanted)).alert
    assert '"params":{"length":14}' in made.spec
    for field in ("condition", "target_price", "repeat", "cooldown_s", "hysteresis", "ts_expires", "schedule", "note"):
        assert getattr(made, field) == getattr(wanted, field)


async def test_a_page_says_where_the_next_one_begins(alerts):
    """All alerts, each once."""
    async with alerts.stub() as stub:
        made = [(await stub.CreateAlert(crossing(target=100.0 + number))).alert.id for number in range(7)]
        found, after = [], ""
        for _ in range(4):
            page = await stub.GetAlerts(pb.GetAlertsRequest(after=after, limit=3))
            found += [alert.id for alert in page.alerts]
            if not (after := page.next):
                break
        assert found == made
        assert [alert.id for alert in (await stub.GetAlerts(pb.GetAlertsRequest(symbol="MSFT"))).alerts] == []


async def test_the_id_of_a_request_makes_one_alert(alerts):
    """Asked again it is the same; asked for something else it is refused."""
    async with alerts.stub() as stub:
        made = [(await stub.CreateAlert(crossing(request_id="r1"))).alert.id for _ in range(2)]
        assert made[0] == made[1]
        code, text = await refusal(stub.CreateAlert(crossing(target=1.0, request_id="r1")))
    assert (code, text.startswith("the id of this request was used for another alert")) == (grpc.StatusCode.INVALID_ARGUMENT, True)


@pytest.mark.parametrize(
    ("method", "request_", "code", "words"),
    [
        (
            "CreateAlert",
            crossing(target=-1.0),
            "INVALID_ARGUMENT",
            "the target price of an alert is -1.0; expected a finite price above 0.",
        ),
        ("CreateAlert", crossing(target=float("nan")), "INVALID_ARGUMENT", "the target of an alert is nan"),
        ("CreateAlert", crossing(condition=0), "INVALID_ARGUMENT", "the condition of an alert is missing; expected one of above, below"),
        ("CreateAlert", crossing(condition=99), "INVALID_ARGUMENT", "the condition of an alert is 99"),
        ("CreateAlert", crossing(symbol=""), "INVALID_ARGUMENT", "an alert without a symbol"),
        ("CreateAlert", crossing(symbol="APPL"), "NOT_FOUND", "there is no symbol 'APPL'. Did you mean 'AAPL'?"),
        ("CreateAlert", crossing(symbol="A\x00B"), "INVALID_ARGUMENT", "the symbol of an alert"),
        ("CreateAlert", crossing(spec="{"), "INVALID_ARGUMENT", "the spec of an alert is not understood"),
        ("CreateAlert", crossing(spec='{"window_s":"x"}'), "INVALID_ARGUMENT", "the spec of an alert is not understood"),
        ("CreateAlert", crossing(schedule='{"session":"mars"}'), "NOT_FOUND", "there is no session 'mars'"),
        ("CreateAlert", crossing(request_id="a\x00"), "INVALID_ARGUMENT", "the id of a request"),
        ("CreateAlert", crossing(request_id="a" * 256), "INVALID_ARGUMENT", "the id of a request is 'aaaa"),
        ("UpdateAlert", pb.UpdateAlertRequest(id="7", target_price=1.0), "NOT_FOUND", "there is no alert 7"),
        ("UpdateAlert", pb.UpdateAlertRequest(id="x"), "NOT_FOUND", "there is no alert 'x'"),
        ("DeleteAlert", pb.DeleteAlertRequest(id="7"), "NOT_FOUND", "there is no alert 7"),
        ("DeleteAlert", pb.DeleteAlertRequest(id="9" * 30), "NOT_FOUND", "there is no alert"),
        ("GetAlerts", pb.GetAlertsRequest(limit=201), "INVALID_ARGUMENT", "limit is 201; expected at most 200"),
        ("GetAlerts", pb.GetAlertsRequest(symbol="\x00"), "INVALID_ARGUMENT", "the symbol is"),
        ("GetAlerts", pb.GetAlertsRequest(owner="bob"), "NOT_FOUND", "there is no user 'bob'"),
        ("GetTriggers", pb.GetTriggersRequest(alert="x"), "NOT_FOUND", "there is no alert 'x'"),
    ],
)
async def test_a_mistake_is_told(alerts, method, request_, code, words):
    """The status says what kind of mistake it is, the text what was found, what was expected and what to do."""
    async with alerts.stub() as stub:
        found, text = await refusal(getattr(stub, method)(request_, timeout=CALL_S))
    assert found.name == code
    assert text.startswith(words)


async def test_what_breaks_inside_is_not_told(alerts):
    """A database that is gone is UNAVAILABLE, without its name; the log has it."""
    alerts.store._database.close()
    async with alerts.stub() as stub:
        code, text = await refusal(stub.GetAlerts(pb.GetAlertsRequest(), timeout=CALL_S))
    assert (code, "platform.db" in text) == (grpc.StatusCode.UNAVAILABLE, False)


async def test_a_message_that_is_too_large_is_refused(alerts):
    """A megabyte is the most."""
    async with alerts.stub() as stub:
        code, _ = await refusal(stub.CreateAlert(crossing(note="x" * (1 << 20)), timeout=CALL_S))
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        code, text = await refusal(stub.CreateAlert(crossing(note="x" * 501), timeout=CALL_S))
    assert (code, text.startswith("the note of an alert")) == (grpc.StatusCode.INVALID_ARGUMENT, True)


async def read(call, count):
    """So many firings of a stream, as (seq, alert), and up to where it has told."""
    found = []
    while len(found) < count:
        message = await call.read()
        found += [(one.seq, int(one.alert.id)) for one in message.triggers]
    return found, message.latest


async def test_triggers_are_streamed_as_they_come(alerts):
    """From now on, each once and in order, with the price; and they can be asked for later."""
    rows = alerts.store.create(0, *[_wanted(target) for target in (100.0, 101.0, 102.0)])
    fire(alerts.store, rows[0].id)
    async with alerts.stub() as stub:
        call = stub.StreamTriggers(pb.StreamTriggersRequest())
        first = await call.read()
        assert (len(first.triggers), first.latest) == (0, 1)
        fire(alerts.store, rows[1].id, rows[2].id)
        found, latest = await asyncio.wait_for(read(call, 2), CALL_S)
        call.cancel()
        assert found == [(2, rows[1].id), (3, rows[2].id)]
        assert latest == 3
        known = (await stub.GetTriggers(pb.GetTriggersRequest(limit=10))).triggers
        assert [(one.seq, one.alert.triggered_price, one.alert.number) for one in known] == [(1, 151.0, 1), (2, 151.0, 1), (3, 151.0, 1)]
        assert [one.seq for one in (await stub.GetTriggers(pb.GetTriggersRequest(after=1, alert=str(rows[2].id)))).triggers] == [3]


async def test_a_stream_goes_on_where_it_was_cut_off(alerts):
    """However often the client goes away in the middle, it hears of every firing once."""
    rows = alerts.store.create(0, *[_wanted(100.0 + number) for number in range(30)])
    heard, after = [], 0
    async with alerts.stub() as stub:
        for number, row in enumerate(rows):
            fire(alerts.store, row.id)
            if number % 7 == 3:
                call = stub.StreamTriggers(pb.StreamTriggersRequest(after=after))
                found, after = await asyncio.wait_for(read(call, 1), CALL_S)
                heard += found
                call.cancel()
        call = stub.StreamTriggers(pb.StreamTriggersRequest(after=after))
        found, _ = await asyncio.wait_for(read(call, len(rows) - len(heard)), CALL_S)
        call.cancel()
    assert heard + found == [(number, row.id) for number, row in enumerate(rows, 1)]


def _wanted(target):
    from openbell.adapters.stores.alert_rules import NewAlert

    return NewAlert("AAPL", "above", target)


async def test_everybody_has_alerts_of_her_own(tmp_path):
    """Users see, change, remove and hear of their own only; an administrator of all, and of whom she names."""
    async with opened(tmp_path / "platform.db") as accounts:
        people = {name: await key_of(accounts, name, role) for name, role in (("ann", "trader"), ("bob", "viewer"), ("root", "admin"))}
        async with alerts_server(tmp_path / "platform.db", accounts) as alerts, alerts.stub() as stub:

            async def listed(name, **request):
                page = await stub.GetAlerts(pb.GetAlertsRequest(**request), metadata=[people[name]])
                return [alert.id for alert in page.alerts]

            made = {name: (await stub.CreateAlert(crossing(), metadata=[key])).alert for name, key in people.items()}
            assert {name: await listed(name) for name in ("ann", "bob")} == {name: [made[name].id] for name in ("ann", "bob")}
            assert len({alert.user for alert in made.values()}) == 3
            assert await listed("root") == [made["ann"].id, made["bob"].id, made["root"].id]
            assert await listed("root", owner="Bob") == [made["bob"].id]
            assert await listed("ann", owner="ann") == [made["ann"].id]
            for request in (
                stub.GetAlerts(pb.GetAlertsRequest(owner="ann"), metadata=[people["bob"]]),
                stub.GetAlerts(pb.GetAlertsRequest(owner="nobody"), metadata=[people["bob"]]),
                stub.UpdateAlert(pb.UpdateAlertRequest(id=made["ann"].id, note="x"), metadata=[people["bob"]]),
                stub.DeleteAlert(pb.DeleteAlertRequest(id=made["ann"].id), metadata=[people["bob"]]),
                stub.GetAlerts(pb.GetAlertsRequest(owner="nobody"), metadata=[people["root"]]),
            ):
                assert (await refusal(request))[0] is grpc.StatusCode.NOT_FOUND
            streams = {name: stub.StreamTriggers(pb.StreamTriggersRequest(), metadata=[key]) for name, key in people.items()}
            for call in streams.values():
                await call.read()
            fire(alerts.store, *(int(made[name].id) for name in people))
            for name, call in streams.items():
                wanted = people if name == "root" else [name]
                found, _ = await asyncio.wait_for(read(call, len(wanted)), CALL_S)
                assert [id for _, id in found] == [int(made[one].id) for one in wanted]
                call.cancel()
            await stub.UpdateAlert(pb.UpdateAlertRequest(id=made["ann"].id, note="x"), metadata=[people["root"]])
            await stub.DeleteAlert(pb.DeleteAlertRequest(id=made["bob"].id), metadata=[people["root"]])
            assert await listed("bob") == []


async def test_an_alert_on_accounts_is_of_ones_own(tmp_path):
    """Nobody learns by an alert what others hold, neither when it is made nor when it is changed."""
    from openbell.services.gateway.owners import Owners

    position = alerts_pb2.ALERT_CONDITION_POSITION_ABOVE
    async with opened(tmp_path / "platform.db") as accounts:
        ann, bob = [await key_of(accounts, name, "trader") for name in ("ann", "bob")]
        owners = Owners({"anns": "ann"}, ("user-1",), accounts)
        async with alerts_server(tmp_path / "platform.db", accounts, owners=owners) as alerts, alerts.stub() as stub:
            made = (await stub.CreateAlert(crossing(condition=position, target=1.0), metadata=[ann])).alert
            assert made.spec == '{"accounts":["anns"]}'
            code, text = await refusal(stub.CreateAlert(crossing(condition=position, target=1.0), metadata=[bob]))
            assert (code, text.startswith("an alert on the position of no account")) == (grpc.StatusCode.INVALID_ARGUMENT, True)
            named = crossing(condition=position, target=1.0, spec='{"accounts":["anns"]}')
            assert (await refusal(stub.CreateAlert(named, metadata=[bob])))[0] is grpc.StatusCode.NOT_FOUND
            plain = (await stub.CreateAlert(crossing(), metadata=[bob])).alert
            changed = pb.UpdateAlertRequest(id=plain.id, condition=position, spec='{"accounts":["anns"]}')
            assert (await refusal(stub.UpdateAlert(changed, metadata=[bob])))[0] is grpc.StatusCode.NOT_FOUND
            wider = pb.UpdateAlertRequest(id=made.id, spec="")
            assert (await stub.UpdateAlert(wider, metadata=[ann])).alert.spec == '{"accounts":["anns"]}'
