"""Looks after the lines: pings them, and lets go of those whose peer is dead or takes nothing. One task and no timer, for however many.

The clients are in as many parts as a heartbeat has seconds, and each second one part is looked after. So a line is pinged once a heartbeat,
and before that it is seen whether anything came since the ping before. A dead peer is let go within two heartbeats.
"""

import asyncio
from collections.abc import Callable, Iterable

import structlog

from openbell.services.gateway.client import Client
from openbell.services.gateway.frames import PING

#: Seconds from ping to ping.
HEARTBEAT_S = 15
#: Seconds for which a full line may take nothing.
STUCK_S = 10.0
#: Seconds from look to look.
LOOK_S = 1.0
TRY_AGAIN_LATER, NO_ANSWER = 1013, 1011
TOO_SLOW = "too slow"

#: Has a client go: the code, the reason.
SendAway = Callable[[Client, int, str], None]

log = structlog.get_logger("stream")


class Lookout:
    """Looks after clients, in `heartbeat` parts."""

    def __init__(self, send_away: SendAway, heartbeat: int = HEARTBEAT_S) -> None:
        self._send_away = send_away
        self._parts: list[set[Client]] = [set() for _ in range(heartbeat)]
        self._full: set[Client] = set()
        self._turn = 0
        self._added = 0

    def add(self, client: Client) -> None:
        """Somebody new."""
        client.place = self._added % len(self._parts)
        self._added += 1
        self._parts[client.place].add(client)

    def remove(self, client: Client) -> None:
        """Somebody has gone."""
        self._parts[client.place].discard(client)
        self._full.discard(client)

    def full(self, client: Client) -> None:
        """The line of a client takes no more."""
        client.full_since, client.waited = asyncio.get_running_loop().time(), client.line.waiting
        self._full.add(client)

    def free(self, client: Client) -> None:
        """It does again."""
        self._full.discard(client)

    async def run(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(LOOK_S)
            self._turn = (self._turn + 1) % len(self._parts)
            self._let_go_of_stuck(loop.time())
            self._ping(tuple(self._parts[self._turn]), loop.time())

    def _let_go_of_stuck(self, now: float) -> None:
        for client in tuple(self._full):
            waiting = client.line.waiting
            if waiting < client.waited:
                client.full_since, client.waited = now, waiting
            missed = client.group is not None and client.seq < client.group.lost
            if missed or now - client.full_since > STUCK_S:
                self._send_away(client, TRY_AGAIN_LATER, TOO_SLOW)

    def _ping(self, clients: Iterable[Client], now: float) -> None:
        for client in clients:
            if client in self._full:  # whether it takes anything says more
                continue
            if client.pinged > client.line.heard:
                self._send_away(client, NO_ANSWER, "no answer to a ping")
                continue
            client.pinged = now
            client.line.write(PING)
