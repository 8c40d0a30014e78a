"""Which stores a process uses: SQLite files, or the PostgreSQL database of the settings."""

from pathlib import Path

from openbell.adapters.stores.database import Address
from openbell.config.settings import DatabaseSettings


def place_of(settings: DatabaseSettings, file: Path | None = None) -> Path | Address:
    """Where the tables are: in a file, by default that of the settings, or in a database of a server."""
    if file is not None or settings.engine == "sqlite":
        return file or Path(settings.sqlite_path)
    return Address(settings.host, settings.port, settings.user, settings.password, settings.name)
