"""`openbell database`: which revision the tables are at, and bringing them to the newest."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter


def database(
    action: Literal["current", "upgrade"],
    /,
    *,
    file: Annotated[Path | None, Parameter(help="A SQLite file instead of the database of the settings.")] = None,
) -> int:
    """Show which revision the tables of candles, orders, users and alerts are at, or bring them to the newest.

    Every command that writes to a database upgrades it by itself; this one is for an owner whose services have no right to.

    Parameters
    ----------
    action
        `current` shows the revision and changes nothing; `upgrade` goes to the newest.
    """
    from openbell.adapters.stores.database import open_database, revision_of
    from openbell.adapters.stores.revisions import NEWEST
    from openbell.config import load_settings
    from openbell.services.stores import place_of

    place = place_of(load_settings().database, file)
    if action == "upgrade":
        before = revision_of(place) if not isinstance(place, Path) or place.exists() else None
        open_database(place).close()
        print(f"{place}: revision {NEWEST}" + (", as before" if before == NEWEST else f" (was {before or 'empty'})"))
        return 0
    revision = revision_of(place)
    if revision == NEWEST:
        print(f"{place}: revision {revision}, the newest")
    else:
        print(f"{place}: {f'revision {revision}' if revision else 'no tables yet'}; the newest is {NEWEST}: openbell database upgrade")
    return 0
