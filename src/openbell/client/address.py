"""Where a platform is, and who asks it: the address and the API key of a client, checked once."""

import ipaddress
import re
import ssl
from urllib.parse import urlsplit

from openbell.errors import UsageError

#: What an API key is made of.
_KEY = re.compile(r"[\x21-\x7e]{1,200}")


class Platform:
    """The gateway of a platform at `url`, asked with `key` ("": as nobody, where nobody signs in). Its text has no key.

    `ca_file` holds the certificates to believe besides those of the system. UsageError for an address that is none, and for a key that
    would go over a network for everybody on the way to read.
    """

    def __init__(self, url: str, key: str = "", ca_file: str = "") -> None:
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError:
            port = 0
        if parts.scheme not in ("http", "https") or not parts.hostname or port == 0 or parts.path not in ("", "/") or parts.query:
            raise UsageError("the address of the platform is none", "one such as http://127.0.0.1:8081, without a path")
        if parts.username is not None or parts.password is not None:
            raise UsageError("the address of the platform holds a name or a password", "an address alone", "give an API key")
        if key and not _KEY.fullmatch(key):
            raise UsageError("the API key holds what no key holds", "a key such as obk_...", "copy it again")
        self.host, self.is_safe = parts.hostname, parts.scheme == "https"
        self.port = port or (443 if self.is_safe else 80)
        if key and not self.is_safe and not _is_loopback(self.host):
            raise UsageError(
                f"the API key would go to {self.host} for everybody on the way to read", "https",
                "use the address of the platform with TLS, or an SSH tunnel to it",
            )  # fmt: skip
        self.tls = ssl.create_default_context() if self.is_safe else None
        if self.tls is not None and ca_file:
            try:
                self.tls.load_verify_locations(ca_file)
            except (OSError, ssl.SSLError) as error:
                reason = getattr(error, "strerror", None) or type(error).__name__
                raise UsageError(f"the certificates of {ca_file} cannot be used ({reason})", "a file of certificates, PEM") from None
        self._key = key

    @property
    def url(self) -> str:
        """The address as it stands in texts."""
        return f"{'https' if self.is_safe else 'http'}://{self._place}"

    @property
    def stream_url(self) -> str:
        """The address of the live stream."""
        return f"{'wss' if self.is_safe else 'ws'}://{self._place}/ws"

    @property
    def headers(self) -> dict[str, str]:
        """What says who asks. It is secret."""
        return {"Authorization": f"Bearer {self._key}"} if self._key else {}

    @property
    def _place(self) -> str:
        return f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    def __repr__(self) -> str:
        return f"Platform({self.url!r}{', key=***' if self._key else ''})"


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
