"""Stops in the database: how far a service has stored the effect of what it reads."""

from collections import defaultdict
from collections.abc import Callable

from openbell.adapters.stores.database import Database, open_database, revision_of
from openbell.adapters.stores.revisions import is_newest
from openbell.config import Settings
from openbell.errors import StorageError
from openbell.services.processes.process import database_place
from openbell.services.verify.journey import Seen, Trail
from openbell.services.verify.looking import look_until


def open_tables(settings: Settings) -> Database:
    """The platform's database as it is; StorageError when its tables are not there, or are of another version."""
    place = database_place(settings)
    if not is_newest(revision_of(place), place):
        raise StorageError(f"{place} does not have the tables of this version", do="start a service, or run openbell database upgrade")
    return open_database(place)


async def stored_past(database: Database, reader: str, offset: Callable[[], tuple[int, int] | None]) -> Seen:
    """Wait until a reader's stored position is behind an offset. `offset` says which (partition, offset), None while it is not known."""
    trails: dict[int, Trail] = defaultdict(Trail)

    def look() -> tuple[int, int, float] | None:
        for partition, position in database.select("SELECT partition, position FROM progress WHERE reader = ?", (reader,)):
            trails[partition].note(position)
        wanted = offset()
        found = None if wanted is None else trails[wanted[0]].first_from(wanted[1] + 1)
        return None if wanted is None or found is None else (wanted[0], *found)

    partition, position, at = await look_until(look, "the database")
    return Seen(f"{reader}, partition {partition}, stored up to {position:,}", at)
