"""The client of a platform: everything that the API can do, as methods of one object."""

import os
from collections.abc import Iterable
from typing import Self

from openbell.client.address import Platform
from openbell.client.alerts import Alerts
from openbell.client.asking import decoded
from openbell.client.market import Market
from openbell.client.stream import PATIENCE_S, Stream
from openbell.client.trading import Trading
from openbell.client.transport import Transport
from openbell.errors import UsageError
from openbell.services.gateway.account_records import Keys, KeyView, WhoView
from openbell.services.views import Health, Services, ServiceView

#: Where a platform is by default.
URL = "http://127.0.0.1:8081"


class Client(Market, Trading, Alerts):
    """Asks the platform at `url` with an API key; safe for several threads.

    Parameters
    ----------
    url
        By default `$OPENBELL_API_URL`, else http://127.0.0.1:8081.
    key
        By default `$OPENBELL_API_KEY`. Without one the client asks as nobody, which is enough where nobody signs in. A key is in no text of
        the client, and goes over a network with TLS only.
    timeout_s
        Seconds for one attempt.
    attempts
        How often something is asked, where that does nothing twice: reading, orders and alerts.
    ca_file
        Certificates to believe besides those of the system, such as one that the platform signed itself.

    What goes wrong is an OpenbellError: NotSignedInError, ForbiddenError, UnknownNameError, UsageError and ThrottledError as the platform
    says, BusError when a part of it is not there, UnreachableError when it was not reached at all, BrokerError when it did not answer.

    >>> Client("https://trading.example.com", key="obk_2f2b23125da0f31d_secret")
    Client('https://trading.example.com:443', key=***)
    """

    def __init__(self, url: str = "", *, key: str = "", timeout_s: float = 10.0, attempts: int = 3, ca_file: str = "") -> None:
        if not timeout_s > 0.0 or attempts < 1:
            raise UsageError(f"timeout_s is {timeout_s:g} and attempts is {attempts}", "a time above 0, and 1 or more attempts")
        given = key or os.environ.get("OPENBELL_API_KEY", "")
        self._platform = Platform(url or os.environ.get("OPENBELL_API_URL") or URL, given.strip(), ca_file)
        super().__init__(Transport(self._platform, timeout_s, attempts))
        self._timeout_s = timeout_s

    def health(self) -> Health:
        """Whether the platform works: `status` is healthy or unhealthy, `checks` say of what."""
        return decoded(self._transport.ask("GET", "/health", good=503), Health)

    def who(self) -> WhoView:
        """Who asks, and what she may do."""
        return self._get("/auth/session", WhoView)

    def services(self) -> list[ServiceView]:
        """How every service stands."""
        return self._get("/services", Services).services

    def api_keys(self, *, user: str = "", limit: int = 100) -> list[KeyView]:
        """API keys without their secrets, oldest first. Making and revoking them needs a person, or `openbell keys`."""
        return self._pages("/keys", Keys, lambda page: page.keys, limit, 1_000, user=user)

    def stream(self, channels: Iterable[str], symbols: Iterable[str] | None = None, *, patience_s: float = PATIENCE_S) -> Stream:
        """What happens, as it happens: an iterator of messages, the first a snapshot. `symbols` None: all.

        When the line is lost it connects again and begins with another snapshot; UnreachableError when that fails for `patience_s`.
        """
        return Stream(self._platform, tuple(channels), None if symbols is None else tuple(symbols), self._timeout_s, patience_s)

    def close(self) -> None:
        """Let go of the connections."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return repr(self._platform).replace("Platform", "Client", 1)
