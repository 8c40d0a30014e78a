"""What a client does when the other side does not do what it should: time limits, repetition, lies, gaps, and secrets."""

import contextlib
import gzip
import json
import socket
import ssl
import threading
import time

import pytest
from websockets.sync.server import serve

import openbell
from openbell.client.address import Platform
from openbell.errors import (
    BrokerError,
    BusError,
    CodeNeededError,
    NotSignedInError,
    OpenbellError,
    OrderInDoubtError,
    StepUpError,
    ThrottledError,
    UnreachableError,
    UsageError,
)
from openbell.services.processes.fleet import free_port

KEY = "obk_2f2b23125da0f31d_canary"
ORDER = {
    "id": "1", "symbol": "A", "strategy": "s", "side": "buy", "type": "market", "time_in_force": "gtc", "status": "filled", "quantity": 1.0,
    "filled": 1.0, "limit_price": None, "stop_price": None, "average_price": 2.0, "reason": None, "ts": 3,
}  # fmt: skip
HANG, DROP = "hang", "drop"


def answer(status=200, body=None, **headers):
    """An HTTP answer as bytes."""
    content = body if isinstance(body, bytes) else json.dumps(body if body is not None else {}).encode()
    named = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n{named}\r\n".encode() + content


def problem(status, detail="no", kind="about:blank", **headers):
    return answer(status, {"type": kind, "title": "T", "status": status, "detail": detail}, **headers)


class Peer:
    """Answers requests on loopback with what it is given, one after the other; the last again and again."""

    def __init__(self, *answers):
        self.answers, self.requests, self.connections = list(answers), [], 0
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listening.getsockname()[1]}"
        self.released = threading.Event()

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.released.set()
        self.listening.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                line, _ = self.listening.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(line,), daemon=True).start()

    def _serve(self, line):
        with line, contextlib.suppress(OSError), line.makefile("rb") as reader:
            while head := b"".join(iter(reader.readline, b"\r\n")):
                lines = head.decode().split("\r\n")
                headers = dict(one.split(": ", 1) for one in lines[1:] if one)
                body = reader.read(int(headers.get("Content-Length", 0)))
                self.requests.append((lines[0], headers, body))
                said = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                if said == HANG:
                    self.released.wait(30)
                if said in (HANG, DROP):
                    return
                line.sendall(said)


def client_of(peer, **options):
    return openbell.Client(peer.url, **{"timeout_s": 0.3 if HANG in peer.answers else 5.0, **options})


def test_an_order_is_sent_again_with_the_same_key():
    """After a lost answer and a 503; and it is one order."""
    with Peer(DROP, problem(503), answer(201, ORDER)) as peer, client_of(peer) as client:
        assert client.submit("A", "buy", 1.0).id == "1"
        keys = {headers["Idempotency-Key"] for _, headers, _ in peer.requests}
        assert len(peer.requests) == 3
        assert len(keys) == 1
        assert len(keys.pop()) == 32


@pytest.mark.parametrize("said", [HANG, DROP, problem(503)])
def test_an_order_without_an_answer_is_in_doubt(said):
    """Not refused, and not unreachable: the error names the key with which it can be sent again."""
    with Peer(said) as peer, client_of(peer, attempts=2) as client:
        with pytest.raises(OrderInDoubtError) as doubt:
            client.submit("A", "buy", 1.0, idempotency_key="mine")
        assert "idempotency_key='mine'" in str(doubt.value)
        assert [headers["Idempotency-Key"] for _, headers, _ in peer.requests] == ["mine", "mine"]


@pytest.mark.parametrize("said", [HANG, DROP, problem(503), problem(429, Retry_After=0)])
def test_what_could_do_something_twice_is_sent_once(said):
    """A cancellation, and what is without a key."""
    with Peer(said) as peer, client_of(peer) as client:
        for act in (lambda: client.cancel("1"), lambda: client.steer("s", "kill"), lambda: client.delete_alert("1")):
            with pytest.raises(OpenbellError):
                act()
        assert len(peer.requests) == 3


def test_reading_is_repeated():
    """After no answer, a broken line and a busy platform."""
    with Peer(HANG, problem(429, Retry_After=0), answer(200, {"orders": [ORDER]})) as peer, client_of(peer) as client:
        assert [order.id for order in client.orders()] == ["1"]
    with Peer(problem(429, "slow down", Retry_After=60)) as peer, client_of(peer) as client:
        with pytest.raises(ThrottledError) as throttled:
            client.orders()
        assert throttled.value.retry_after_s == 60
        assert len(peer.requests) == 1


def test_an_answer_that_drips_has_an_end():
    """The time limit is for all of it."""
    head = b"HTTP/1.1 200 X\r\nContent-Length: 1000\r\n\r\n"

    class Dripping(Peer):
        def _serve(self, line):
            with line, contextlib.suppress(OSError):
                line.recv(10_000)
                line.sendall(head)
                while not self.released.wait(0.05):
                    line.sendall(b" ")

    with Dripping() as peer, client_of(peer, attempts=1, timeout_s=0.3) as client:
        began = time.monotonic()
        with pytest.raises(BrokerError, match="did not answer GET /orders"):
            client.orders()
        assert time.monotonic() - began < 5.0


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (problem(401), NotSignedInError),
        (problem(401, kind="/problems/code-needed"), CodeNeededError),
        (problem(403, kind="/problems/step-up"), StepUpError),
        (problem(422), UsageError),
        (problem(413), UsageError),
        (answer(418, b"<html>"), OpenbellError),
        (answer(302, b"", Location="http://127.0.0.1:1/"), OpenbellError),
        (answer(200, b"<html>not us</html>"), BrokerError),
        (answer(200, {"portfolio": 1}), BrokerError),
        (answer(200, b"no gzip", Content_Encoding="gzip"), BrokerError),
        (b"nonsense\r\n\r\n", BrokerError),
    ],
)
def test_errors_are_those_of_the_tree(said, kind):
    """What the platform says, and what is no platform."""
    with Peer(said) as peer, client_of(peer, attempts=1) as client, pytest.raises(OpenbellError) as error:
        client.portfolio()
    assert type(error.value) is kind or (kind is BrokerError and isinstance(error.value, BrokerError))


def test_what_broke_inside_has_its_id():
    """So that it is found in the log of the platform."""
    said = problem(500, "Something went wrong inside.", X_Request_ID="abc123")
    with Peer(said) as peer, client_of(peer) as client, pytest.raises(OpenbellError, match="abc123"):
        client.portfolio()
    with Peer(problem(503)) as peer, client_of(peer, attempts=1) as client, pytest.raises(BusError):
        client.portfolio()


def test_an_unhealthy_platform_says_so():
    """That is an answer, and no error."""
    health = {"status": "unhealthy", "timestamp": "2026-01-31T10:30:00Z", "version": "1", "checks": {"database": {"status": "unhealthy"}}}
    with Peer(answer(503, health)) as peer, client_of(peer) as client:
        assert client.health().checks["database"].status == "unhealthy"
        assert len(peer.requests) == 1


def test_a_bomb_is_not_unpacked(monkeypatch):
    """However small it is on the line."""
    monkeypatch.setattr("openbell.client.transport.ANSWER_MAX", 1 << 20)
    bomb = gzip.compress(b" " * (1 << 22))
    with Peer(answer(200, bomb, Content_Encoding="gzip")) as peer, client_of(peer) as client, pytest.raises(BrokerError, match="too large"):
        client.portfolio()


def test_a_line_is_used_again():
    """One connection for requests that follow one another; what must not be sent twice has one of its own."""
    with Peer(answer(200, {"orders": []})) as peer, client_of(peer) as client:
        for _ in range(5):
            client.orders()
        assert peer.connections == 1
        with contextlib.suppress(OpenbellError):
            client.cancel("1")
        assert peer.connections == 2


def test_names_are_quoted():
    """A symbol or an id is no path."""
    with Peer(answer(200, ORDER)) as peer, client_of(peer) as client:
        for hostile in ("../admin", "a b?c=d#e", "BTC/USD\r\nX-Evil: 1"):
            client.cancel(hostile)
        paths = [line.split(" ")[1] for line, _, _ in peer.requests]
        assert paths == ["/orders/..%2Fadmin", "/orders/a%20b%3Fc%3Dd%23e", "/orders/BTC%2FUSD%0D%0AX-Evil%3A%201"]


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("127.0.0.1:8081", ""), ("ftp://a", ""), ("http://", ""), ("http://a/path", ""), ("http://a:99999", ""), ("http://a?x=1", ""),
        (f"http://user:{KEY}@127.0.0.1", ""), ("http://trading.example.com", KEY), ("http://10.0.0.8:8081", KEY),
        ("https://a", f"{KEY}\r\nX: 1"), ("https://a", f"{KEY}é"),
    ],
)  # fmt: skip
def test_an_address_or_a_key_that_makes_no_sense(url, key, monkeypatch):
    """Is refused before anything is sent, and the error does not repeat a secret. A key goes over a network with TLS only."""
    monkeypatch.delenv("OPENBELL_API_KEY", raising=False)
    with pytest.raises(UsageError) as error:
        openbell.Client(url, key=key)
    assert "canary" not in str(error.value)


def test_a_key_is_in_no_text():
    """Neither of the client nor of its parts."""
    client = openbell.Client("https://trading.example.com", key=KEY)
    stream = client.stream(["prices"])
    assert repr(client) == "Client('https://trading.example.com:443', key=***)"
    assert all("canary" not in repr(part) for part in (client, client._platform, client._transport, stream))
    assert (Platform("https://[::1]:9", "").url, Platform("http://localhost", KEY).stream_url) == (
        "https://[::1]:9",
        "ws://localhost:80/ws",
    )
    assert client._platform.tls.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert client._platform.tls.verify_mode is ssl.CERT_REQUIRED


def message(channel, seq, data, **more):
    return json.dumps({"channel": channel, "seq": seq, "data": data, **more})


SNAPSHOT = {"run": "r", "symbols": [], "timeframes": [], "portfolio": dict.fromkeys(
    ("cash", "equity", "initial_cash", "realised_pnl", "unrealised_pnl", "fees", "ts"), 0) | {"currency": "USD", "positions": []},
    "strategies": [], "services": [], "orders": [], "fills": [], "prices": {}}  # fmt: skip


@contextlib.contextmanager
def streaming(*lines):
    """A stream whose server says on each connection what one of the `lines` is: messages, and a (code, reason) that ends it."""
    left, subscribed = list(lines), []

    def handle(line):
        subscribed.append(json.loads(line.recv()))
        said = left.pop(0)
        for one in said:
            if isinstance(one, tuple):
                line.close(*one)
                return
            line.send(one)
        with contextlib.suppress(Exception):
            line.recv()

    with serve(handle, "127.0.0.1", 0, close_timeout=0.1) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.socket.getsockname()[1]}"
        with openbell.Client(url) as client, client.stream(["equity"], ["A"], patience_s=5.0) as stream:
            yield stream, subscribed
        server.shutdown()


@pytest.mark.parametrize("is_newer", [True, False])
def test_a_missing_message_begins_anew(is_newer):
    """Whether the platform says which message was before or not: the one behind the gap is not shown, a snapshot is."""

    def equity(seq, prev):
        return message("equity", seq, [seq, 1.0], **({"prev": prev} if is_newer else {}))

    step = 10 if is_newer else 1  # numbers are of a group, and grow by more than one where a message was for others
    first = [message("snapshot", 5, SNAPSHOT), equity(5 + step, 5), equity(5 + 3 * step, 5 + 2 * step)]
    second = [message("snapshot", 70, SNAPSHOT), equity(70 + step, 70)]
    with streaming(first, second) as (stream, subscribed):
        found = [(one.channel, one.seq) for one in (next(stream) for _ in range(4))]
        assert found == [("snapshot", 5), ("equity", 5 + step), ("snapshot", 70), ("equity", 70 + step)]
        assert (stream.connected, stream.gaps) == (2, 1)
        assert subscribed == [{"op": "subscribe", "channels": ["equity"], "symbols": ["A"]}] * 2


def test_a_line_that_ends_is_opened_again():
    """Also when the platform says that it is too slow, or stops."""
    lines = [[message("snapshot", 0, SNAPSHOT), ending] for ending in ((1013, "too slow"), (1001, ""), (1011, "inside"))]
    with streaming(*lines, [message("snapshot", 9, SNAPSHOT)]) as (stream, _):
        assert [next(stream).seq for _ in range(4)] == [0, 0, 0, 9]
        assert stream.connected == 4


@pytest.mark.parametrize(("reason", "kind"), [("signed out", NotSignedInError), ("there is no channel", UsageError)])
def test_who_is_sent_away_does_not_come_again(reason, kind):
    """It would end the same way."""
    with streaming([message("snapshot", 0, SNAPSHOT), (1008, reason)]) as (stream, _):
        next(stream)
        with pytest.raises(kind, match=reason):
            next(stream)
        with pytest.raises(StopIteration):
            next(stream)


def test_what_is_no_message(tmp_path):
    """There is something else at the address."""
    with streaming(["<html>"]) as (stream, _), pytest.raises(BrokerError):
        next(stream)
    with streaming([message("snapshot", 0, SNAPSHOT), message("of the future", 1, {"a": 1})]) as (stream, _):
        next(stream)
        assert next(stream).data == {"a": 1}


def test_patience_has_an_end():
    """When the platform does not come back in time."""
    with streaming([message("snapshot", 0, SNAPSHOT), (1001, "")]) as (stream, _):
        stream._patience_s = 0.5
        next(stream)
        stream._platform.port = free_port()
        with pytest.raises(UnreachableError):
            next(stream)
