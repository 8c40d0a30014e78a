"""Requests for new alerts that have an id: whoever did not hear the answer asks again, and the alert is made once.

A request is remembered in the transaction that makes the alert, for a day.
"""

from hashlib import blake2b

import msgspec

from openbell.adapters.stores.alert_rules import NewAlert
from openbell.adapters.stores.database import Statements
from openbell.errors import UsageError
from openbell.model.time import DAY

#: How long (ns) a request is remembered.
KEPT_NS = DAY
#: Characters of its id.
REQUEST_MAX = 255


def made_before(sql: Statements, owner: int, request: str, wanted: NewAlert) -> int | None:
    """The id of the alert that an owner's request made; None when it is new. UsageError when it asked for another alert."""
    if not 0 < len(request) <= REQUEST_MAX or not request.isprintable():
        raise UsageError(f"the id of a request is {request[:40]!r}", f"1 to {REQUEST_MAX} printable characters")
    found = sql.select("SELECT alert_id, body FROM alert_requests WHERE user_id = ? AND request = ?", (owner, request))
    if not found:
        return None
    if bytes(found[0][1]) != _body(wanted):
        raise UsageError("the id of this request was used for another alert", "the same alert", "take a new id")
    return int(found[0][0])


def note_request(sql: Statements, owner: int, request: str, wanted: NewAlert, alert: int, now: int) -> None:
    """Remember which alert a request made at `now` (ns), and forget those of a day ago."""
    sql.execute("DELETE FROM alert_requests WHERE created < ?", (now - KEPT_NS,))
    sql.execute(
        "INSERT INTO alert_requests (user_id, request, body, alert_id, created) VALUES (?, ?, ?, ?, ?)",
        (owner, request, _body(wanted), alert, now),
    )


def _body(wanted: NewAlert) -> bytes:
    return blake2b(msgspec.json.encode(wanted, order="sorted"), digest_size=16).digest()
