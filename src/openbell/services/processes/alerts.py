"""`openbell serve alerts`: price alerts, evaluated for every tick. Any number of them share the market's partitions."""

from openbell.adapters.stores.alerts import AlertStore
from openbell.services.alerts.service import AlertService
from openbell.services.alerts.teller import AlertTeller
from openbell.services.processes.process import Process
from openbell.services.topics.names import ALERTS, TICKS


async def build(process: Process) -> None:
    """Watch the partitions that the group gives to this process, and tell of what is triggered there."""
    edge = process.edge
    store = AlertStore(process.database())
    alerts = AlertService(edge.market, edge.name(TICKS), process.listings, store)
    process.services += [AlertTeller(edge.orders, edge.name(ALERTS), store, alerts.reader, alerts.partitions, alerts.news), alerts]
