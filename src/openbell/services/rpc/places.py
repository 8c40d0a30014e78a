"""Where gRPC is served and found: which addresses are allowed, and the certificates both ends show.

The services of a platform show each other certificates of one authority (`grpc.tls_ca`); users show an API key over TLS.
"""

import ssl
from pathlib import Path

import grpc
import grpc.aio

from openbell.config import GrpcSettings, Settings
from openbell.errors import ConfigError
from openbell.services.gateway.server import is_loopback, parse_address

#: Bytes of a message that is taken, and of one that is sent, which is what clients take when nothing else is said.
MESSAGE_MAX, ANSWER_MAX = 1 << 20, 4 << 20
#: Calls of one connection at a time.
CALLS_MAX = 256
#: How long (ms) a connection may be silent before it is asked whether it is there, and how long it may take to say so.
SILENT_MS, ANSWERS_MS = 30_000, 10_000

#: Another server on the same port is an error, and not a silent half of the calls.
SERVER_OPTIONS = (
    ("grpc.max_receive_message_length", MESSAGE_MAX), ("grpc.max_send_message_length", ANSWER_MAX), ("grpc.so_reuseport", 0),
    ("grpc.max_concurrent_streams", CALLS_MAX), ("grpc.keepalive_time_ms", SILENT_MS), ("grpc.keepalive_timeout_ms", ANSWERS_MS),
    ("grpc.http2.min_ping_interval_without_data_ms", ANSWERS_MS),
)  # fmt: skip
CHANNEL_OPTIONS = (
    ("grpc.max_receive_message_length", ANSWER_MAX), ("grpc.max_send_message_length", MESSAGE_MAX), ("grpc.keepalive_time_ms", SILENT_MS),
    ("grpc.keepalive_timeout_ms", ANSWERS_MS), ("grpc.initial_reconnect_backoff_ms", 100), ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000), ("grpc.enable_retries", 0),
)  # fmt: skip


def check_place(name: str, settings: Settings) -> None:
    """Raise ConfigError for an address (`addr` or `alerts_addr`) that others can reach, unless they say who they are, over TLS."""
    check_certificates(settings.grpc)
    tls, address = settings.grpc, getattr(settings.grpc, name)
    if not address or is_loopback(_host_port(address)[0]):
        return
    reachable = f"grpc.{name} is {address!r}, which other machines can reach"
    if not tls.tls_cert:
        if settings.server.public and not settings.server.sign_in:  # something else keeps others away
            return
        raise ConfigError(f"{reachable}, and everybody on the way could read along", "TLS", "set grpc.tls_cert and grpc.tls_key")
    if not settings.server.sign_in and not tls.tls_ca:
        raise ConfigError(
            f"{reachable}, and nobody who calls says who that is", "users who sign in, or certificates of those who call",
            "set server.sign_in to true, or grpc.tls_ca",
        )  # fmt: skip


def check_certificates(settings: GrpcSettings) -> None:
    """Raise ConfigError for files that make no sense without each other."""
    if bool(settings.tls_cert) != bool(settings.tls_key):
        raise ConfigError("one of grpc.tls_cert and grpc.tls_key is set", "both, or none", "name the files of the certificate and its key")
    if settings.tls_ca and not settings.tls_cert:
        raise ConfigError("grpc.tls_ca is set without grpc.tls_cert", "all three", "name the files of the certificate and its key")


def needs_certificate(name: str, settings: Settings) -> bool:
    """Whether who calls an address has to show a certificate of the authority: other services, and all where no user signs in."""
    return bool(settings.grpc.tls_ca) and (name == "alerts_addr" or not settings.server.sign_in)


def add_port(server: grpc.aio.Server, name: str, settings: Settings) -> int:
    """Have a server listen on an address of the settings; returns the port. RuntimeError when it cannot."""
    address = _target(getattr(settings.grpc, name))
    if not settings.grpc.tls_cert:
        return server.add_insecure_port(address)
    key, certificate, authority = read_certificates(settings.grpc)
    wanted = needs_certificate(name, settings)
    # Without the wish for a certificate the authority says nothing, and the library will have none.
    credentials = grpc.ssl_server_credentials([(key, certificate)], authority if wanted else None, wanted)
    return server.add_secure_port(address, credentials)


def channel_to(address: str, settings: GrpcSettings) -> grpc.aio.Channel:
    """A connection to an address, which begins with the first call. Within an event loop; ConfigError for files that cannot be used."""
    target = _target(address)
    if not settings.tls_cert:
        return grpc.aio.insecure_channel(target, CHANNEL_OPTIONS)
    key, certificate, authority = read_certificates(settings)
    return grpc.aio.secure_channel(target, grpc.ssl_channel_credentials(authority, key, certificate), CHANNEL_OPTIONS)


def read_certificates(settings: GrpcSettings) -> tuple[bytes, bytes, bytes | None]:
    """(Key, certificate, certificate of the authority) as PEM. ConfigError for files that are none of these."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(settings.tls_cert, settings.tls_key)
        if settings.tls_ca:
            context.load_verify_locations(settings.tls_ca)
        read = [Path(name).read_bytes() for name in (settings.tls_key, settings.tls_cert)]
        return read[0], read[1], Path(settings.tls_ca).read_bytes() if settings.tls_ca else None
    except (OSError, ssl.SSLError) as error:
        reason = error.strerror or type(error).__name__
        raise ConfigError(
            f"grpc.tls_cert, grpc.tls_key or grpc.tls_ca cannot be used ({reason})", "files of PEM, a key that fits"
        ) from None


def _host_port(address: str) -> tuple[str, int]:
    host, port = parse_address(address)
    return host.strip("[]"), port


def _target(address: str) -> str:
    host, port = _host_port(address)
    return f"{f'[{host}]' if ':' in host else host}:{port}"
