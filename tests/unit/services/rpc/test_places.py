"""Where gRPC may listen, and the certificates that both ends show."""

import asyncio

import grpc
import pytest
from msgspec.structs import replace

from openbell.config import ServerSettings
from openbell.errors import BusError, ConfigError, PortInUseError
from openbell.observability import Metrics
from openbell.proto.v1 import alerts_service_pb2 as pb
from openbell.services.rpc.alerts_client import AlertsClient
from openbell.services.rpc.callers import Door
from openbell.services.rpc.places import channel_to, check_place, needs_certificate
from openbell.services.rpc.server import RpcService
from tests.accounts import opened
from tests.rpc import CALL_S, Authority, alerts_server, crossing, key_of, refusal, settings

LIST = pb.GetAlertsRequest()
OUTSIDE = "0.0.0.0:50052"


@pytest.mark.parametrize(
    ("address", "server", "tls", "words"),
    [
        ("127.0.0.1:1", {}, "", ""),
        ("[::1]:1", {}, "", ""),
        (":1", {}, "", ""),
        ("", {}, "", ""),
        (OUTSIDE, {}, "", "everybody on the way could read along"),
        (OUTSIDE, {"sign_in": True}, "", "everybody on the way could read along"),
        (OUTSIDE, {"sign_in": True, "public": True}, "", "everybody on the way could read along"),
        (OUTSIDE, {"public": True}, "", ""),
        (OUTSIDE, {}, "cert key", "nobody who calls says who that is"),
        (OUTSIDE, {"sign_in": True}, "cert key", ""),
        (OUTSIDE, {}, "cert key ca", ""),
        ("127.0.0.1:1", {}, "cert", "one of grpc.tls_cert and grpc.tls_key is set"),
        ("127.0.0.1:1", {}, "ca", "grpc.tls_ca is set without grpc.tls_cert"),
    ],
)
def test_an_address_that_others_can_reach(address, server, tls, words):
    """Is refused without TLS, and where nobody says who calls; what cannot be meant is told."""
    found = settings(addr=address, **{f"tls_{name}": "file" for name in tls.split()})
    found = replace(found, server=ServerSettings(**server))
    if not words:
        check_place("addr", found)
        return
    with pytest.raises(ConfigError, match=words):
        check_place("addr", found)


def test_who_needs_a_certificate():
    """Services among themselves; and everybody, where no user signs in."""
    found = settings(tls_ca="file")
    assert [needs_certificate(name, found) for name in ("addr", "alerts_addr")] == [True, True]
    signing_in = replace(found, server=ServerSettings(sign_in=True))
    assert [needs_certificate(name, signing_in) for name in ("addr", "alerts_addr")] == [False, True]
    assert not needs_certificate("alerts_addr", settings())


async def test_certificates_both_ways(tmp_path):
    """Who shows none, one of another authority, or does not know ours, does not get in; nor does who speaks without TLS."""
    ours, others = Authority(tmp_path, "ours"), Authority(tmp_path, "others")
    wanted = ours.settings("alerts")
    async with alerts_server(tmp_path / "platform.db", wanted=wanted) as alerts:
        async with alerts.stub(ours.credentials("gateway")) as stub:
            assert (await stub.CreateAlert(crossing(), timeout=CALL_S)).alert.id == "1"
        strange = grpc.ssl_channel_credentials(
            *[(tmp_path / name).read_bytes() for name in ("ours/ca.pem",)],
            *[open(file, "rb").read() for file in reversed(others.issue("gateway"))],  # noqa: SIM115
        )
        for credentials in (ours.credentials(), strange, others.credentials("other"), None):
            async with alerts.stub(credentials) as stub:
                code, _ = await refusal(stub.GetAlerts(LIST, timeout=2.0))
                assert code is grpc.StatusCode.UNAVAILABLE
        async with alerts.stub(ours.credentials("late")) as stub:
            assert len((await stub.GetAlerts(LIST, timeout=CALL_S)).alerts) == 1


async def test_a_gateway_and_the_alerts_service_by_their_settings(tmp_path):
    """The same settings on both sides are enough; a service of another authority is none that it speaks to."""
    ours, others = Authority(tmp_path, "ours"), Authority(tmp_path, "others")
    wanted = ours.settings("alerts")
    async with alerts_server(tmp_path / "platform.db", wanted=wanted) as alerts:
        for authority, works in ((ours, True), (others, False)):
            found = authority.settings("gateway").grpc
            client = AlertsClient(lambda found=found: channel_to(alerts.address, found), call_s=2.0)
            try:
                if works:
                    assert await client.find(None) == []
                else:
                    with pytest.raises(BusError, match="the alerts service does not answer"):
                        await client.find(None)
            finally:
                await client.close()


async def test_users_need_no_certificate_but_a_key(tmp_path):
    """With TLS and sign-in, a program trusts the server's certificate and shows its key."""
    ours = Authority(tmp_path)
    async with opened(tmp_path / "platform.db") as accounts:
        key = await key_of(accounts, "ann", "trader")
        wanted = ours.settings("gateway", sign_in=True)
        wanted = replace(wanted, grpc=replace(wanted.grpc, tls_ca=""))
        async with alerts_server(tmp_path / "platform.db", accounts, wanted) as alerts, alerts.stub(ours.credentials()) as stub:
            assert not (await stub.GetAlerts(LIST, metadata=[key], timeout=CALL_S)).alerts
            assert (await refusal(stub.GetAlerts(LIST, timeout=CALL_S)))[0] is grpc.StatusCode.UNAUTHENTICATED


async def test_files_that_are_no_certificates(tmp_path):
    """Are told before anything listens, without what is in them."""
    ours = Authority(tmp_path)
    certificate, key = ours.issue("a")
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("canary")
    for changes in ({"tls_cert": str(wrong)}, {"tls_key": str(wrong)}, {"tls_ca": str(wrong)}, {"tls_key": ours.issue("b")[1]},
                    {"tls_cert": str(tmp_path / "nowhere")}):  # fmt: skip
        found = settings(**{"tls_cert": certificate, "tls_key": key, "tls_ca": ours.certificate, **changes})
        service = RpcService("addr", found, Door(), [], Metrics(), lambda: True)
        with pytest.raises(ConfigError, match=r"grpc\.tls_cert, grpc\.tls_key or grpc\.tls_ca cannot be used") as caught:
            await service.start()
        assert "canary" not in str(caught.value)


async def test_a_port_that_is_taken(tmp_path):
    """Is an error, and not a silent half of the calls."""
    async with alerts_server(tmp_path / "platform.db") as alerts:
        found = settings(alerts_addr=alerts.address)
        service = RpcService("alerts_addr", found, Door(), [], Metrics(), lambda: True)
        with pytest.raises(PortInUseError, match=f"gRPC cannot listen on {alerts.address}"):
            await service.start()
        await service.stop()
        async with alerts.stub() as stub:
            for _ in range(5):
                await asyncio.wait_for(stub.GetAlerts(LIST), CALL_S)
