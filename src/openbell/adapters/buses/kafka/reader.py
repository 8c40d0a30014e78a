"""The thread that reads from Kafka for one subscription: it fills the shelf, commits what was acknowledged, and keeps the group's rules.

Measured with Kafka 4.3.1 and its defaults: a group of the classic protocol has its first member at work after 0.1 s, gives a second one its
share after 1.1 s while the first goes on with the rest, replaces one that left after 0.2 s, and one that died after the session timeout
below. The newer protocol (KIP-848) takes 1 s, 5 s, 3 s and 45 s: there the server alone decides, by heartbeats.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from openbell.adapters.buses.base import Message
from openbell.adapters.buses.kafka.connection import Cluster, Watch, configuration
from openbell.adapters.buses.kafka.shelf import Offsets, Place, Shelf
from openbell.errors import BusError

log = structlog.get_logger("kafka")

GROUP = {"partition.assignment.strategy": "cooperative-sticky", "session.timeout.ms": 6000, "heartbeat.interval.ms": 500}
FETCH = {
    "fetch.queue.backoff.ms": 10,
    "queued.max.messages.kbytes": 16_384,  # fetched and not looked at: 16 MB a subscription, and one answer more
    "check.crcs": True,
    "auto.offset.reset": "error",  # nothing is ever skipped in silence
    "enable.auto.commit": False,
}
BATCH = 1000
POLL_SECONDS = 0.1
COMMIT_SECONDS = 0.1
#: How long a full BLOCK topic may stop the reading of the others. After that it is paused, which throws away what was fetched of it.
FULL_SECONDS = 0.1
PAUSED_POLL_SECONDS = 0.02
#: How long a member that has to let a partition go waits for `ack` of what was taken of it.
DRAIN_SECONDS = 10.0
ANSWER_SECONDS = 5.0


class Reader:
    """Reads into `shelf` until `shelf.leave`. `ready` and `finished` are futures of the loop that made it."""

    def __init__(self, cluster: Cluster, client: str, group: str, shelf: Shelf) -> None:
        self._loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[None] = self._loop.create_future()
        self.finished: asyncio.Future[None] = self._loop.create_future()
        self._shelf = shelf
        self._group = group
        self._watch = Watch(cluster, self._fail)
        self._settings = configuration(cluster, client, self._watch.on_error) | FETCH | {"on_commit": self._committed}
        self._settings |= {"group.id": group, **GROUP} if group else {"group.id": f"openbell-{client}"}
        self._starts: Mapping[Place, int] = {}
        self._paused: set[str] = set()
        self._next_commit = 0.0
        self._thread = threading.Thread(target=self._run, name=f"kafka-{group or client}", daemon=True)

    def start(self, starts: Mapping[Place, int]) -> None:
        """Begin at these offsets; a group goes on where it had acknowledged, and begins at these where it never had."""
        self._starts = starts
        self._thread.start()

    def failed(self, error: BusError) -> None:
        """On the loop: nothing more can come."""
        self._shelf.fail(error)
        if not self.ready.done():
            self.ready.set_exception(error)
            self.ready.exception()  # whether or not anybody asks

    def ended(self) -> None:
        """On the loop: the thread is done, or was never needed."""
        for future in (self.ready, self.finished):
            if not future.done():
                future.set_result(None)
        self._shelf.end()

    # --- the thread

    def _run(self) -> None:
        try:
            consumer = Consumer(self._settings)
        except KafkaException as error:
            self._fail(BusError(f"the client of Kafka cannot be set up: {error.args[0].str()}", do="check the settings in kafka"))
            self._tell(self.ended)
            return
        try:
            self._begin(consumer)
            while not self._shelf.is_leaving:
                self._read(consumer)
                self._commit(consumer)
        except Exception as error:
            log.exception("reader failed", topics=list(self._shelf.buffers), group=self._group)
            self._fail(BusError(f"reading from Kafka failed: {type(error).__name__}: {error}", do="see the log"))
        finally:
            self._leave(consumer)
            self._tell(self.ended)

    def _begin(self, consumer: Consumer) -> None:
        if self._group:
            consumer.subscribe(list(self._shelf.buffers), on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost)
        else:
            self._shelf.assign(dict(self._starts))
            consumer.assign([TopicPartition(*place, offset) for place, offset in self._starts.items()])
            self._tell(self._is_ready)

    def _read(self, consumer: Consumer) -> None:
        """One round: what has arrived, as far as there is room for it."""
        if not self._shelf.wait_for_room(self._paused, FULL_SECONDS):
            self._pause(consumer)
        if self._paused:
            self._resume(consumer)
        room = self._shelf.room(self._paused)
        most = BATCH if room is None else min(room, BATCH)
        first = consumer.poll(PAUSED_POLL_SECONDS if self._paused else POLL_SECONDS)
        if first is not None:
            self._put(consumer, [first])
            if most > 1:
                self._put(consumer, consumer.consume(most - 1, 0))
            self._tell(self._shelf.wake)
        if self._shelf.at_end():
            self._tell(self._shelf.end)

    def _put(self, consumer: Consumer, found: list[Any]) -> None:
        messages = []
        for one in found:
            if one.error() is not None:
                self._trouble(consumer, one)
                continue
            key = (one.key() or b"").decode(errors="backslashreplace")
            messages.append(Message(one.topic(), one.value() or b"", key, one.partition(), one.offset()))
        if messages:
            self._watch.reached()
            self._shelf.put_all(messages)

    def _pause(self, consumer: Consumer) -> None:
        """Go on asking the server, or it would take us for dead, but not for these topics."""
        self._paused |= self._shelf.full()
        consumer.pause([TopicPartition(*place) for place in self._shelf.held if place[0] in self._paused])

    def _resume(self, consumer: Consumer) -> None:
        again = self._paused & self._shelf.half_empty()
        self._paused -= again
        if again:
            consumer.resume([TopicPartition(*place) for place in self._shelf.held if place[0] in again])

    def _trouble(self, consumer: Consumer, found: Any) -> None:
        """An error that came instead of a message."""
        error: KafkaError = found.error()
        if error.code() == KafkaError._AUTO_OFFSET_RESET:
            self._fail(_gap(consumer, found.topic(), found.partition(), found.offset()))
            return
        failure = self._watch.judge(error)
        if failure is not None:
            self._fail(failure)
        else:
            log.warning("trouble", topics=list(self._shelf.buffers), group=self._group, error=error.str())

    def _leave(self, consumer: Consumer) -> None:
        self._shelf.leave(keep=True)
        self._next_commit = 0.0
        self._commit(consumer, wait=True)
        consumer.close()

    def _fail(self, error: BusError) -> None:
        self._shelf.is_leaving = True
        self._tell(self.failed, error)

    def _is_ready(self) -> None:
        if not self.ready.done():
            self.ready.set_result(None)

    def _tell(self, what: Callable[..., None], *arguments: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(what, *arguments)
        except RuntimeError:  # the loop is closed: nobody takes any more
            self._shelf.is_leaving = True

    # --- a member of a group

    def _commit(self, consumer: Consumer, wait: bool = False) -> None:
        if not self._group or time.monotonic() < self._next_commit:
            return
        self._next_commit = time.monotonic() + COMMIT_SECONDS
        done = self._shelf.done()
        if done:
            self._commit_these(consumer, done, wait)

    def _commit_these(self, consumer: Consumer, done: Offsets, wait: bool) -> None:
        offsets = [TopicPartition(*place, offset) for place, offset in done.items()]
        try:
            if wait:
                consumer.commit(offsets=offsets, asynchronous=False)
            else:
                consumer.commit(offsets=offsets)
        except KafkaException as error:
            # Not lost, only told again: what is not committed is delivered once more.
            log.warning("acknowledgement refused", group=self._group, error=error.args[0].str())

    def _committed(self, error: KafkaError | None, offsets: list[TopicPartition]) -> None:
        """What became of a commit that was not waited for."""
        if error is not None:
            self._shelf.not_committed({(place.topic, place.partition): place.offset for place in offsets})

    def _assigned(self, consumer: Consumer, places: list[TopicPartition]) -> None:
        """Partitions are ours: go on where the group had got to."""
        committed = self._acknowledged(consumer, places)
        if committed is None:
            return
        starts = {
            place: offset if offset >= 0 else self._starts.get(place, OFFSET_BEGINNING)
            for place, offset in self._shelf.resume(committed).items()
        }
        self._shelf.assign(starts)
        try:
            consumer.incremental_assign([TopicPartition(*place, offset) for place, offset in starts.items()])
        except KafkaException as error:  # they were lost while we asked; the group gives them out again
            self._shelf.let_go(starts)
            log.warning("partitions refused", group=self._group, partitions=sorted(starts), error=error.args[0].str())
            return
        if self._paused:
            self._pause(consumer)
        log.info("partitions joined", group=self._group, partitions=sorted(starts))
        self._tell(self._is_ready)

    def _acknowledged(self, consumer: Consumer, places: list[TopicPartition]) -> Offsets | None:
        """What the server was told, below 0 for nothing yet; None when we leave meanwhile."""
        while not self._shelf.is_leaving:
            try:
                found = consumer.committed(places, timeout=ANSWER_SECONDS) if places else []
            except KafkaException as error:
                trouble = error.args[0]
            else:
                trouble = next((place.error for place in found if place.error is not None), None)
                if trouble is None:
                    return {(place.topic, place.partition): place.offset for place in found}
            failure = self._watch.judge(trouble)
            if failure is not None:
                self._fail(failure)
            log.warning("waiting for what the group had acknowledged", group=self._group, error=trouble.str())
        return None

    def _revoked(self, consumer: Consumer, places: list[TopicPartition]) -> None:
        """Partitions go to another member: drain them, tell how far we got, and let go."""
        names = {(place.topic, place.partition) for place in places}
        done, late = self._shelf.drain(names, DRAIN_SECONDS)
        if late and not self._shelf.is_leaving:
            log.warning("partitions leave with messages in hand", group=self._group, partitions=sorted(late), seconds=DRAIN_SECONDS)
        if done:
            self._commit_these(consumer, done, wait=True)
        self._shelf.let_go(names)
        consumer.incremental_unassign(places)
        log.info("partitions left", group=self._group, partitions=sorted(names))

    def _lost(self, consumer: Consumer, places: list[TopicPartition]) -> None:
        """The group did not hear of us for too long, and gave our partitions away."""
        names = {(place.topic, place.partition) for place in places}
        self._shelf.drain(names, 0)
        self._shelf.let_go(names)
        consumer.incremental_unassign(places)
        log.warning("partitions lost", group=self._group, partitions=sorted(names))


def _gap(consumer: Consumer, topic: str, partition: int, offset: int) -> BusError:
    """What it means that there is no message at an offset."""
    where = f"{topic}, partition {partition}"
    try:
        oldest, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=ANSWER_SECONDS)
    except KafkaException as error:
        return BusError(f"{where}: there is no message {offset}", do=f"see the server's log ({error.args[0].str()})")
    if offset < oldest:
        return BusError(
            f"messages {offset} to {oldest - 1} of {where} are gone: the server keeps them no longer",
            f"an offset from {oldest} to {end}",
            "raise the topic's retention.ms, and begin a new run or group",
        )
    return BusError(
        f"{where} ends at {end}, before message {offset}", f"an offset from {oldest} to {end}", "it was made anew; begin a new run or group"
    )
