"""A venue in a process of its own that loses answers, resets connections, hangs, refuses and goes away; its ledger is the oracle.

`python -m tests.simulation.venue FOLDER SEED` listens on a free port, writes it to FOLDER/port, and every acceptance, second submission,
fill, cancellation and refusal to FOLDER/ledger.jsonl, one line each, before anybody hears of it.

Requests and answers are lines of JSON, one request a connection; `listen` turns a connection into a stream of reports. What becomes of a
submission or a cancellation is drawn from the seed:

    fine     done, and answered
    hang     done, and never answered
    reset    done, and the connection is reset
    late     the connection is reset, and it is done a little later; until then the venue does not know it
    drop     the connection is reset, and it is never done
    refuse   not done, for certain
    away     done and answered, and then nobody is let in for a while
"""

import asyncio
import contextlib
import json
import os
import random
import socket
import struct
import sys
from pathlib import Path

#: Trouble and how often it comes, in percent; the rest is fine.
SHARES = {"hang": 4, "reset": 5, "late": 5, "drop": 5, "refuse": 3, "away": 2}
LATE_S = 0.15
AWAY_S = 0.2
PRICE = 100.0
RESET = struct.pack("ii", 1, 0)


class Book:
    """The orders of the venue. A market order fills at once, in one part or two; a limit order rests, some with a part filled."""

    def __init__(self, write, tell):
        self.orders = {}
        self.write, self.tell = write, tell

    def submit(self, order):
        """Returns the report, or why it is refused."""
        id = order["id"]
        if id in self.orders:
            self.write(what="again", id=id)
            return "this client order id was used before"
        self.orders[id] = {"lots": order["lots"], "filled": 0, "status": "accepted", "fills": [], "type": order["type"]}
        self.write(what="accepted", id=id, lots=order["lots"])
        if order["type"] == "market":
            first = order["lots"] // 2
            for lots in (first, order["lots"] - first) if order["lots"] % 2 else (order["lots"],):
                self.fill(id, lots)
        elif order["lots"] % 3 == 0:
            self.fill(id, 1)
        return None

    def fill(self, id, lots):
        """Trade some of an order."""
        if not lots:
            return
        order = self.orders[id]
        order["filled"] += lots
        order["status"] = "filled" if order["filled"] == order["lots"] else "partially_filled"
        fill = {"id": id, "status": order["status"], "execution": f"{id}/{len(order['fills']) + 1}", "lots": lots, "price": PRICE}
        self.write(what="fill", **fill)
        order["fills"].append(fill)
        self.tell(fill)

    def modify(self, order):
        """Change the quantity; returns why not."""
        known = self.orders.get(order["id"])
        if known is None or known["status"] in ("filled", "canceled") or order["lots"] <= known["filled"]:
            return "no open order that can be changed so"
        known["lots"] = order["lots"]
        self.write(what="modified", id=order["id"], lots=order["lots"])
        return None

    def cancel(self, order):
        """End an order; returns why not."""
        known = self.orders.get(order["id"])
        if known is None or known["status"] in ("filled", "canceled"):
            return "no open order with this id"
        known["status"] = "canceled"
        self.write(what="canceled", id=order["id"])
        self.tell({"id": order["id"], "status": "canceled", "filled": known["filled"]})
        return None

    def report(self, id):
        """How an order stands, with its fills; None when there is none."""
        known = self.orders.get(id)
        return known and {"id": id, "status": known["status"], "filled": known["filled"], "fills": known["fills"]}


class Venue:
    """The book behind a socket."""

    def __init__(self, folder, seed):
        self.folder = folder
        self.draw = random.Random(seed)
        self.ledger = os.open(folder / "ledger.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.listeners = set()
        self.book = Book(self.write, self.tell)
        self.server = self.leaving = None
        self.is_away = False
        self.port = 0

    def write(self, **line):
        os.write(self.ledger, json.dumps(line).encode() + b"\n")

    def tell(self, report):
        for writer in self.listeners:
            if not writer.is_closing():
                writer.write(json.dumps(report).encode() + b"\n")

    async def run(self):
        await self.open()
        (self.folder / "port.new").write_text(str(self.port))
        (self.folder / "port.new").rename(self.folder / "port")
        await asyncio.Event().wait()

    async def open(self):
        """Listen where clients do not get their own ports: one that tries to connect while nobody listens could meet itself."""
        while True:
            port = self.port or random.randrange(20_000, 32_000)
            try:
                self.server = await asyncio.start_server(self.serve, "127.0.0.1", port, reuse_address=True)
            except OSError:
                await asyncio.sleep(0.01)
            else:
                self.port = port
                return

    async def go_away(self):
        self.server.close()
        for writer in tuple(self.listeners):
            reset(writer)
        await asyncio.sleep(AWAY_S)
        await self.open()
        self.is_away = False

    async def serve(self, reader, writer):
        with contextlib.suppress(OSError):
            line = await reader.readline()
            if line:
                await self.answer(json.loads(line), reader, writer)
        self.listeners.discard(writer)
        writer.close()

    async def answer(self, request, reader, writer):
        op = request["op"]
        if op == "listen":
            self.listeners.add(writer)
            writer.write(b"{}\n")
            await reader.read()
        elif op == "query":
            trouble = "fine" if self.draw.random() > 0.1 else "drop"
            if trouble == "drop":
                reset(writer)
            else:
                writer.write(json.dumps({"found": self.book.report(request["id"])}).encode() + b"\n")
                await writer.drain()
        else:
            await self.troubled(getattr(self.book, op), request, writer)

    async def troubled(self, work, request, writer):
        trouble = self.drawn()
        if trouble == "refuse" and request["op"] == "submit" and request["id"] not in self.book.orders:
            self.write(what="refused", id=request["id"])
            self.book.orders[request["id"]] = {"lots": 0, "filled": 0, "status": "rejected", "fills": [], "type": ""}
            writer.write(json.dumps({"refused": "not today"}).encode() + b"\n")
        elif trouble == "drop":
            reset(writer)
        elif trouble == "late":
            reset(writer)
            await asyncio.sleep(LATE_S)
            work(request)
        else:
            refused = work(request)
            if trouble == "hang":
                await asyncio.sleep(5.0)
            elif trouble == "reset":
                reset(writer)
            else:
                found = self.book.report(request["id"])
                writer.write(json.dumps({"refused": refused} if refused else {"found": found}).encode() + b"\n")
                await writer.drain()
                if trouble == "away" and not self.is_away:
                    self.is_away = True
                    self.leaving = asyncio.create_task(self.go_away())

    def drawn(self):
        number = self.draw.uniform(0, 100)
        for trouble, share in SHARES.items():
            number -= share
            if number < 0:
                return trouble
        return "fine"


def reset(writer):
    """As a host that crashed."""
    connection = writer.get_extra_info("socket")
    if connection is not None and connection.fileno() >= 0:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()


def ledger(folder):
    """What the venue wrote, in order."""
    return [json.loads(line) for line in (folder / "ledger.jsonl").read_text().splitlines()]


if __name__ == "__main__":
    asyncio.run(Venue(Path(sys.argv[1]), int(sys.argv[2])).run())
