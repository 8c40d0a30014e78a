"""Routes about alerts: those of whoever asks, and for administrators those of everybody."""

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from fastapi import APIRouter, Header, Path, Query, Request, Response

from openbell.adapters.stores.alert_rows import Status
from openbell.adapters.stores.alert_rules import NewAlert
from openbell.errors import BusError, UnknownNameError
from openbell.model.time import MILLISECOND
from openbell.services.accounts.callers import LOCAL, Caller
from openbell.services.alerts.access import PAGE_MAX, Alerts, confined
from openbell.services.alerts.shown import shown_event, shown_row
from openbell.services.gateway import alert_records as records
from openbell.services.gateway.access import Access, Watcher
from openbell.services.gateway.backstage import Backstage
from openbell.services.gateway.bodies import body_of, json_response, tagged_record, with_next
from openbell.services.gateway.openapi import NOTHING, answers, takes
from openbell.services.gateway.trading import Owner
from openbell.services.views import Alert

if TYPE_CHECKING:
    from openbell.services.gateway.owners import Owners

Most = Annotated[int, Query(ge=1, le=PAGE_MAX)]
Number = Annotated[int, Query(ge=0, lt=1 << 62, description="the last of the page before")]
AlertNumber = Annotated[int | None, Query(ge=1, lt=1 << 62, description="the id of one alert")]
AlertId = Annotated[int, Path(ge=1, lt=1 << 62)]
Symbol = Annotated[str, Query(max_length=64)]
Key = Annotated[str | None, Header(min_length=1, max_length=255)]


class AlertDesk:
    """The alerts of a platform, for callers."""

    def __init__(self, backstage: Backstage, access: Access) -> None:
        self._alerts = backstage.alerts
        self._symbols = backstage.names.instruments
        self._owners: Owners = backstage.owners
        self._access = access

    @property
    def alerts(self) -> Alerts:
        """Where they are. BusError on a platform without."""
        if self._alerts is None:
            raise BusError("there are no alerts here", "an alerts service", "start `openbell serve alerts`")
        return self._alerts

    async def create(self, caller: Caller, wanted: records.AlertWanted, key: str | None) -> Alert:
        """A new alert of the caller's; the same key is the same alert."""
        new = self._rule(NewAlert(**_rule_of(msgspec.structs.asdict(wanted))))
        return shown_row(await self.alerts.create(caller.user_id, await self._confined(caller, new), key or ""))

    async def change(self, caller: Caller, id: int, wanted: records.AlertChange) -> Alert:
        """Change an alert. UnknownNameError for one that is not the caller's to see."""
        given = {name: value for name, value in msgspec.structs.asdict(wanted).items() if value is not msgspec.UNSET}
        changes, owner = _rule_of(given), _all_of(caller)
        known = await self.alerts.find(owner, after=id - 1, limit=1)
        if known and known[0].id == id:
            new = NewAlert(**{**known[0].rule(), **{name: value for name, value in changes.items() if name != "status"}})
            allowed = await self._confined(caller, self._rule(new) if "symbol" in changes else new)
            if allowed != new:
                changes["spec"] = allowed.spec
        return shown_row(await self.alerts.update(owner, id, changes))

    async def delete(self, caller: Caller, id: int) -> None:
        """Remove an alert. UnknownNameError for one that is not the caller's to see."""
        if not await self.alerts.delete(_all_of(caller), id):
            raise UnknownNameError(f"there is no alert {id}", do="look at /alerts")

    async def owner(self, caller: Caller, name: str) -> int | None:
        """Whose alerts are wanted: by default all that the caller may see. UnknownNameError for a user who is not hers to name."""
        name = name.strip().casefold()
        if not name:
            return _all_of(caller)
        if name == caller.name:
            return caller.user_id
        if not caller.may("admin") or not self._access.has_accounts:
            raise UnknownNameError(f"there is no user '{name}'", do="leave out the owner to see your own")
        return LOCAL.user_id if name == LOCAL.name else await self._access.accounts.user_id(name)

    def _rule(self, new: NewAlert) -> NewAlert:
        if new.symbol and new.symbol not in self._symbols:
            raise UnknownNameError.of("symbol", new.symbol, self._symbols)
        return new

    async def _confined(self, caller: Caller, new: NewAlert) -> NewAlert:
        return confined(new, await self._owners.visible(caller))


def alert_routes(backstage: Backstage, access: Access) -> APIRouter:
    """The routes of one platform."""
    routes = APIRouter(tags=["alerts"])
    desk = AlertDesk(backstage, access)

    @routes.get("/alerts", responses=answers(records.Alerts, 404, 422, tagged=True))
    async def alerts(
        request: Request, caller: Watcher, symbol: Symbol = "", status: Status | None = None, owner: Owner = "", after: Number = 0,
        limit: Most = 100,
    ) -> Response:  # fmt: skip
        """The alerts of the caller, oldest first; an administrator sees all. Removed ones are shown for `status=canceled` only."""
        rows = await desk.alerts.find(await desk.owner(caller, owner), symbol, status, after, limit)
        shown = records.Alerts([shown_row(row) for row in rows])
        return with_next(tagged_record(request, shown), request, str(rows[-1].id) if len(rows) == limit else None)

    @routes.post("/alerts", status_code=201, responses=answers(Alert, 404, 422, ok=201), openapi_extra=takes(records.AlertWanted))
    async def create(request: Request, caller: Watcher, idempotency_key: Key = None) -> Response:
        """An alert: once, or every time that its condition is met. Repeating an Idempotency-Key makes no second one."""
        return json_response(await desk.create(caller, await body_of(request, records.AlertWanted), idempotency_key), 201)

    @routes.get("/alerts/events", responses=answers(records.AlertEvents, 404, 422, tagged=True))
    async def events(
        request: Request, caller: Watcher, symbol: Symbol = "", alert: AlertNumber = None, owner: Owner = "", after: Number = 0,
        limit: Most = 100,
    ) -> Response:  # fmt: skip
        """The times that alerts came, in order, after those of the page before."""
        rows = await desk.alerts.events(await desk.owner(caller, owner), after, alert, symbol, limit)
        latest = rows[-1].seq if rows else after
        shown = records.AlertEvents([shown_event(row) for row in rows], latest)
        return with_next(tagged_record(request, shown), request, str(latest) if len(rows) == limit else None)

    @routes.patch("/alerts/{id}", responses=answers(Alert, 404, 422), openapi_extra=takes(records.AlertChange))
    async def change(request: Request, id: AlertId, caller: Watcher) -> Response:
        """Change an alert, pause it, or make it active again. With another rule it begins anew."""
        return json_response(await desk.change(caller, id, await body_of(request, records.AlertChange)))

    @routes.delete("/alerts/{id}", status_code=204, responses=answers(NOTHING, 404, 422, ok=204))
    async def delete(id: AlertId, caller: Watcher) -> Response:
        """Remove an alert."""
        await desk.delete(caller, id)
        return Response(status_code=204)

    return routes


def _rule_of(given: dict[str, Any]) -> dict[str, Any]:
    """What was given in the words of the store."""
    if "ts_expires" in given:
        ms = given.pop("ts_expires")
        given["expires"] = None if ms is None else ms * MILLISECOND
    return given


def _all_of(caller: Caller) -> int | None:
    """Whose alerts a caller may see and change; None for those of everybody."""
    return None if caller.may("admin") else caller.user_id
