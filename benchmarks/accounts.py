"""Accounts: who a token is of, as every request asks; and signing in, by users that there are and by names that there are not.

SQLite, and PostgreSQL where a server is named. A look-up goes to the database each time, so that what is revoked is revoked at once. The
rows of signing in are there for their difference: a name that nobody has takes as long to refuse as a wrong password.
"""

import asyncio
import contextlib
import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.load import servers

USERS = 200
SECONDS = 2.0
SIGN_INS = 60
REPEATS = 3
PASSWORD = "quiet otter under glass"


def main():
    """Print a line of JSON for each case."""
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure("SQLite", Path(folder) / "platform.db"))
    known = servers.environment()
    if not known:
        print("PostgreSQL is left out: no server is named", file=sys.stderr)
        return
    from openbell.adapters.stores.database import Address

    found = servers.settings("postgres")
    with servers.fresh_database(found) as name:
        at = found.database
        asyncio.run(measure("PostgreSQL", Address(at.host, at.port, at.user, at.password, name)))


async def measure(engine, place):
    """Every case with one database."""
    import structlog

    from openbell.adapters.sealing import Sealer
    from openbell.adapters.stores.database import open_database
    from openbell.services.accounts.accounts import Accounts

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    accounts = Accounts(open_database(place), lambda: Sealer(b"k" * 32))
    tokens, keys = await fill(accounts)
    for text, tasks in (("one by one", 1), ("16 at a time", 16)):
        await look_ups(f"{engine}, session, {text}", accounts.by_session, tokens, tasks)
        await look_ups(f"{engine}, API key, {text}", accounts.by_key, keys, tasks)
    await sign_ins(engine, accounts)
    await accounts.close()


async def fill(accounts):
    """Users, each with a session and a key; their passwords are one and the same hash."""
    from openbell.services.accounts.callers import LOCAL, Caller

    hash, books = await accounts._hasher.hash(PASSWORD), accounts._books
    tokens, keys = [], []
    for number in range(USERS):
        user, _ = await accounts.people.add(LOCAL, f"user{number}", "trader")
        await books.run(books.users.set_password, user.id, hash, books.entry(LOCAL, "password"))
        caller = Caller(user.id, user.name, "trader", frozenset({"read", "trade"}), "session", True)
        keys.append((await accounts.keys.create(caller, "bot", frozenset({"read"}))).key)
        if number < 20:
            tokens.append((await accounts.sign_in(user.name, PASSWORD, address=f"10.0.0.{number}"))[0])
    return tokens, keys


async def look_ups(case, ask, tokens, tasks):
    """Ask for so long, and print the best of some runs."""
    runs = []
    for _ in range(REPEATS):
        taken, until = [], time.monotonic() + SECONDS

        async def client(number, taken=taken, until=until):
            while time.monotonic() < until:
                began = time.perf_counter()
                await ask(tokens[number % len(tokens)])
                taken.append(time.perf_counter() - began)
                number += tasks

        cpu, wall = time.process_time(), time.monotonic()
        await asyncio.gather(*map(client, range(tasks)))
        runs.append((len(taken), time.monotonic() - wall, time.process_time() - cpu, taken))
    count, wall, cpu, taken = max(runs, key=lambda run: run[0] / run[1])
    row("ACCOUNTS look-up", case, count, wall, taken, cpu_ns={"process": cpu / count * 1e9})


async def sign_ins(engine, accounts):
    """Wrong passwords of users and of nobody, in turn, and right ones."""
    kinds = {"a wrong password": [], "a name of nobody": [], "right": []}
    for number in range(SIGN_INS):
        for kind in random.Random(number).sample(list(kinds), 3):
            name = f"user{number + 20}" if kind != "a name of nobody" else f"nobody{number}"
            address = f"10.{list(kinds).index(kind)}.{number // 250}.{number % 250}"
            began = time.perf_counter()
            with contextlib.suppress(Exception):
                await accounts.sign_in(name, PASSWORD if kind == "right" else "wrong password", address=address)
            kinds[kind].append(time.perf_counter() - began)
    for kind, taken in kinds.items():
        row("ACCOUNTS sign-in", f"{engine}, {kind}", len(taken), sum(taken), taken)


def row(job, case, work, wall, taken, **facts):
    """One line."""
    ordered = sorted(taken)
    latency = {f"latency_p{q}_us": ordered[len(ordered) * q // 100] * 1e6 for q in (50, 99)}
    told = {"job": job, "competitor": "openbell", "case": case, "work": work, "per_s": work / wall, "wall_s": wall, **latency}
    print(json.dumps(told | {"load": os.getloadavg()[0]} | facts), flush=True)


if __name__ == "__main__":
    main()
