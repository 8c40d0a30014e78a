"""Which revision of the tables a database has, and how it gets to the newest.

The revisions stand in `openbell.adapters.stores.migrations`, the same for SQLite and PostgreSQL. alembic applies them, and takes 0.4 s to
import: so whether it is needed at all is found out without it, and a new SQLite file is made from `migrations/newest.sql`, which holds what
all revisions give together.
"""

from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from openbell.errors import StorageError

if TYPE_CHECKING:
    from sqlalchemy import Connection

#: Every revision, oldest first.
REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008", "0009")
NEWEST = REVISIONS[-1]
MIGRATIONS = Path(__file__).with_name("migrations")
#: alembic keeps what it works on in variables of its module.
_ALONE = Lock()


def is_newest(revision: str | None, where: object) -> bool:
    """Whether a database is at the newest revision; StorageError when a newer program wrote it."""
    if revision is not None and revision not in REVISIONS:
        raise StorageError(
            f"{where} is at revision {revision}", f"one up to {NEWEST}", "use the newer openbell that brought it there, or another database"
        )
    return revision == NEWEST


def upgrade(engine: str, connect: Callable[[], Any], before: Callable[["Connection"], str | None]) -> None:
    """Bring a database to the newest revision in one transaction.

    `engine` is SQLAlchemy's name for it, such as `sqlite`; `connect` opens a connection of the driver; `before` is called within the
    transaction, has to keep others away, and returns the revision when alembic cannot know it. Raises the driver's errors.
    """
    import sqlalchemy as sa
    from alembic import command, config
    from sqlalchemy.pool import NullPool

    settings = config.Config()
    settings.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    made = sa.create_engine(f"{engine}://", creator=connect, poolclass=NullPool)
    if engine == "sqlite":
        sa.event.listen(made, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    try:
        with _ALONE, made.begin() as connection:
            settings.attributes["connection"] = connection
            if (known := before(connection)) is not None:
                command.stamp(settings, known)
            command.upgrade(settings, NEWEST)
    except sa.exc.DBAPIError as error:
        raise error.orig or error from None
