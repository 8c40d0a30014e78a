"""What every call meets first: who calls, for what, for how long, and what is told of it."""

import asyncio
import importlib
import re
import time

import grpc
import msgspec
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from openbell.adapters.sealing import Sealer
from openbell.config import ServerSettings
from openbell.model.time import MINUTE
from openbell.proto.v1 import alerts_service_pb2 as pb
from openbell.services.gateway.rates import Rates
from openbell.services.rpc import callers, front, server
from openbell.services.rpc.callers import CONTEXT, METHODS, SEALED, seal
from openbell.services.rpc.server import Offered, check_methods
from tests.accounts import opened
from tests.contracts.services import FILES
from tests.rpc import CALL_S, SEALER, alerts_server, crossing, key_of, refusal, settings

LIST = pb.GetAlertsRequest()


def test_every_method_says_what_it_needs():
    """Those of every .proto file, and of the services that come with gRPC; and the table has no others."""
    found = {f"/{service.full_name}/{method.name}" for file in FILES for service in file.DESCRIPTOR.services_by_name.values()
             for method in service.methods}  # fmt: skip
    theirs = (health_pb2.DESCRIPTOR, reflection_pb2.DESCRIPTOR)
    found |= {f"/{service.full_name}/{method.name}" for file in theirs for service in file.services_by_name.values()
              for method in service.methods}  # fmt: skip
    assert found == set(METHODS)
    assert {method for method, needed in METHODS.items() if needed is None} == {"/grpc.health.v1.Health/Check"}


def test_a_method_that_says_nothing_stops_the_server(monkeypatch):
    """Deny by default: a server with such a method is not made."""
    monkeypatch.delitem(METHODS, "/openbell.v1.AlertsService/DeleteAlert")
    with pytest.raises(AssertionError, match="DeleteAlert"):
        check_methods([Offered(FILES[0].DESCRIPTOR.services_by_name["AlertsService"], None, None)])


async def test_nobody_gets_in_without_a_key(tmp_path):
    """No key, one of another kind, a wrong, a revoked one: UNAUTHENTICATED, with the same words."""
    async with opened(tmp_path / "platform.db") as accounts:
        name, key = await key_of(accounts, "ann", "trader")
        async with alerts_server(tmp_path / "platform.db", accounts) as alerts, alerts.stub() as stub:
            assert not (await stub.GetAlerts(LIST, metadata=[(name, key)])).alerts
            for metadata in ((), [(name, "Basic eDp5")], [(name, "Bearer x")], [(name, key[:-1] + ("0" if key[-1] != "0" else "1"))]):
                code, text = await refusal(stub.GetAlerts(LIST, metadata=metadata, timeout=CALL_S))
                assert (code, text.startswith("nobody is signed in")) == (grpc.StatusCode.UNAUTHENTICATED, True)
            [row] = await accounts.keys.all(callers.LOCAL)
            await accounts.keys.revoke(callers.LOCAL, row.id)
            assert (await refusal(stub.GetAlerts(LIST, metadata=[(name, key)])))[0] is grpc.StatusCode.UNAUTHENTICATED
        refused = [entry.detail for entry in await accounts.people.audit(callers.LOCAL) if entry.action == "refusal"]
        assert "/openbell.v1.AlertsService/GetAlerts: NotSignedInError" in refused


@pytest.mark.parametrize("scope", ["read", "alerts", "trade"])
async def test_a_key_may_do_what_its_scope_says(tmp_path, scope):
    """Every method of AlertsService needs the permission `alerts`; a key without it is refused, and says which it lacks."""
    async with opened(tmp_path / "platform.db") as accounts:
        key = await key_of(accounts, "ann", "trader", scope)
        async with alerts_server(tmp_path / "platform.db", accounts) as alerts, alerts.stub() as stub:
            asked = {
                "CreateAlert": crossing(), "GetAlerts": LIST, "UpdateAlert": pb.UpdateAlertRequest(id="1", note="x"),
                "GetTriggers": pb.GetTriggersRequest(), "StreamTriggers": pb.StreamTriggersRequest(),
                "DeleteAlert": pb.DeleteAlertRequest(id="1"),
            }  # fmt: skip
            assert {f"/openbell.v1.AlertsService/{method}" for method in asked} <= set(METHODS)
            for method, request in asked.items():
                call = getattr(stub, method)(request, metadata=[key], timeout=CALL_S)
                if scope == "alerts":
                    await (call.read() if method == "StreamTriggers" else call)
                    continue
                code, text = await refusal(call.read() if method == "StreamTriggers" else call)
                assert (code, text) == (
                    grpc.StatusCode.PERMISSION_DENIED,
                    "ann may not do this; expected the permission 'alerts'. Use a key with this scope.",
                )


async def test_a_stream_ends_soon_after_the_key(tmp_path, monkeypatch):
    """Revoked, a key opens nothing more, and what it had opened is closed."""
    monkeypatch.setattr(front, "LOOK_EVERY_S", 0.05)
    async with opened(tmp_path / "platform.db") as accounts:
        key = await key_of(accounts, "ann", "trader")
        async with alerts_server(tmp_path / "platform.db", accounts) as alerts, alerts.stub() as stub:
            call = stub.StreamTriggers(pb.StreamTriggersRequest(), metadata=[key])
            await call.read()
            [row] = await accounts.keys.all(callers.LOCAL)
            await accounts.keys.revoke(callers.LOCAL, row.id)
            code, _ = await refusal(asyncio.wait_for(call.read(), CALL_S))
            assert code is grpc.StatusCode.UNAUTHENTICATED


async def test_a_user_has_so_many_streams(tmp_path, monkeypatch):
    """One more is refused, and when one is closed there is room again."""
    monkeypatch.setattr(front, "STREAMS_OF_USER_MAX", 2)
    async with opened(tmp_path / "platform.db") as accounts:
        ann, bob = [await key_of(accounts, name, "viewer") for name in ("ann", "bob")]
        async with alerts_server(tmp_path / "platform.db", accounts) as alerts, alerts.stub() as stub:

            async def begun(key):
                call = stub.StreamTriggers(pb.StreamTriggersRequest(), metadata=[key])
                await call.read()
                return call

            calls = [await begun(ann), await begun(ann), await begun(bob)]
            code, text = await refusal(begun(ann))
            assert (code, text.startswith("too many streams are open")) == (grpc.StatusCode.RESOURCE_EXHAUSTED, True)
            calls[0].cancel()
            deadline = time.monotonic() + CALL_S
            while time.monotonic() < deadline:
                try:
                    calls.append(await begun(ann))
                    break
                except grpc.aio.AioRpcError:
                    await asyncio.sleep(0.02)
            assert len(calls) == 4


async def test_too_many_calls_are_refused(tmp_path):
    """Those of an address, and those of a user: the same limits as over HTTP, and when to try again."""
    rates = Rates(ServerSettings(rate_limit="3/hour", rate_limit_address="5/hour"))
    async with opened(tmp_path / "platform.db") as accounts:
        key = await key_of(accounts, "ann", "trader")
        async with alerts_server(tmp_path / "platform.db", accounts, rates=rates) as alerts, alerts.stub() as stub:
            for _ in range(3):
                await stub.GetAlerts(LIST, metadata=[key])
            with pytest.raises(grpc.aio.AioRpcError, match="too many requests; expected at most 3 per 1 hour") as caught:
                await stub.GetAlerts(LIST, metadata=[key])
            assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert 0 < int(dict(caught.value.trailing_metadata())["retry-after"]) <= 3600
            assert (await refusal(stub.GetAlerts(LIST)))[0] is grpc.StatusCode.UNAUTHENTICATED
            assert (await refusal(stub.GetAlerts(LIST)))[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
            vouched = [(SEALED, seal(SEALER, 7))]
            assert not (await stub.GetAlerts(LIST, metadata=vouched)).alerts, "who has been counted by a gateway is not counted again"


async def test_a_gateway_vouches_for_its_users(tmp_path):
    """What it seals says who asks; it has to be sealed by this platform, just now, and for this."""
    async with opened(tmp_path / "platform.db") as accounts:
        name, key = await key_of(accounts, "ann", "trader")
        async with alerts_server(tmp_path / "platform.db", accounts) as alerts, alerts.stub() as stub:
            mine = (await stub.CreateAlert(crossing(), metadata=[(name, key)])).alert
            ann = int(mine.user)
            for owner, wanted in ((ann, [mine.id]), (ann + 1, []), (0, []), (None, [mine.id])):
                page = await stub.GetAlerts(LIST, metadata=[(SEALED, seal(SEALER, owner))])
                assert [alert.id for alert in page.alerts] == wanted
            house = (await stub.CreateAlert(crossing(), metadata=[(SEALED, seal(SEALER, 0))])).alert
            assert house.user == ""
            old = SEALER.seal(msgspec.msgpack.encode((ann, time.time_ns() - 2 * MINUTE)), CONTEXT)
            other = SEALER.seal(msgspec.msgpack.encode((ann, time.time_ns())), "totp of user 7")
            for sealed in (seal(Sealer(b"x" * 32), ann), old, other, SEALER.seal(b"\xc1", CONTEXT), b"", b"x" * 100):
                code, _ = await refusal(stub.GetAlerts(LIST, metadata=[(SEALED, sealed)]))
                assert code is grpc.StatusCode.UNAUTHENTICATED
            trade = pb.GetAlertsRequest(owner="root")
            assert (await refusal(stub.GetAlerts(trade, metadata=[(SEALED, seal(SEALER, ann))])))[0] is grpc.StatusCode.NOT_FOUND


async def test_a_call_has_an_end(tmp_path, monkeypatch):
    """A client that sets no deadline, or a long one, waits no longer than the server lets it."""
    monkeypatch.setattr(front, "CALL_S", 0.1)
    async with alerts_server(tmp_path / "platform.db") as alerts, alerts.stub() as stub:
        alerts.store._database._lock.acquire()
        try:
            for timeout in (None, 1_000.0):
                code, text = await refusal(asyncio.wait_for(stub.GetAlerts(LIST, timeout=timeout), CALL_S))
                assert (code, text) == (grpc.StatusCode.DEADLINE_EXCEEDED, "The call took too long.")
        finally:
            alerts.store._database._lock.release()


async def test_every_call_has_an_id(tmp_path):
    """That of the client, where it is one, or a new one; it comes back with answers and refusals."""
    async with alerts_server(tmp_path / "platform.db") as alerts, alerts.stub() as stub:
        made = set()
        for given, expected in (("abc-1", "abc-1"), ("a b", None), ("x" * 65, None)):
            call = stub.GetAlerts(LIST, metadata=[("x-request-id", given)])
            await call
            found = dict(await call.trailing_metadata())["x-request-id"]
            assert found == expected if expected else re.fullmatch(r"[0-9a-f]{9,}", found)
            made.add(found)
        assert len(made) == 3
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.DeleteAlert(pb.DeleteAlertRequest(id="7"), metadata=[("x-request-id", "abc-2")])
        assert dict(caught.value.trailing_metadata()) == {"x-request-id": "abc-2", "openbell-error": "UnknownNameError"}


async def test_a_method_that_is_not_there(tmp_path):
    """Is UNIMPLEMENTED, whoever asks."""
    async with alerts_server(tmp_path / "platform.db") as alerts, grpc.aio.insecure_channel(alerts.address) as channel:
        code, _ = await refusal(channel.unary_unary("/openbell.v1.AlertsService/Nothing")(b"", timeout=CALL_S))
    assert code is grpc.StatusCode.UNIMPLEMENTED


async def test_bytes_that_are_no_message(tmp_path):
    """Are an error of the client's, and the server goes on."""
    async with alerts_server(tmp_path / "platform.db") as alerts, grpc.aio.insecure_channel(alerts.address) as channel:
        call = channel.unary_unary("/openbell.v1.AlertsService/CreateAlert")
        code, text = await refusal(call(b"\xff" * 9, timeout=CALL_S))
        assert (code, text.startswith("the request is no message of this method")) == (grpc.StatusCode.INVALID_ARGUMENT, True)
        async with alerts.stub() as stub:
            assert not (await stub.GetAlerts(LIST)).alerts


async def test_health_says_whether_the_services_work(tmp_path, monkeypatch):
    """For everybody, also without a key; who stops says so first."""
    monkeypatch.setattr(server, "LOOK_EVERY_S", 0.01)
    async with (
        opened(tmp_path / "platform.db") as accounts,
        alerts_server(tmp_path / "platform.db", accounts) as alerts,
        grpc.aio.insecure_channel(alerts.address) as channel,
    ):
        stub = health_pb2_grpc.HealthStub(channel)

        async def status(service):
            return (await stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=CALL_S)).status

        assert await status("") == health_pb2.HealthCheckResponse.NOT_SERVING, "it does not run yet"
        running = asyncio.create_task(alerts.service.run())
        deadline = time.monotonic() + CALL_S
        while await status("openbell.v1.AlertsService") != health_pb2.HealthCheckResponse.SERVING:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
        assert await status("") == health_pb2.HealthCheckResponse.SERVING
        alerts.service._healthy = lambda: False
        while await status("") == health_pb2.HealthCheckResponse.SERVING:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
        assert (await refusal(stub.Watch(health_pb2.HealthCheckRequest()).read()))[0] is grpc.StatusCode.UNAUTHENTICATED
        running.cancel()


async def test_reflection_is_off_unless_it_is_wanted(tmp_path):
    """Nobody is told what there is."""
    async with alerts_server(tmp_path / "platform.db") as alerts, grpc.aio.insecure_channel(alerts.address) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        call = stub.ServerReflectionInfo()  # nothing more is said: what is under way when the answer comes may break the line before it
        assert (await refusal(call.read()))[0] is grpc.StatusCode.UNIMPLEMENTED


async def test_reflection_needs_a_key_too(tmp_path):
    """Where users sign in, what there is is told to those who may read."""
    async with opened(tmp_path / "platform.db") as accounts:
        key = await key_of(accounts, "ann", "viewer")
        wanted = settings(True, reflection=True)
        server_ = alerts_server(tmp_path / "platform.db", accounts, wanted)
        async with server_ as alerts, grpc.aio.insecure_channel(alerts.address) as channel:
            stub = reflection_pb2_grpc.ServerReflectionStub(channel)
            asked = [reflection_pb2.ServerReflectionRequest(list_services="")]
            assert (await refusal(stub.ServerReflectionInfo().read()))[0] is grpc.StatusCode.UNAUTHENTICATED
            answer = await stub.ServerReflectionInfo(iter(asked), metadata=[key]).read()
            assert {service.name for service in answer.list_services_response.service} == {
                "openbell.v1.AlertsService", "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection",
            }  # fmt: skip


async def test_a_program_that_knows_no_contract_finds_everything_by_reflection(tmp_path):
    """The methods, their messages and the words of their enums."""
    async with alerts_server(tmp_path / "platform.db", wanted=settings(reflection=True)) as alerts:

        def found():
            with grpc.insecure_channel(alerts.address) as channel:
                database = ProtoReflectionDescriptorDatabase(channel)
                pool = DescriptorPool(database)
                return database.get_services(), pool.FindServiceByName("openbell.v1.AlertsService")

        names, service = await asyncio.to_thread(found)
    assert "openbell.v1.AlertsService" in names
    assert [method.name for method in service.methods] == [
        method.name for method in FILES[0].DESCRIPTOR.services_by_name["AlertsService"].methods
    ]
    assert service.methods_by_name["CreateAlert"].input_type.fields_by_name["condition"].enum_type.values[1].name == "ALERT_CONDITION_ABOVE"


def test_the_generated_code_is_that_of_the_installed_library():
    """The modules of all services load with the versions that are there."""
    for name in ("alerts", "market", "orders", "portfolio"):
        importlib.import_module(f"openbell.proto.v1.{name}_service_pb2_grpc")
