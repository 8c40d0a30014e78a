"""A broker for the venue of the simulation: a connection a request, and what its failures mean."""

import asyncio
import contextlib
import json
from pathlib import Path

from openbell.adapters.brokers.base import Found, Report
from openbell.errors import BrokerError, OrderInDoubtError, OrderRefusedError, UnreachableError

#: An answer takes a millisecond; what hangs is given up.
ANSWER_S = 0.25


class VenueBroker:
    """See `openbell.adapters.brokers.base` for the contract. The port is read from the venue's folder."""

    name = "simulation"
    settle_s = 0.5  # more than an order is late

    def __init__(self, folder):
        self.folder = Path(folder)
        self.is_closed = False

    async def submit(self, order):
        return report_of(await self.ask("submit", order))

    async def modify(self, order):
        return report_of(await self.ask("modify", order))

    async def cancel(self, order):
        return report_of(await self.ask("cancel", order))

    async def query(self, order):
        found = await self.ask("query", order)
        return found and Found(report_of(found), tuple(map(report_of, found["fills"])))

    def resume(self, order, fills):
        pass

    async def close(self):
        self.is_closed = True

    async def executions(self):
        reader, writer = await self.connect()
        try:
            await self.write(writer, {"op": "listen"})
            while line := await reader.readline():
                report = json.loads(line)
                yield (report_of(report),) if report else ()
        except OSError as error:
            raise UnreachableError(f"the stream broke: {error}") from None
        finally:
            writer.close()
        raise UnreachableError("the stream ended")

    async def connect(self):
        try:
            return await asyncio.open_connection("127.0.0.1", int((self.folder / "port").read_text()))
        except OSError as error:
            raise UnreachableError(f"the venue does not let us in: {error}") from None

    async def write(self, writer, request):
        writer.write(json.dumps(request).encode() + b"\n")
        await writer.drain()

    async def ask(self, op, order):
        reader, writer = await self.connect()
        try:
            async with asyncio.timeout(ANSWER_S):
                await self.write(writer, {"op": op, "id": order.client_order_id, "lots": order.lots, "type": order.type})
                line = await reader.readline()
            answer = json.loads(line)
        except (OSError, TimeoutError, ValueError) as error:
            raise (BrokerError if op == "query" else OrderInDoubtError)(f"no answer to {op}: {error!r}") from None
        finally:
            with contextlib.suppress(OSError):
                writer.close()
        if answer.get("refused"):
            raise OrderRefusedError(answer["refused"])
        return answer["found"]


def report_of(told):
    """A report of the venue's."""
    return Report(
        told["id"], told["status"], told.get("filled", -1), told.get("execution", ""), told.get("lots", 0), told.get("price", 0.0)
    )
