"""`openbell serve ingest`: a feed onto the market-data topic."""

from openbell.adapters.feeds.replay import parse_speed
from openbell.services.control.handlers import answer_feed
from openbell.services.ingest.feed import FeedService
from openbell.services.ingest.markets import make_feed
from openbell.services.ingest.publisher import PublisherService
from openbell.services.plans import symbols_of
from openbell.services.processes.process import Process
from openbell.services.topics.names import TICKS


async def build(process: Process) -> None:
    """Publish a feed, from where it stopped; anew when it had come to its end, or when that is wanted."""
    edge, settings = process.edge, process.settings.feed
    symbols = tuple(symbols_of(process.settings.trading.strategies))
    feed, _ = make_feed(settings.source, symbols, settings.seed, parse_speed(settings.speed))
    source = f"{process.settings.bus.namespace}{feed.source.name}"
    publisher = PublisherService(process.bus, edge.market, edge.name(TICKS), source, process.listings, process.database())
    publisher.take_up(feed.is_over, process.fresh)
    service = FeedService(process.bus, feed, lambda: publisher.cursor)
    answer_feed(process.channel, service, feed.source.name)
    process.services += [publisher, service]
