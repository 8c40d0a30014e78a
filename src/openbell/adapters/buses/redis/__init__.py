"""The buses on Redis: a log in streams, and channels for what may be lost."""

from openbell.adapters.buses.redis.channels import RedisPubSubBus
from openbell.adapters.buses.redis.streams import RedisStreamBus

__all__ = ["RedisPubSubBus", "RedisStreamBus"]
