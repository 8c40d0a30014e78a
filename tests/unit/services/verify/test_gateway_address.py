"""Where the gateway is, as a user names it."""

import pytest

from openbell.config import ServerSettings
from openbell.errors import UsageError
from openbell.services.processes.fleet import free_port
from openbell.services.verify.gateway import GatewayAddress, Stream


@pytest.mark.parametrize(
    ("url", "shown", "stream"),
    [
        ("http://127.0.0.1:8081", "http://127.0.0.1:8081", "ws://127.0.0.1:8081/ws"),
        ("http://localhost", "http://localhost:80", "ws://localhost:80/ws"),
        ("https://trading.example/", "https://trading.example:443", "wss://trading.example:443/ws"),
        ("http://[::1]:8081", "http://[::1]:8081", "ws://[::1]:8081/ws"),
    ],
)
def test_addresses(url, shown, stream):
    """The port of the scheme where none is named; IPv6 in brackets."""
    address = GatewayAddress(url)
    assert (str(address), address.stream) == (shown, stream)


@pytest.mark.parametrize("url", ["127.0.0.1:8081", "ftp://x", "http://", "http://x:99999", "http://x/page", "http://me:pw-7@x/page", ""])
def test_what_is_no_address(url):
    """It is said without a user or a password that may be in it."""
    with pytest.raises(UsageError) as raised:
        GatewayAddress(url)
    assert "pw-7" not in str(raised.value)


def test_a_password_in_an_address_is_refused():
    """Nothing of it is shown."""
    with pytest.raises(UsageError, match="host and port only") as raised:
        GatewayAddress("http://me:pw-7@127.0.0.1:8081")
    assert "pw-7" not in str(raised.value)


def test_where_the_settings_have_it_listen():
    """Every address of a machine is reached over its loopback."""
    assert str(GatewayAddress.of(ServerSettings(host="0.0.0.0", port=9000))) == "http://127.0.0.1:9000"
    assert str(GatewayAddress.of(ServerSettings(host="::1", port=9000))) == "http://[::1]:9000"


async def test_nobody_listens():
    """Both ways to the gateway say so, with what to start."""
    address = GatewayAddress(f"http://127.0.0.1:{free_port()}")
    stream = Stream(address)
    await stream.open(["prices"], "AAPL")
    for asking in (address.get("/health"), anext(stream.messages())):
        with pytest.raises(Exception, match=f"nobody listens on {address}.*openbell serve gateway"):
            await asking
    await stream.close()
