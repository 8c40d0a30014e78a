"""What lies between the thread that reads from Kafka and the loop that takes: the messages, and what was done with them by partition.

A partition is a *place* (topic, number). The offset kept of a place is always the one of the next message, as Kafka keeps it.
"""

import threading
from collections.abc import Collection, Mapping, Sequence

from openbell.adapters.buses.base import Message, Overflow, Topic
from openbell.adapters.buses.buffer import Inbox

Place = tuple[str, int]
Offsets = dict[Place, int]


class Shelf(Inbox):
    """An inbox with a lock. The loop calls `take`, `take_now`, `ack`, `end_at`, `leave`; the thread calls the rest."""

    def __init__(self, topics: Sequence[Topic], is_group: bool) -> None:
        super().__init__(topics)
        self.held: Mapping[Place, int] = {}  # replaced, never changed: to be read without the lock
        self.is_leaving = False
        self._is_group = is_group
        self._lock = threading.Condition()
        self._blocking = [buffer for buffer in self.buffers.values() if buffer.topic.overflow is Overflow.BLOCK]
        self._times: dict[Place, int] = {}  # how often a place was given to us
        self._read: Offsets = {}  # behind the last message that came
        self._in_hand: Offsets = {}  # behind the last message that was taken and not acknowledged
        self._acked: Offsets = {}  # behind the last message that was acknowledged
        self._done: Offsets = {}  # the same, while it is not committed
        self._ends: Offsets = {}  # of closed topics

    # --- on the loop

    def take_now(self, most: int = 0) -> list[Message]:
        """What is there, without waiting."""
        with self._lock:
            taken = super().take_now(most)
            if taken:
                if self._is_group:
                    for message in taken:
                        place = (message.topic, message.partition)
                        self._in_hand[place] = max(self._in_hand.get(place, 0), message.offset + 1)
                self._lock.notify_all()
        return taken

    def ack(self) -> None:
        """Everything taken so far is done with."""
        with self._lock:
            for place, offset in self._in_hand.items():
                self._acked[place] = self._done[place] = min([offset, *self._waiting_conflated(place)])
            self._in_hand.clear()
            self._lock.notify_all()

    def end_at(self, ends: Offsets) -> None:
        """These topics end here: once everything before is read, nothing more comes of them."""
        with self._lock:
            self._ends |= ends

    def leave(self, keep: bool) -> None:
        """Read no more; `keep` what is there to be taken, or not."""
        with self._lock:
            self.is_leaving = True
            if not keep:
                for buffer in self.buffers.values():
                    buffer.remove(lambda _: True)
            self._lock.notify_all()
        self.end()

    # --- on the thread

    def put_all(self, messages: list[Message]) -> None:
        """Messages have come; those of places that are not ours any more are left to others."""
        with self._lock:
            for message in messages:
                place = (message.topic, message.partition)
                if place in self.held and not self.is_leaving:
                    self.buffers[message.topic].put(message)
                    self._read[place] = message.offset + 1

    def room(self, without: Collection[str]) -> int | None:
        """How many messages may come while these topics do not, so that every BLOCK buffer can take them; None for any number."""
        with self._lock:
            return min((buffer.room for buffer in self._blocking if buffer.topic.name not in without), default=None)

    def wait_for_room(self, without: Collection[str], seconds: float) -> bool:
        """Wait until there is room; False when there is still none."""

        def has_room() -> bool:
            return self.is_leaving or all(not buffer.full for buffer in self._blocking if buffer.topic.name not in without)

        with self._lock:
            return self._lock.wait_for(has_room, seconds)

    def full(self) -> set[str]:
        """The BLOCK topics that can take nothing."""
        with self._lock:
            return {buffer.topic.name for buffer in self._blocking if buffer.full}

    def half_empty(self) -> set[str]:
        """The BLOCK topics that can take as much again as they hold."""
        with self._lock:
            return {buffer.topic.name for buffer in self._blocking if 2 * len(buffer) <= buffer.topic.buffer}

    def resume(self, committed: Offsets) -> Offsets:
        """Where to go on: a place that comes back may be further than the server was told before it was lost."""
        with self._lock:
            ahead = {place: self._acked[place] for place, offset in committed.items() if self._acked.get(place, -1) > max(offset, -1)}
            self._done |= ahead
            return {**committed, **ahead}

    def assign(self, starts: Offsets) -> None:
        """Places are ours from now on; the next message of each has this offset, if it is 0 or more."""
        with self._lock:
            for place, offset in starts.items():
                self._times[place] = self._times.get(place, 0) + 1
                self._read[place] = max(offset, 0)
            self.held = {**self.held, **{place: self._times[place] for place in starts}}

    def drain(self, places: Collection[Place], seconds: float) -> tuple[Offsets, set[Place]]:
        """Hand over nothing more of these places, and wait for `ack`. Returns what to commit of them, and those it was not waited for."""
        with self._lock:
            for buffer in self.buffers.values():
                buffer.remove(lambda message: (message.topic, message.partition) in places)
            self._lock.wait_for(lambda: self.is_leaving or not any(place in self._in_hand for place in places), seconds)
            late = {place for place in places if self._in_hand.pop(place, None) is not None}
            return {place: self._done.pop(place) for place in places if place in self._done}, late

    def let_go(self, places: Collection[Place]) -> None:
        """These places are somebody else's."""
        with self._lock:
            self.held = {place: times for place, times in self.held.items() if place not in places}
            for offsets in (self._read, self._in_hand, self._done):
                for place in places:
                    offsets.pop(place, None)

    def done(self) -> Offsets:
        """What was acknowledged since the last call, to be committed."""
        with self._lock:
            done, self._done = self._done, {}
        return done

    def not_committed(self, offsets: Offsets) -> None:
        """The server did not take these; they come back with the next `done`, unless there is news."""
        with self._lock:
            self._done = {place: offset for place, offset in offsets.items() if place in self.held} | self._done

    def at_end(self) -> bool:
        """Whether every topic is closed, and all of it is read."""
        with self._lock:
            closed = {topic for topic, _ in self._ends}
            is_read = all(self._read.get(place, 0) >= self._ends.get(place, 0) for place in self.held)
            return bool(self._times) and is_read and closed.issuperset(self.buffers)

    def _waiting_conflated(self, place: Place) -> list[int]:
        """Offsets of a place that still wait. With CONFLATE an older message may wait behind a newer one that was taken."""
        buffer = self.buffers[place[0]]
        if buffer.topic.overflow is not Overflow.CONFLATE:
            return []
        return [message.offset for message in buffer.waiting() if message.partition == place[1]]
