"""`openbell serve orders`: instructions of the traders to the venue, its answers back, and all of it into the database.

With `trading.fill` outside the venue is one of paper, which trades at the prices of the market-data topic; otherwise the venue is simulated
within the traders, and what it does is recorded.
"""

from openbell.adapters.brokers.base import Broker
from openbell.adapters.brokers.paper import PaperBroker
from openbell.adapters.stores.orders import OrderStore
from openbell.services.orders.service import OrderService
from openbell.services.plans import MAIN
from openbell.services.processes.process import Process
from openbell.services.processor.latest_prices import LatestPrices
from openbell.services.service import Service
from openbell.services.topics.names import EXECUTIONS, ORDERS, TICKS


async def build(process: Process) -> None:
    """Take up the orders that are open. One such process a platform: a second one takes over, and the first ends."""
    edge, trading = process.edge, process.settings.trading
    broker: Broker | None = None
    sources: list[Service] = []
    if trading.fill == "outside":
        prices = LatestPrices(edge.market, edge.name(TICKS), process.listings)
        paper = PaperBroker(prices.latest.get, trading.fee_bps, process.plans[MAIN].currency)
        prices.on_price = paper.on_price
        broker, sources = paper, [prices]
    names = {topic: edge.name(topic) for topic in (ORDERS, EXECUTIONS)}
    store = OrderStore(process.database(), f"orders {names[ORDERS]}")
    process.services += [OrderService(edge.orders, names, store, process.listings, broker), *sources]
