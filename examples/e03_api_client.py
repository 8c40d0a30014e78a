"""The API by `openbell.Client`: candles into a backtest, an order that is placed once, an alert, and the live stream.

    python examples/e03_api_client.py

Starts a demo of its own on a free port, or with `OPENBELL_API_URL` (and `OPENBELL_API_KEY`) asks a platform that runs; prints what it
finds, and fails if it is not what it should be. On a platform of yours it places a small order.
"""

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

import openbell
from openbell.errors import OpenbellError


@contextlib.contextmanager
def platform() -> Iterator[str]:
    """The address of a platform that is healthy."""
    if os.environ.get("OPENBELL_API_URL"):
        yield os.environ["OPENBELL_API_URL"]
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "openbell", "demo", "--feed", "simulated", "--speed", "10", "--port", str(port)]
    with tempfile.TemporaryDirectory() as folder:
        demo = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            demo.terminate()
            demo.wait(20)


def wait_for(client: openbell.Client) -> None:
    """Until the platform says that it is healthy; the first start compiles the kernel."""
    deadline = time.monotonic() + 90
    while True:
        with contextlib.suppress(OpenbellError):
            if client.health().status == "healthy":
                return
        assert time.monotonic() < deadline, "it did not become healthy"
        time.sleep(0.2)


with platform() as url, openbell.Client(url) as client:
    wait_for(client)
    me = client.who()
    print(f"{me.name} may {', '.join(me.permissions)}")

    # The stream begins with how everything stands, and goes on with what is new.
    with client.stream(["prices", "candles", "fills"], ["BTCUSDT"]) as stream:
        snapshot = next(stream).data
        print(f"run {snapshot.run}: {', '.join(snapshot.symbols)}")

        # The same key is the same order, however often it is sent.
        key = f"example-{time.time_ns()}"
        order = client.submit("BTCUSDT", "buy", 0.01, idempotency_key=key)
        assert client.submit("BTCUSDT", "buy", 0.01, idempotency_key=key).id == order.id
        print(f"order {order.id}: {order.status}")

        closed = 0
        for message in stream:
            if message.channel == "fills" and message.data.order_id == order.id:
                print(f"filled at {message.data.price:,.2f}")
            closed += message.channel == "candles" and message.data.complete
            if closed >= 3:
                break

    alert = client.create_alert("BTCUSDT", "above", 1.0, note="example")
    deadline = time.monotonic() + 30
    while not (came := [event for event in client.alert_events(symbol="BTCUSDT").events if event.id == alert.id]):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    print(f"alert {alert.id} came at {came[0].triggered_price:,.2f}")

    # Closed candles are a frame as `openbell.backtest` takes it.
    timeframe = snapshot.timeframes[0]
    while (frame := client.frame("BTCUSDT", timeframe, limit=200)).height < 2:
        time.sleep(0.5)
    result = openbell.backtest("moving_avg_crossover", frame, params={"short_period": 3, "long_period": 8}, bar_timeframe=timeframe)
    print(f"{frame.height} candles of {timeframe}: {result.counts['orders']} orders in a backtest")

    portfolio = client.portfolio()
    print(f"equity {portfolio.equity:,.2f} {portfolio.currency}")
    assert {position.symbol for position in portfolio.positions} >= {"BTCUSDT"}
    assert order.id in {one.id for one in client.orders(limit=500)}

try:
    client.health()
except OpenbellError as error:
    print(f"and when it has ended: {type(error).__name__}")
