"""`openbell serve alerts`: alerts on prices and accounts, compared with every tick and decision, and telling people of what happens.

Any number of them share the market; one of them tells.
"""

import asyncio

from openbell.adapters.stores.alerts import AlertStore
from openbell.adapters.stores.candles import open_candles
from openbell.services.alerts.account_service import AccountAlertService
from openbell.services.alerts.history import History
from openbell.services.alerts.prepare import prepare_board
from openbell.services.alerts.service import AlertService
from openbell.services.alerts.teller import AlertTeller
from openbell.services.notifier.remote import remote_notifier
from openbell.services.processes.process import Process
from openbell.services.rpc.opening import serve_alerts
from openbell.services.stores import place_of
from openbell.services.topics.names import ALERTS, COMMANDS, TICKS


async def build(process: Process) -> None:
    """Watch the partitions that the group gives to this process, and tell of what comes there; notify people."""
    await asyncio.to_thread(prepare_board)
    edge = process.edge
    store = AlertStore(process.database())
    candles = open_candles(place_of(process.settings.database))
    process.stack.callback(candles.close)
    alerts = AlertService(edge.market, edge.name(TICKS), process.listings, store, History(candles))
    accounts = AccountAlertService(edge.market, edge.name(COMMANDS), process.plans, store, alerts.news)
    sources = [(watcher.reader, watcher.partitions) for watcher in (alerts, accounts)]
    process.services += [
        remote_notifier(process),
        AlertTeller(edge.orders, edge.name(ALERTS), store, sources, alerts.news),
        *serve_alerts(process, store),
        accounts,
        alerts,
    ]
