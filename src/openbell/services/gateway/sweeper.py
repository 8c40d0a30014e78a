"""Hands what groups have said to their clients, one short turn after the other, so that nobody else in the process waits for it."""

import asyncio
from time import perf_counter

from openbell.services.gateway.groups import Group

#: Seconds after which others get their turn.
TURN_S = 0.002


class Sweeper:
    """Writes to the lines of all who keep pace. A write never waits: what a line does not take makes it slow."""

    def __init__(self) -> None:
        self._groups: dict[Group, None] = {}
        self._stirred = asyncio.Event()

    def stir(self, group: Group) -> None:
        """This group has said something."""
        self._groups[group] = None
        self._stirred.set()

    async def run(self) -> None:
        """Until cancelled."""
        turn = Turn()
        while True:
            await self._stirred.wait()
            self._stirred.clear()
            groups, self._groups = self._groups, {}
            turn.begin()
            for group in groups:
                for client in tuple(group.members):
                    # Since this round began it may have left, fallen behind, or begun anew with more than is told here.
                    if client.seq < group.seq and client in group.members:
                        frames, client.seq = group.after(client.seq)
                        client.line.write(frames)
                        if turn.is_over:
                            await turn.pause()
                group.settle()
                if not group.is_level:
                    self.stir(group)
                if turn.is_over:
                    await turn.pause()


class Turn:
    """A short time, after which others get theirs."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """From now."""
        self._ends = perf_counter() + TURN_S

    @property
    def is_over(self) -> bool:
        """Whether the time has passed."""
        return perf_counter() > self._ends

    async def pause(self) -> None:
        """Let the others."""
        await asyncio.sleep(0)
        self.begin()
