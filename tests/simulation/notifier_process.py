"""A notifier that tells so many things from where it was killed, for the tests that kill it. Arguments: the folder, how many."""

import asyncio
import sys
from pathlib import Path

from openbell.adapters.sealing import Sealer
from openbell.adapters.stores.channels import ChannelStore
from openbell.adapters.stores.database import open_database
from openbell.adapters.stores.notification_rows import News
from openbell.config import NotifySettings, Settings, TradingSettings
from openbell.services.notifier.assembly import Assembly

KEY = b"k" * 32
NOW = 1_700_000_000_000_000_000


def assembly(folder):
    """The parts over the folder's database, with the key of the tests."""
    settings = Settings(notify=NotifySettings(allow_private=True, storm=20), trading=TradingSettings(data_dir=str(folder)))
    made = Assembly(settings, open_database(folder / "platform.db"))
    made.__dict__["_sealer"] = Sealer(KEY)
    return made


async def nothing(known):
    """No sources: what is told is put into the intake by hand."""
    return []


async def main(folder, count):
    parts = assembly(folder)
    service = parts.service("reader", nothing)
    await service.start()
    working = asyncio.create_task(service.run())
    known = parts.outbox.progress("reader").position
    print("ready", flush=True)
    while known < count:  # as a reader that goes on where its place is stored
        step = min(7, count - known)
        known += step
        parts.intake.put([News(f"n{number}", 0, "fill", "info", NOW, {}) for number in range(known - step, known)], known)
        await asyncio.sleep(0.02)
    while parts.outbox.progress("reader").position < count or parts.outbox.pending():
        await asyncio.sleep(0.02)
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    await service.stop()
    assert ChannelStore(parts.database).find()[0].status == "ok"
    print("done", flush=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
