"""gRPC as tests use it: servers on free ports, programs with keys, and certificates that are made on the spot."""

import contextlib
import datetime
import ipaddress
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from msgspec.structs import replace

from openbell.adapters.sealing import Sealer
from openbell.adapters.stores.alerts import AlertStore
from openbell.adapters.stores.database import open_database
from openbell.config import GrpcSettings, ServerSettings, Settings
from openbell.observability import Metrics
from openbell.proto.v1 import alerts_pb2
from openbell.proto.v1 import alerts_service_pb2 as pb
from openbell.proto.v1.alerts_service_pb2_grpc import AlertsServiceStub
from openbell.services.accounts.accounts import Accounts
from openbell.services.accounts.callers import PERMISSIONS_OF
from openbell.services.alerts.access import StoredAlerts
from openbell.services.gateway.owners import Owners
from openbell.services.rpc.callers import Door
from openbell.services.rpc.opening import offer_alerts
from openbell.services.rpc.server import RpcService
from tests.accounts import add_user

#: How long (seconds) a call of a test may take.
CALL_S = 10.0
SYMBOLS = {"AAPL", "MSFT", "BTCUSDT", "ETHUSDT"}
SEALER = Sealer(b"s" * 32)


def settings(sign_in: bool = False, **grpc_settings: Any) -> Settings:
    """Those of a server on a free port."""
    wanted = {"addr": "127.0.0.1:0", "alerts_addr": "127.0.0.1:0", **grpc_settings}
    return Settings(grpc=GrpcSettings(**wanted), server=ServerSettings(sign_in=sign_in))


class Alerts:
    """An alerts service with a database of its own, and the channels to it."""

    def __init__(self, service: RpcService, store: AlertStore, accounts: Accounts | None, place: Path) -> None:
        self.service, self.store, self.accounts, self.place = service, store, accounts, place

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.service.port}"

    @contextlib.asynccontextmanager
    async def stub(self, credentials: grpc.ChannelCredentials | None = None) -> AsyncIterator[Any]:
        """What calls it."""
        made = grpc.aio.secure_channel(self.address, credentials) if credentials else grpc.aio.insecure_channel(self.address)
        async with made as channel:
            yield AlertsServiceStub(channel)


@contextlib.asynccontextmanager
async def alerts_server(
    place: Path, accounts: Accounts | None = None, wanted: Settings | None = None, owners: Owners | None = None, **door: Any
) -> AsyncIterator[Alerts]:
    """A server with AlertsService over a SQLite file."""
    database = open_database(place)
    store = AlertStore(database)
    offered = [offer_alerts(StoredAlerts(store), SYMBOLS, owners or Owners(accounts=accounts), accounts)]
    found = wanted or settings(accounts is not None)
    service = RpcService("alerts_addr", found, Door(accounts, lambda: SEALER, **door), offered, Metrics(), lambda: True)
    await service.start()
    try:
        yield Alerts(service, store, accounts, place)
    finally:
        await service.stop()
        database.close()


async def key_of(accounts: Accounts, name: str, role: str, *scopes: str) -> tuple[str, str]:
    """Metadata of a program of a new user's, with these scopes or all that the role has."""
    await add_user(accounts, name, role)
    _, caller = await accounts.sign_in(name, "quiet otter under glass")
    made = await accounts.keys.create(caller, "test", frozenset(scopes or PERMISSIONS_OF[role]))
    return "authorization", f"Bearer {made.key}"


def crossing(symbol: str = "AAPL", target: float = 150.0, **more: Any) -> pb.CreateAlertRequest:
    """A request for an alert on a price."""
    more.setdefault("condition", alerts_pb2.ALERT_CONDITION_ABOVE)
    return pb.CreateAlertRequest(symbol=symbol, target_price=target, **more)


async def refusal(call: Any) -> tuple[grpc.StatusCode, str]:
    """(Status, text) of a call that has to be refused."""
    try:
        answer = await call
    except grpc.aio.AioRpcError as error:
        return error.code(), error.details() or ""
    raise AssertionError(f"it was answered: {answer}")


class Authority:
    """A certificate authority in a folder."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self.folder = folder / name
        self.folder.mkdir()
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        made = self._builder(self._name, self._key).add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        self.certificate = self._write("ca.pem", made.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str, host: str = "127.0.0.1") -> tuple[str, str]:
        """Files of a new certificate and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), key)
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))]), critical=False)
        text = builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        return self._write(f"{name}.pem", text), self._write(f"{name}.key", secret)

    def settings(self, name: str, sign_in: bool = False) -> Settings:
        """A server on a free port, with a certificate of this authority."""
        certificate, key = self.issue(name)
        found = settings(sign_in)
        return replace(found, grpc=replace(found.grpc, tls_cert=certificate, tls_key=key, tls_ca=self.certificate))

    def credentials(self, name: str = "") -> grpc.ChannelCredentials:
        """What a client needs that trusts this authority, with a certificate of its own when it has a name."""
        root = Path(self.certificate).read_bytes()
        if not name:
            return grpc.ssl_channel_credentials(root)
        certificate, key = (Path(file).read_bytes() for file in self.issue(name))
        return grpc.ssl_channel_credentials(root, key, certificate)

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self._name).public_key(key.public_key())
        builder = builder.serial_number(x509.random_serial_number())
        return builder.not_valid_before(now - datetime.timedelta(hours=1)).not_valid_after(now + datetime.timedelta(hours=1))

    def _write(self, name: str, content: bytes) -> str:
        path = self.folder / name
        path.write_bytes(content)
        return str(path)
