"""Requests are counted in Redis for all gateways, and go on to be counted without it."""

import asyncio

import pytest

from openbell.config import RedisSettings, ServerSettings
from openbell.errors import ThrottledError
from openbell.services.gateway.rates import Rates
from tests.servers import settings

pytestmark = [pytest.mark.services, pytest.mark.integration]

#: Windows of an hour, so that none ends within a test, but for one in a thousand.
LIMITS = ServerSettings(rate_limit="10/hour", rate_limit_address="5/hour")


async def let_through(rates, count, ask):
    found = await asyncio.gather(*(ask(rates) for _ in range(count)), return_exceptions=True)
    assert all(one is None or not isinstance(one, Exception) or isinstance(one, ThrottledError) for one in found)
    return sum(not isinstance(one, Exception) for one in found)


async def test_two_gateways_count_together(own_name):
    """Ten of a user and five of an address, wherever they ask; another user and another address have their own."""
    one, other = (Rates(LIMITS, settings("redis").redis, own_name) for _ in range(2))
    assert await let_through(one, 6, lambda rates: rates.user(7)) == 6
    assert await let_through(other, 20, lambda rates: rates.user(7)) == 4
    assert await let_through(other, 20, lambda rates: rates.user(8)) == 10
    assert await let_through(one, 3, lambda rates: rates.address("192.0.2.1")) == 3
    assert await let_through(other, 20, lambda rates: rates.address("192.0.2.1")) == 2
    assert await let_through(one, 1, lambda rates: rates.address("2001:db8::1")) == 1
    assert await let_through(other, 20, lambda rates: rates.address("2001:db8::ffff")) == 4  # the same network
    for rates in (one, other):
        await rates.close()


async def test_a_server_that_is_not_there():
    """The process counts by itself, and does not ask the server again with every request."""
    alone = Rates(LIMITS, RedisSettings(host="127.0.0.1", port=1))
    assert await let_through(alone, 20, lambda rates: rates.user(7)) == 10
    asked, incr = [], alone._shared.incr

    async def counted(key, period):
        asked.append(key)
        return await incr(key, period)

    alone._shared.incr = counted
    for number in range(200):
        await alone.user(100 + number)
    assert asked == []
    await alone.close()
