"""Who tells, when several processes might: the one that holds the lease, a row of the table `progress`, moved by compare-and-set.

A lease that is not renewed ends by itself. Two clocks that differ by more than its length could give it to two: then something is told
twice, with the same number, and that is all.
"""

import os
import socket
from uuid import uuid4

import msgspec

from openbell.adapters.stores.database import Database
from openbell.adapters.stores.progress import Progress, move, read_progress
from openbell.errors import FencedError
from openbell.model.time import SECOND

#: How long (seconds) a lease lasts, and how often it is renewed.
LEASE_S = 10.0
RENEW_S = 3.0


class Holder(msgspec.Struct, frozen=True):
    """Who has it, and until when (ns since 1970 UTC)."""

    name: str
    until: int


class Lease:
    """This process's hand on the lease `name`. Its calls block, for a thread."""

    def __init__(self, database: Database, name: str = "notifier") -> None:
        self.until = 0
        self._database = database
        self._reader = f"lease of {name}"
        self._me = f"{socket.gethostname()} {os.getpid()} {uuid4().hex[:8]}"

    def take(self, now: int) -> bool:
        """Take it, or renew it; False while another process has it."""
        known = read_progress(self._database, self._reader, 0)
        holder = msgspec.msgpack.decode(known.state, type=Holder) if known.state else Holder("", 0)
        if holder.name != self._me and holder.until > now:
            self.until = 0
            return False
        until = now + int(LEASE_S * SECOND)
        self.until = until if self._write(known, until) else 0
        return self.until > 0

    def release(self, now: int) -> None:
        """Let another process have it at once."""
        if self.until > now:
            self._write(read_progress(self._database, self._reader, 0), 0)
        self.until = 0

    def _write(self, known: Progress, until: int) -> bool:
        advance = known.advance(known.position + 1, state=msgspec.msgpack.encode(Holder(self._me, until)))
        try:
            self._database.run(lambda sql: move(sql, advance))
        except FencedError:  # another process was quicker
            return False
        return True
