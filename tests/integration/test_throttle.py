"""Tries are counted in Redis for all gateways, and go on to be counted without it."""

import asyncio

import pytest

from openbell.config import RedisSettings
from openbell.errors import ThrottledError
from openbell.services.accounts.throttle import Throttle
from tests.servers import settings

pytestmark = [pytest.mark.services, pytest.mark.integration]


async def let_in(throttle, count, name="anna", address="192.0.2.1"):
    results = await asyncio.gather(*(throttle.sign_in(name, address) for _ in range(count)), return_exceptions=True)
    assert all(one is None or isinstance(one, ThrottledError) for one in results)
    return results.count(None)


async def test_two_gateways_count_together(own_name):
    """Five of a name from an address, wherever they are tried; a right password begins anew for both."""
    one, other = (Throttle(settings("redis").redis, own_name) for _ in range(2))
    assert await let_in(one, 3) == 3
    assert await let_in(other, 20) == 2
    assert await let_in(one, 20) == 0
    await other.signed_in("anna", "192.0.2.1")
    assert await let_in(one, 20) == 5
    for throttle in (one, other):
        await throttle.close()


async def test_a_server_that_is_not_there():
    """The process counts by itself: nobody is locked out, and nobody may try for ever."""
    alone = Throttle(RedisSettings(host="127.0.0.1", port=1))
    assert await let_in(alone, 20) == 5
    await alone.signed_in("anna", "192.0.2.1")
    assert await let_in(alone, 20) == 5
    await alone.close()


async def test_the_password_of_the_server_is_in_no_text():
    """Neither in a repr nor in what is logged when it does not answer."""
    throttle = Throttle(RedisSettings(host="127.0.0.1", port=1, password="very secret"))
    assert "very secret" not in f"{vars(throttle)} {throttle._redis} {throttle._redis.bridge.uri}"
    await throttle.close()
