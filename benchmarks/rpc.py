"""gRPC: what a call costs, and a stream of prices. `python -m benchmarks.rpc`; the server is a process of its own, on uvloop as always."""

import asyncio
import contextlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import grpc.aio
import numpy as np

from openbell.adapters.buses.base import Overflow, Topic
from openbell.adapters.buses.inprocess import InProcessBus
from openbell.adapters.stores.database import open_database
from openbell.cli.platform import loop_factory
from openbell.config import GrpcSettings, Settings
from openbell.observability import Metrics
from openbell.proto.v1 import market_service_pb2 as pb
from openbell.proto.v1 import market_service_pb2_grpc
from openbell.services.accounts.accounts import Accounts
from openbell.services.accounts.callers import LOCAL
from openbell.services.rpc import market
from openbell.services.rpc.callers import Door
from openbell.services.rpc.server import Offered, RpcService
from openbell.services.topics.names import PRICES
from openbell.services.views import Price

SYMBOLS_MAX = 500
CALLS, IN_FLIGHT, STREAM_S = 3_000, 100, 5.0


async def serve(folder: Path, with_keys: bool, beat_s: float, symbols: int) -> None:
    """A server of some symbols, all of whose prices change every 5 ms; with a beat of 0 as often as they are sent."""
    listed = [f"S{number}" for number in range(symbols)]
    market.BEAT_S = beat_s
    bus = InProcessBus()
    bus.declare(Topic(PRICES, Overflow.CONFLATE))
    layer = SimpleNamespace(prices={symbol: Price(100.0, 99.9, 100.1, 1.0, 0) for symbol in listed})

    async def price(symbol: str) -> Price | None:
        return layer.prices.get(symbol)

    names = SimpleNamespace(instruments=dict.fromkeys(listed), symbols=listed, timeframes=("1m",))
    backstage: Any = SimpleNamespace(bus=bus, archive=SimpleNamespace(store=None, speed_layer=layer), names=names, price=price)
    accounts, key = None, "none"
    if with_keys:
        accounts = Accounts(open_database(folder / "bench.db"), lambda: None)  # type: ignore[arg-type, return-value]
        _, token = await accounts.people.add(LOCAL, "ann", "trader")
        await accounts.own.first_password(token, "quiet otter under glass")
        _, caller = await accounts.sign_in("ann", "quiet otter under glass")
        key = (await accounts.keys.create(caller, "bench", frozenset({"read"}))).key
    offered = Offered(
        pb.DESCRIPTOR.services_by_name["MarketDataService"], market_service_pb2_grpc.add_MarketDataServiceServicer_to_server,
        market.MarketDataServicer(backstage),
    )  # fmt: skip
    service = RpcService("addr", Settings(grpc=GrpcSettings(addr="127.0.0.1:0")), Door(accounts), [offered], Metrics(), lambda: True)
    await service.start()
    print(service.port, key, flush=True)
    while True:
        await asyncio.sleep(0.005 if beat_s else 0.0)
        if bus.has_subscribers(PRICES):
            for symbol, known in layer.prices.items():
                known.ts += 1
                bus.publish(PRICES, known, symbol)


@contextlib.contextmanager
def server(with_keys: bool = False, beat_s: float = market.BEAT_S, symbols: int = SYMBOLS_MAX) -> Iterator[tuple[str, Any, int]]:
    """(Address, metadata, process id) of a server."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "benchmarks.rpc", "serve", folder, str(int(with_keys)), str(beat_s), str(symbols)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            line = ""
            while len(line.split()) != 2 or not line.split()[0].isdigit():
                line = process.stdout.readline()
            port, key = line.split()
            yield f"127.0.0.1:{port}", [("authorization", f"Bearer {key}")] if with_keys else [], process.pid
            process.kill()


def cpu_s(pid: int) -> float:
    """Seconds of the processor that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def calls(address: str, metadata: Any, pid: int) -> str:
    """Unary calls: one after the other, and many in flight."""
    async with grpc.aio.insecure_channel(address) as channel:
        ask = market_service_pb2_grpc.MarketDataServiceStub(channel).GetPrice
        request, times = pb.GetPriceRequest(symbol="S7"), []
        for _ in range(CALLS):
            began = time.perf_counter()
            await ask(request, metadata=metadata, timeout=5.0)
            times.append(time.perf_counter() - began)
        p50, p99 = np.percentile(np.array(times[CALLS // 10 :]) * 1e6, (50, 99))

        async def many() -> None:
            for _ in range(CALLS // 10):
                await ask(request, metadata=metadata, timeout=5.0)

        used, own, began = cpu_s(pid), resource.getrusage(resource.RUSAGE_SELF).ru_utime, time.perf_counter()
        await asyncio.gather(*(many() for _ in range(IN_FLIGHT)))
        wall, count = time.perf_counter() - began, IN_FLIGHT * (CALLS // 10)
        server_us = (cpu_s(pid) - used) / count * 1e6
        client_us = (resource.getrusage(resource.RUSAGE_SELF).ru_utime - own) / count * 1e6
    return (
        f"p50 {p50:,.0f} us, p99 {p99:,.0f} us; {IN_FLIGHT} in flight: {count / wall:,.0f} calls/s, "
        f"processor {server_us:,.0f} us a call (client {client_us:,.0f})"
    )


async def stream(address: str, metadata: Any, pid: int, streams: int = 1) -> str:
    """A stream of all prices."""
    async with grpc.aio.insecure_channel(address) as channel:
        stub = market_service_pb2_grpc.MarketDataServiceStub(channel)
        counts = [0, 0]

        async def listen() -> None:
            async for message in stub.StreamPrices(pb.StreamPricesRequest(), metadata=metadata):
                counts[0] += 1
                counts[1] += len(message.prices)

        listening = [asyncio.create_task(listen()) for _ in range(streams)]
        await asyncio.sleep(0.5)
        used, began, before = cpu_s(pid), time.perf_counter(), list(counts)
        await asyncio.sleep(STREAM_S)
        wall, processor = time.perf_counter() - began, cpu_s(pid) - used
        messages, prices = (now - then for now, then in zip(counts, before, strict=True))
        for task in listening:
            task.cancel()
        await asyncio.gather(*listening, return_exceptions=True)
    return f"{messages / wall:,.0f} messages/s, {prices / wall:,.0f} prices/s, processor {processor / prices * 1e6:.2f} us a price"


def main() -> None:
    """Print the figures."""
    for with_keys in (False, True):
        with server(with_keys) as (address, metadata, pid), asyncio.Runner(loop_factory=loop_factory()) as runner:
            print(f"GetPrice {'with a key' if with_keys else 'local'}: {runner.run(calls(address, metadata, pid))}", flush=True)
    for beat_s, symbols, streams in ((market.BEAT_S, 20, 1), (market.BEAT_S, 500, 1), (market.BEAT_S, 500, 16), (0.0, 1, 1), (0.0, 20, 1)):
        with server(beat_s=beat_s, symbols=symbols) as (address, metadata, pid), asyncio.Runner(loop_factory=loop_factory()) as runner:
            told = runner.run(stream(address, metadata, pid, streams))
            print(f"StreamPrices, {symbols} symbols, beat {1000 * beat_s:g} ms, {streams} streams: {told}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        with asyncio.Runner(loop_factory=loop_factory()) as serving:
            serving.run(serve(Path(sys.argv[2]), sys.argv[3] == "1", float(sys.argv[4]), int(sys.argv[5])))
    else:
        main()
