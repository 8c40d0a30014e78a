"""The Redis server of the settings: whether we get in, its version, whether it may throw away what we keep there, and its clock."""

import time
from collections.abc import Iterator
from typing import Any

from openbell.config import Settings
from openbell.config.settings import RedisSettings
from openbell.errors import BusError
from openbell.services.doctor.clock import compared
from openbell.services.doctor.finding import Finding, ok, problem, warning
from openbell.services.doctor.reach import ANSWER_SECONDS, unreachable, version_of, version_text
from openbell.services.doctor.versions import has_client

VERSION_MIN = (7, 0)
#: Share of its memory that Redis may have filled before it is worth a word.
_FULL = 0.8
_START = "sudo systemctl start redis-server    # in a checkout: scripts/services.sh up redis"
_MOVE = "export REDIS_ADDR=host:port    # where it is"


def server(settings: Settings) -> Iterator[Finding]:
    """From the address to the clock; the first thing that keeps us out ends it."""
    redis = settings.redis
    if not has_client("redis"):
        return
    if (refused := unreachable("Redis", redis.host, redis.port, _START, _MOVE)) is not None:
        yield refused
        return
    try:
        answers, offset_s = _ask(redis)
    except BusError as error:
        log_in = "export OPENBELL_REDIS__PASSWORD=...    # the one of its requirepass"
        yield problem("Redis", error.found, error.expected, log_in if "password" in error.found else _MOVE)
        return
    place, version = f"{redis.host}:{redis.port}", str(answers.get("redis_version", "0"))
    if version_of(version) < VERSION_MIN:
        least = f"version {version_text(VERSION_MIN)} or newer"
        yield problem("Redis", f"{place}, version {version}", least, "sudo apt-get install redis-server")
    else:
        yield ok("Redis", f"{place}, version {version}")
    yield from _role(place, answers)
    yield from _memory(redis, answers)
    yield from _log_file(settings, answers)
    yield compared("Redis", offset_s)


def _ask(redis: RedisSettings) -> tuple[dict[str, Any], float]:
    """What INFO says, and by how many seconds its clock is ahead of ours."""
    from redis import Redis, RedisError
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    from openbell.adapters.redis_server import RedisServer

    client = Redis(
        redis.host, redis.port, password=redis.password or None, ssl=redis.tls, client_name="openbell-doctor", protocol=2,
        retry=Retry(NoBackoff(), 0), socket_timeout=ANSWER_SECONDS, socket_connect_timeout=ANSWER_SECONDS,
    )  # fmt: skip
    try:
        answers: Any = client.info()
        before = time.time()
        seconds, microseconds = client.time()
        after = time.time()
    except (RedisError, OSError) as error:
        named = RedisServer(redis.host, redis.port, redis.password, redis.tls).verdict(error, BusError)
        raise named or BusError(f"Redis at {redis.host}:{redis.port}: {error}", "an answer to INFO and TIME") from None
    finally:
        client.close()
    return answers, seconds + microseconds / 1e6 - (before + after) / 2.0


def _role(place: str, answers: dict[str, Any]) -> Iterator[Finding]:
    if answers.get("role") == "slave":
        yield problem("Redis", f"{place} only reads (a replica of {answers.get('master_host')})", "the primary server", _MOVE)
    if answers.get("loading"):
        yield warning("Redis", f"{place} still reads its data", "a server that is ready", "openbell doctor    # once more, later")


def _memory(redis: RedisSettings, answers: dict[str, Any]) -> Iterator[Finding]:
    """Redis may be told to drop keys when its memory is full: streams and prices would be gone without a word."""
    command = f"redis-cli -h {redis.host} -p {redis.port} CONFIG SET"
    most, used, policy = int(answers.get("maxmemory", 0)), int(answers.get("used_memory", 0)), str(answers.get("maxmemory_policy", ""))
    found = f"{used / 1e6:,.0f} MB of {most / 1e6:,.0f} MB, {policy}" if most else f"{used / 1e6:,.0f} MB, no limit"
    if most and policy != "noeviction":
        found = f"drops keys when {most / 1e6:,.0f} MB are full (maxmemory-policy {policy})"
        yield problem("Redis memory", found, "noeviction", f"{command} maxmemory-policy noeviction    # and in redis.conf")
    elif most and used > most * _FULL:
        yield warning("Redis memory", found, f"at most {_FULL:.0%}: then it refuses writes", f"{command} maxmemory {2 * most}")
    else:
        yield ok("Redis memory", found)


def _log_file(settings: Settings, answers: dict[str, Any]) -> Iterator[Finding]:
    """Market data kept in Redis outlives it only in its append-only file."""
    redis = settings.redis
    command = f"redis-cli -h {redis.host} -p {redis.port}"
    if answers.get("aof_last_write_status", "ok") != "ok" or answers.get("rdb_last_bgsave_status", "ok") != "ok":
        yield problem(
            "Redis disk", "it could not write its data to the disk", "a disk with room", f"{command} INFO persistence    # and its log"
        )
    elif not answers.get("aof_enabled") and settings.bus.market == "redis":
        keep = f"{command} CONFIG SET appendonly yes    # and in redis.conf"
        yield warning("Redis disk", "keeps market data in memory only: a restart loses it", "an append-only file", keep)
    else:
        yield ok(
            "Redis disk", f"append-only file {'on' if answers.get('aof_enabled') else 'off, not needed: it carries what is only shown'}"
        )
