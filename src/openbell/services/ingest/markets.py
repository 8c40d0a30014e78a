"""The markets that can be listened to, by the setting `feed.source`, and what each lists."""

from openbell.adapters.feeds.replay import ReplayFeed
from openbell.adapters.feeds.simulated import SimulatedMarket
from openbell.config import Settings
from openbell.model.plan import Listing
from openbell.services.ingest.recordings import SHIPPED_LISTINGS, recorded_file, shipped_session
from openbell.services.plans import first_price, simulated_listing, symbols_of


def listings_of(settings: Settings) -> tuple[Listing, ...]:
    """What the configured market lists, for who does not listen to it itself."""
    if settings.feed.source == "recorded":
        return SHIPPED_LISTINGS
    if settings.feed.source == "simulated":
        return tuple(simulated_listing(symbol) for symbol in symbols_of(settings.trading.strategies))
    return recorded_file(settings.feed.source)[1]


def make_feed(source: str, symbols: tuple[str, ...], seed: int, speed: float) -> tuple[ReplayFeed, tuple[Listing, ...]]:
    """A feed by the setting `feed.source`, and what it lists."""
    if source == "recorded":
        recording, listings = shipped_session()
        return ReplayFeed(recording, speed), listings
    if source == "simulated":
        listings = tuple(simulated_listing(symbol) for symbol in symbols)
        return ReplayFeed(SimulatedMarket(listings, [first_price(symbol) for symbol in symbols], seed), speed), listings
    recording, listings = recorded_file(source)
    return ReplayFeed(recording, speed), listings
