"""The proxy that makes a network fail does what it says."""

import socket
import threading
import time

import pytest

from tests.running import until
from tests.simulation.proxy import Proxy


class Echo:
    """A server that sends back what it gets."""

    def __enter__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.got = b""
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *error):
        self.listener.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection:
            try:
                while data := connection.recv(65536):
                    self.got += data
                    connection.sendall(data)
            except OSError:
                return


@pytest.fixture
def echo():
    with Echo() as server:
        yield server


@pytest.fixture
def proxy(echo):
    with Proxy("127.0.0.1", echo.port) as made:
        yield made


def client(proxy):
    made = socket.create_connection((proxy.host, proxy.port), timeout=5)
    made.settimeout(5)
    return made


def exchange(connection, data):
    """Send, and read as much back."""
    connection.sendall(data)
    back = b""
    while len(back) < len(data):
        piece = connection.recv(65536)
        assert piece, "the connection ended"
        back += piece
    return back


def test_everything_goes_through(proxy):
    """Bytes come back as they were, over several connections at once."""
    with client(proxy) as first, client(proxy) as second:
        assert exchange(first, b"a" * 300_000) == b"a" * 300_000
        assert exchange(second, b"b") == b"b"
    assert proxy.connections == 2
    until(lambda: proxy.bytes == 2 * 300_001, what="every byte counted")


def test_a_stall_holds_back_and_resume_delivers(proxy, echo):
    """Nothing arrives while stalled, the connection stays open, and nothing is missing afterwards."""
    with client(proxy) as connection:
        assert exchange(connection, b"1") == b"1"
        assert proxy.disturbed == 0
        proxy.stall()
        connection.sendall(b"2")
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        assert echo.got == b"1"
        assert proxy.disturbed == 1
        proxy.resume()
        connection.settimeout(5)
        assert connection.recv(1) == b"2"


def test_answers_can_be_held_back_alone(proxy, echo):
    """The server gets what was sent, the client does not hear of it."""
    with client(proxy) as connection:
        proxy.stall("answers")
        connection.sendall(b"x")
        until(lambda: echo.got == b"x", what="the request")
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        proxy.resume()
        connection.settimeout(5)
        assert connection.recv(1) == b"x"


def test_a_bad_line_is_late_and_loses_nothing(proxy):
    """Everything arrives in order, each way the delay later; afterwards at once again."""
    with client(proxy) as connection:
        proxy.slow(0.2)
        began = time.monotonic()
        assert exchange(connection, b"x") == b"x"
        assert time.monotonic() - began >= 0.4
        assert proxy.disturbed == 2
        proxy.resume()
        assert exchange(connection, b"y" * 200_000) == b"y" * 200_000
        assert proxy.disturbed == 2


def test_a_cut_resets_and_keeps_resetting(proxy):
    """Open and new connections are reset until resume; then new ones work."""
    with client(proxy) as connection:
        assert exchange(connection, b"1") == b"1"
        proxy.cut()
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
    with pytest.raises(ConnectionResetError), client(proxy) as connection:  # the reset may be quicker than the connection
        connection.recv(1)
    assert proxy.disturbed == 2
    proxy.resume()
    with client(proxy) as connection:
        assert exchange(connection, b"2") == b"2"
