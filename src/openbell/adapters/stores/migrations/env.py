"""What alembic runs around the revisions. `openbell.adapters.stores.revisions` calls it with a connection whose transaction is open.

All revisions of one upgrade are one transaction: the database is as it was, or at the newest revision.
"""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    render_as_batch=True,  # SQLite alters a table by making it anew
)
context.run_migrations()
