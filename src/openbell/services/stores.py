"""Which stores a process uses: SQLite files, or the PostgreSQL database of the settings; and the keys that seal the secrets in them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from openbell.adapters.stores.database import Address
from openbell.config.settings import DatabaseSettings, Settings

if TYPE_CHECKING:
    from openbell.adapters.sealing import Sealer

#: The file of keys, in the folder of the data.
KEY_FILE = "secrets.key"


def place_of(settings: DatabaseSettings, file: Path | None = None) -> Path | Address:
    """Where the tables are: in a file, by default that of the settings, or in a database of a server."""
    if file is not None or settings.engine == "sqlite":
        return file or Path(settings.sqlite_path)
    return Address(settings.host, settings.port, settings.user, settings.password, settings.name)


def sealer_of(settings: Settings) -> Sealer:
    """What seals the secrets in the database; its key is made when there is none yet. Errors as of `open_sealer`."""
    from openbell.adapters.sealing import open_sealer

    leave_no_dump()
    return open_sealer(key_file(settings), settings.secrets.key)


def key_file(settings: Settings) -> Path:
    """Where the keys are that seal secrets, unless the settings hold them."""
    return Path(settings.trading.data_dir) / KEY_FILE


def leave_no_dump() -> None:
    """Have the system write no file of this process's memory when it crashes: passwords and keys pass through it."""
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
