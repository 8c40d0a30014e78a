"""The outbox against a model that is a few dictionaries: whatever is said, repeated, sent, refused, dropped and killed in between."""

import itertools
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, precondition, rule

from openbell.adapters.stores.channels import ChannelStore
from openbell.adapters.stores.database import open_database
from openbell.adapters.stores.delivery_log import DeliveryLog
from openbell.adapters.stores.notification_rows import SEVERITIES, News
from openbell.adapters.stores.notifications import Outbox
from openbell.adapters.stores.progress import Progress
from openbell.errors import FencedError
from openbell.services.notifier.texts import digest_of

WAITING_MAX = 8
EVENTS = ("fill", "kill", "alert")


class OutboxMachine(RuleBasedStateMachine):
    """Two channels, one of which wants less; a reader whose place is stored with what it says; a process that may die at any step."""

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name, "platform.db")
        self.numbers = itertools.count(1)
        self.clock = itertools.count(10)
        self.open()
        self.wants = {}
        self.things = {}  # by id
        self.states = {}  # (id, channel) -> state
        self.counted = {}  # id of a digest -> ids that it stands for, through all digests
        self.lost = {}  # channel -> how many were dropped, and not counted in a digest yet
        self.dropped = {}  # id of a digest -> how many dropped ones it counts
        self.forgotten = set()
        self.place = Progress("reader")

    def open(self):
        self.database = open_database(self.path)
        self.channels = ChannelStore(self.database)
        self.outbox = Outbox(self.database, WAITING_MAX, lambda: next(self.clock))
        self.log = DeliveryLog(self.database)

    def teardown(self):
        self.database.close()
        self.folder.cleanup()

    said = Bundle("said")

    @initialize()
    def make_channels(self):
        for name, events, minimum in (("all", (), "info"), ("some", ("kill", "alert"), "warning")):
            row = self.channels.create(0, name, b"x", kind="k", shown="s", events=events, minimum=minimum)
            self.wants[row.id] = lambda news, events=events, minimum=minimum: (
                (not events or news.event in events) and SEVERITIES.index(news.severity) >= SEVERITIES.index(minimum)
            )
            self.lost[row.id] = 0

    @rule(target=said, event=st.sampled_from(EVENTS), severity=st.sampled_from(SEVERITIES))
    def something_happens(self, event, severity):
        number = next(self.numbers)
        return News(f"n{number}", 0, event, severity, number, {"number": number})

    @rule(news=st.lists(said, max_size=6), moves=st.booleans())
    def tell(self, news, moves):
        """Old things and new ones, in any order, some of them twice; but none that was forgotten, as after a month nobody says it again."""
        news = [one for one in news if one.id not in self.forgotten]
        advance = self.place.advance(self.place.position + len(news)) if moves else None
        self.outbox.tell(news, advance)
        if advance is not None:
            self.place = advance.after
        fresh = []
        for one in news:
            if one.id not in self.things and any(wants(one) for wants in self.wants.values()):
                self.things[one.id] = one
                fresh.append(one)
        for channel, wants in self.wants.items():
            for one in fresh:
                if wants(one):
                    self.states[one.id, channel] = "waiting"
            self.bound(channel, any(wants(one) for one in fresh))

    def bound(self, channel, has_more):
        waiting = [id for (id, other), state in self.states.items() if other == channel and state == "waiting"]
        if has_more and len(waiting) > WAITING_MAX:
            candidates = [id for id in waiting if self.things[id].event != "digest"]
            candidates.sort(key=lambda id: SEVERITIES.index(self.things[id].severity))  # a stable sort: the oldest first
            for id in candidates[: len(waiting) - WAITING_MAX]:
                self.states[id, channel] = "dropped"
                self.lost[channel] += 1

    @rule(news=said)
    def told_by_who_was_taken_over(self, news):
        """Nothing is written."""
        stale = Progress("reader", 0, self.place.position + 1)
        try:
            self.outbox.tell([news], stale.advance(self.place.position + 5))
        except FencedError:
            return
        raise AssertionError("a reader that stands elsewhere was believed")

    @rule(which=st.integers(0, 1), pick=st.integers(0, 20), state=st.sampled_from(["sent", "failed", "waiting"]))
    def mark(self, which, pick, state):
        channel = sorted(self.wants)[which]
        waiting = self.outbox.waiting(channel, 100)
        if waiting:
            one = waiting[pick % len(waiting)]
            self.outbox.mark(channel, one.number, state, one.attempts + 1, one.due)
            self.states[one.news.id, channel] = state

    @rule(which=st.integers(0, 1), critical=st.booleans())
    def digest(self, which, critical):
        channel = sorted(self.wants)[which]
        covered = [
            id for (id, other), state in self.states.items()
            if (other, state) == (channel, "waiting") and (not critical or self.things[id].severity == "critical")
        ]  # fmt: skip
        made = []
        count = self.outbox.digest(channel, lambda survey: made.append(digest_of(survey)) or made[-1], critical)
        assert count == len(covered)
        if not covered:
            assert made == []
            return
        [news] = made
        inside = [id for one in covered for id in self.counted.get(one, [one])]
        assert news.fields["count"] == len(inside) == len(set(inside))
        assert news.fields["dropped"] == self.lost[channel] + sum(self.dropped.get(one, 0) for one in covered)
        assert news.severity == max((self.things[one].severity for one in covered), key=SEVERITIES.index)
        self.dropped[news.id], self.lost[channel], self.counted[news.id] = news.fields["dropped"], 0, inside
        self.things[news.id] = news
        for one in covered:
            self.states[one, channel] = "digested"
        self.states[news.id, channel] = "waiting"

    @rule(before=st.integers(0, 400))
    def forget(self, before):
        """What is done with goes; nothing that waits does."""
        gone = {row.id for row in self.log.page(limit=1000)}
        self.outbox.forget(before)
        gone -= {row.id for row in self.log.page(limit=1000)}
        for key in [key for key in self.states if key[0] in gone]:
            assert self.states.pop(key) != "waiting"
        for id in gone:
            del self.things[id]
        self.forgotten |= gone

    @rule()
    def die(self):
        """kill -9: what was written is there."""
        self.database.close()
        self.open()

    @precondition(lambda self: self.wants)
    @invariant()
    def as_the_model_has_it(self):
        found = {(row.id, row.channel): row.state for row in self.log.page(limit=1000)}
        assert found == self.states
        for channel in self.wants:
            waiting = self.outbox.waiting(channel, 100)
            assert len(waiting) <= WAITING_MAX + sum(one.news.event == "digest" for one in waiting)
            assert [one.severity == 2 for one in waiting] == sorted((one.severity == 2 for one in waiting), reverse=True)
        assert self.outbox.progress("reader").position == self.place.position


OutboxMachine.TestCase.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)
TestOutbox = OutboxMachine.TestCase
TestOutbox.__doc__ = "Any order of what may happen."
