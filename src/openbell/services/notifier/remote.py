"""The notifier beside the alerts of a platform in several processes: any number of them may run, one of which tells."""

from functools import partial
from typing import TYPE_CHECKING, cast

from openbell.adapters.stores.progress import Progress
from openbell.services.names import Names
from openbell.services.notifier.alert_topic import AlertTopic
from openbell.services.notifier.assembly import Assembly
from openbell.services.notifier.service import NotifierService
from openbell.services.notifier.sources import Decisions, RemoteServices, Services, Source
from openbell.services.notifier.trading import TradingNews
from openbell.services.plans import MAIN
from openbell.services.topics.names import ALERTS, COMMANDS, SERVICES
from openbell.services.trader.decisions import DecisionReader
from openbell.services.trader.service import Decided

if TYPE_CHECKING:
    from openbell.adapters.buses.base import LogBus
    from openbell.services.processes.process import Process


def remote_notifier(process: "Process") -> NotifierService:
    """It follows all traders over the bus, from where the database says, and alerts as a member of a group."""
    edge, parts = process.edge, Assembly(process.settings, process.database())
    alerts = AlertTopic(edge.orders, edge.name(ALERTS), parts.outbox, parts.deliverer.wake)
    heard = RemoteServices(edge.control, edge.name(SERVICES))
    reader = f"notifier of {edge.name(COMMANDS)}"
    return parts.service(reader, partial(_sources, process, parts, heard), [alerts, heard], edge.name("notifier"))


async def _sources(process: "Process", parts: Assembly, heard: RemoteServices, known: Progress) -> list[Source]:
    """Of the one who tells. The first time, what is decided from then on counts."""
    market, position = process.edge.market, known.position
    if market.KEEPS_HISTORY and not known.state:
        position = (await cast("LogBus", market).ends(process.edge.name(COMMANDS)))[0]
        parts.intake.put([], position)
    traders = {trader: TradingNews(Names(plan, "" if trader == MAIN else trader)) for trader, plan in process.plans.items()}
    decisions = Decisions(process.bus, parts.intake, traders, _behind)
    decisions.listen()
    follower = DecisionReader(process.bus, process.edge, process.plans, {0: position})
    return [decisions, follower, Services(parts.intake, heard.views)]


def _behind(decided: Decided) -> int:
    """The offset of the message that comes next; 0 on a bus that keeps none."""
    return decided.offset + 1
