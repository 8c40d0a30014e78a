"""Names of a test's own on Kafka: how they are removed."""

import asyncio

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

SECONDS = 30.0


async def remove(servers: str, prefix: str) -> None:
    """Delete the topics and groups whose names begin so. A group whose member was killed is not empty until its session ends."""
    admin = AdminClient({"bootstrap.servers": servers})
    groups = [group.group_id for group in (await _of(admin.list_consumer_groups())).valid if group.group_id.startswith(prefix)]
    topics = [topic for topic in admin.list_topics(timeout=SECONDS).topics if topic.startswith(prefix)]
    async with asyncio.timeout(SECONDS):
        for group in groups:
            while not await _deleted(admin, group):
                await asyncio.sleep(0.2)  # between two attempts; the deadline decides
    if topics:
        await asyncio.gather(*map(_of, admin.delete_topics(topics).values()))


async def _deleted(admin, group):
    try:
        await _of(admin.delete_consumer_groups([group])[group])
    except KafkaException as error:
        if error.args[0].code() != KafkaError.NON_EMPTY_GROUP:
            raise
        return False
    return True


async def _of(answer):
    return await asyncio.wrap_future(answer)
