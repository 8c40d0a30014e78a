"""The accounts of a process, as the settings have them."""

from pathlib import Path

from openbell.adapters.stores.database import open_database
from openbell.config import Settings
from openbell.services.accounts.accounts import Accounts
from openbell.services.accounts.throttle import Throttle
from openbell.services.stores import leave_no_dump, place_of, sealer_of


def open_accounts(settings: Settings) -> Accounts:
    """Open the accounts in the database of the settings. Tries are counted in Redis where the control channel is there, for all gateways.

    Errors as of `open_database`. A key for secrets is made when the first of them is to be sealed. From now on other users of this machine
    cannot read a SQLite file: it holds hashes of passwords.
    """
    shared = settings.redis if settings.bus.control == "redis" else None
    leave_no_dump()
    place = place_of(settings.database)
    database = open_database(place)
    if isinstance(place, Path):
        for file in (place, *(place.with_name(place.name + ending) for ending in ("-wal", "-shm"))):
            file.chmod(0o600)
    return Accounts(
        database,
        lambda: sealer_of(settings),
        sign_up_open=settings.server.sign_up == "open",
        throttle=Throttle(shared, settings.bus.namespace),
    )
