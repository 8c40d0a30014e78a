"""A gateway that others may reach: TLS of its own, cookies for this host alone, and nothing in plain text."""

import asyncio
import contextlib
import datetime
import http.client
import ipaddress
import json
import socket
import ssl

import pytest
import websockets
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

import openbell
from openbell.errors import UnreachableError
from tests.accounts import PASSWORD
from tests.gateway import add_people, write_config
from tests.running import START_SECONDS, Running, until

pytestmark = pytest.mark.integration


def make_certificate(folder):
    """A certificate of 127.0.0.1 that signs itself, and its key; returns the files."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "openbell")])
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + datetime.timedelta(days=1))
    certificate = made.add_extension(names, False).sign(key, hashes.SHA256())
    cert_path, key_path = folder / "cert.pem", folder / "key.pem"
    cert_path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    plain = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    key_path.write_bytes(key.private_bytes(*plain))
    return cert_path, key_path


class Secure:
    """Asks a platform over TLS, and believes its certificate only."""

    def __init__(self, port, certificate):
        self.port, self.certificate, self.context = port, certificate, ssl.create_default_context(cafile=certificate)

    def ask(self, method, path, body=None, **headers):
        """Status, decoded body and headers of an answer."""
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=10, context=self.context)
        with contextlib.closing(connection):
            sent = {"Content-Type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
            connection.request(method, path, None if body is None else json.dumps(body), sent)
            answer = connection.getresponse()
            content = answer.read()
            return answer.status, json.loads(content) if content else None, {name.lower(): value for name, value in answer.getheaders()}

    def is_healthy(self):
        """Whether it says so."""
        try:
            return self.ask("GET", "/health")[0] == 200
        except OSError:
            return False


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    """On every address of this machine, with a certificate."""
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = make_certificate(folder)
    config = write_config(folder, host="0.0.0.0", tls_cert=str(certificate), tls_key=str(key))
    asyncio.run(add_people(folder))
    running = Running(folder, "--config", str(config), command="up")
    secure = Secure(running.port, certificate)
    try:
        until(lambda: running.process.poll() is not None or secure.is_healthy(), START_SECONDS, "a healthy platform")
        assert running.process.poll() is None, running.log.read_text()
        yield secure
    finally:
        running.process.kill()
        running.process.wait(10)


def test_signing_in_over_tls(platform):
    """The cookie is of this host alone and for TLS alone, and the browser is told to come by TLS only."""
    status, body, headers = platform.ask("POST", "/auth/sign-in", {"name": "bob", "password": PASSWORD})
    assert (status, body["name"]) == (200, "bob")
    cookie = headers["set-cookie"]
    assert cookie.startswith("__Host-openbell=")
    assert {"Secure", "HttpOnly", "Path=/", "SameSite=strict"} <= {part.strip() for part in cookie.split(";")}
    assert headers["strict-transport-security"].startswith("max-age=")
    status, body, _ = platform.ask("GET", "/auth/session", Cookie=cookie.partition(";")[0])
    assert (status, body["role"]) == (200, "trader")
    plain = cookie.partition(";")[0].replace("__Host-", "")
    assert platform.ask("GET", "/portfolio", Cookie=plain)[0] == 401


async def test_the_stream_over_tls(platform):
    """`wss` with the cookie."""
    headers = platform.ask("POST", "/auth/sign-in", {"name": "bob", "password": PASSWORD})[2]
    cookie = {"Cookie": headers["set-cookie"].partition(";")[0]}
    async with websockets.connect(f"wss://127.0.0.1:{platform.port}/ws", ssl=platform.context, additional_headers=cookie) as line:
        await line.send(json.dumps({"op": "subscribe", "channels": ["prices"]}))
        assert json.loads(await asyncio.wait_for(line.recv(), 10))["channel"] == "snapshot"


def test_the_client_over_tls(platform):
    """With the certificate that the platform signed itself, and not without: requests and the stream."""
    headers = platform.ask("POST", "/auth/sign-in", {"name": "bob", "password": PASSWORD})[2]
    cookie = {"Cookie": headers["set-cookie"].partition(";")[0], "X_Requested_With": "test"}
    key = platform.ask("POST", "/keys", {"name": "test", "scopes": ["read"]}, **cookie)[1]["key"]
    url = f"https://127.0.0.1:{platform.port}"
    with openbell.Client(url, key=key, ca_file=str(platform.certificate)) as client:
        assert (client.who().name, client.who().via) == ("bob", "key")
        with client.stream(["prices"]) as stream:
            assert next(stream).channel == "snapshot"
    with openbell.Client(url, key=key) as doubtful:
        with pytest.raises(UnreachableError, match="cannot be reached"):
            doubtful.who()
        with pytest.raises(UnreachableError), doubtful.stream(["prices"]) as stream:
            next(stream)


def test_nothing_is_answered_in_plain_text(platform):
    """Who comes without TLS gets no answer."""
    with socket.create_connection(("127.0.0.1", platform.port), 5) as line:
        line.sendall(b"GET /api HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        with contextlib.suppress(ConnectionResetError):
            assert b"openbell" not in line.recv(1000)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_old_versions_of_tls_are_refused(platform):
    """1.2 at least."""
    for version, works in ((ssl.TLSVersion.TLSv1_1, False), (ssl.TLSVersion.TLSv1_2, True), (ssl.TLSVersion.TLSv1_3, True)):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = version
        with socket.create_connection(("127.0.0.1", platform.port), 5) as line:
            if works:
                with context.wrap_socket(line) as wrapped:
                    assert wrapped.version() == version.name.replace("_", ".")
            else:
                with pytest.raises((ssl.SSLError, ConnectionResetError)):
                    context.wrap_socket(line)


def test_the_certificate_is_not_taken_for_granted(platform):
    """A client that does not know it refuses, as it has to."""
    with pytest.raises(ssl.SSLCertVerificationError):
        Secure(platform.port, None).ask("GET", "/health")
