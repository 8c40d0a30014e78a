"""Where a request is from: the address of the connection, or what a proxy that is trusted says of it.

Anybody can write X-Forwarded-For. Each proxy puts the address it was asked from at its end, so that it is read from there: the first one
that is no proxy of ours is the client.
"""

import ipaddress
from collections.abc import Iterable

from starlette.datastructures import Headers
from starlette.types import Scope

from openbell.errors import ConfigError

#: Hops that are looked at.
HOPS_MAX = 16


class Proxies:
    """The proxies of the settings: addresses and networks. ConfigError for what is neither."""

    def __init__(self, trusted: Iterable[str] = ()) -> None:
        try:
            self._networks = [ipaddress.ip_network(text, strict=False) for text in trusted]
        except ValueError as error:
            raise ConfigError(f"server.proxies: {error}", "addresses or networks such as 10.0.0.0/8") from None

    def address(self, scope: Scope) -> str:
        """The address of the client; empty where the connection has none."""
        client = scope.get("client")
        address: str = client[0] if client else ""
        if not self._networks or not self._trusts(address):
            return address
        hops = [hop.strip() for line in Headers(scope=scope).getlist("x-forwarded-for") for hop in line.split(",")]
        for hop in reversed(hops[-HOPS_MAX:]):
            found = _without_port(hop)
            if found is None:
                break
            address = found
            if not self._trusts(address):
                break
        return address

    def _trusts(self, address: str) -> bool:
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
            found = found.ipv4_mapped
        return any(found in network for network in self._networks)


def _without_port(hop: str) -> str | None:
    """The address of a hop; None when it is none."""
    host = hop.partition("]")[0].removeprefix("[") if hop.startswith("[") else hop.partition(":")[0] if hop.count(":") == 1 else hop
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return None
