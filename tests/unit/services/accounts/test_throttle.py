"""How often passwords may be tried: against a model, and in a flood."""

import asyncio
import math
from collections import Counter

import pytest
import time_machine
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from openbell.errors import ThrottledError
from openbell.services.accounts.throttle import Throttle, network

#: 2026-01-31 12:00 UTC.
START = 1_769_860_800
#: What is counted: how many, in so many seconds.
PAIR, ADDRESS, ACCOUNT = (5, 300), (30, 300), (50, 3600)
NAMES, ADDRESSES = ["anna", "bob"], ["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"]


class Machine(RuleBasedStateMachine):
    """Tries at any times, from several addresses, against counts in a dictionary.

    A count is that of the running stretch of time, and of the one before as much as is left of it within one length of the stretch.
    """

    def __init__(self):
        super().__init__()
        self.traveller = time_machine.travel(START, tick=False)
        self.time = self.traveller.start()
        self.now = START
        self.runner = asyncio.Runner()
        self.throttle = Throttle()
        self.counts = Counter()
        self.accepted = []
        self.waits = set()

    def teardown(self):
        self.traveller.stop()
        self.runner.close()

    def is_free(self, key, limit, length):
        stretch = self.now // length
        left_s = (1 - (((self.now - length) / length) % 1)) * length  # in floats, as the library has it: the limit is right on an edge
        return math.floor(self.counts[key, stretch - 1] * left_s / length + self.counts[key, stretch]) + 1 <= limit

    @rule(seconds=st.sampled_from([1, 7, 60, 150, 299, 300, 301, 1800, 3600, 7200]))
    def wait(self, seconds):
        self.now += seconds
        self.time.move_to(self.now)

    @rule(name=st.sampled_from(NAMES), address=st.sampled_from(ADDRESSES), count=st.integers(1, 12), is_right=st.booleans())
    def try_to_sign_in(self, name, address, count, is_right):
        where = network(address)
        keys = [(("pair", name, where), *PAIR), (("address", where), *ADDRESS), (("account", name), *ACCOUNT)]
        for _ in range(count):
            expected = True
            for key, limit, length in keys:
                if not self.is_free(key, limit, length):
                    expected = False
                    break
                self.counts[key, self.now // length] += 1
            assert self.tried(name, address) == expected
            if expected:
                self.accepted.append((self.now, name, where))
        if is_right and expected:
            self.runner.run(self.throttle.signed_in(name, address))
            for stretch in (0, 1):
                self.counts.pop((("pair", name, where), self.now // PAIR[1] - stretch), None)
            self.accepted = [one for one in self.accepted if one[1:] != (name, where)]

    def tried(self, name, address):
        try:
            self.runner.run(self.throttle.sign_in(name, address))
        except ThrottledError as refused:
            self.waits.add(refused.retry_after_s)
            return False
        return True

    @invariant()
    def it_says_how_long_to_wait(self):
        """A second at least, and no longer than the stretch."""
        assert all(1 <= wait <= ACCOUNT[1] for wait in self.waits)

    @invariant()
    def nobody_gets_more_than_twice_the_limit(self):
        """Within any stretch of that length, however it lies; in the long run it is the limit."""
        recent = Counter(one[1:] for one in self.accepted if one[0] > self.now - PAIR[1])
        assert all(count <= 2 * PAIR[0] for count in recent.values())


TestThrottle = Machine.TestCase
TestThrottle.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


@pytest.fixture
def moment():
    with time_machine.travel(START, tick=False) as moment:
        yield moment


async def tries(throttle, count, name=None, address=None):
    """How many of so many tries at once are let through; without a name or an address each has its own."""

    async def one(number):
        try:
            await throttle.sign_in(name or f"user{number}", address or f"10.0.{number // 250}.{number % 250}")
        except ThrottledError:
            return 0
        return 1

    return sum(await asyncio.gather(*map(one, range(count))))


async def test_a_thousand_tries_of_one_name_from_one_address(moment):
    """Five get as far as the password."""
    assert await tries(Throttle(), 1000, "anna", "192.0.2.1") == 5


async def test_a_thousand_names_from_one_address(moment):
    """Thirty."""
    assert await tries(Throttle(), 1000, None, "192.0.2.1") == 30


async def test_one_name_from_a_thousand_addresses(moment):
    """Fifty an hour; after two hours fifty again."""
    throttle = Throttle()
    assert await tries(throttle, 1000, "anna") == 50
    moment.shift(7200)
    assert await tries(throttle, 1000, "anna") == 50


async def test_the_addresses_of_one_household(moment):
    """With IPv6 they count as one."""
    throttle = Throttle()
    assert sum([await tries(throttle, 1, "anna", f"2001:db8:1:2::{number:x}") for number in range(1, 100)]) == 5
    assert await tries(throttle, 1, "anna", "2001:db8:1:3::1") == 1


async def test_waiting_as_long_as_it_says(moment):
    """Is enough for the next try, after some rounds at most."""
    throttle = Throttle()
    await tries(throttle, 100, "anna", "192.0.2.1")
    for _ in range(6):
        try:
            await throttle.sign_in("anna", "192.0.2.1")
            break
        except ThrottledError as refused:
            moment.shift(refused.retry_after_s)
    else:
        pytest.fail("never let in again")


async def test_sign_ups_of_an_address(moment):
    """Five an hour."""
    throttle = Throttle()
    for _ in range(5):
        await throttle.sign_up("192.0.2.1")
    with pytest.raises(ThrottledError):
        await throttle.sign_up("192.0.2.1")
    await throttle.sign_up("192.0.2.2")


async def test_what_is_forgotten_does_not_stay_in_memory(moment):
    """A flood from a hundred thousand addresses leaves nothing behind after two hours."""
    throttle = Throttle()
    await tries(throttle, 3000)
    storage = throttle._own.storage
    assert len(storage.storage) > 3000
    moment.shift(7201)
    await throttle.sign_in("anna", "192.0.2.1")
    await storage.timer
    assert len(storage.storage) == len(storage.expirations) <= 4
    assert len(storage.locks) <= 4


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.7", "192.0.2.7"), ("::ffff:192.0.2.7", "192.0.2.7"), ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"), ("::1", "::/64"),
        ("fe80::1%eth0", "fe80::/64"), ("", ""), ("testclient", "testclient"), ("x" * 100, "x" * 64),
    ],
)  # fmt: skip
def test_what_of_an_address_counts(address, expected):
    """A machine with IPv4, a network with IPv6, and whatever else as it is."""
    assert network(address) == expected
