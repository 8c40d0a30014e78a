"""Instruments: what can be traded, its units, and the market as the kernel last saw it."""

from openbell.model.jit import Record, layout, pointer


class Instrument(Record):
    """One instrument's units and its latest prices."""

    @property
    def reference_price(self) -> float:
        """The middle of the quote, or the last price where there are no quotes; 0 before the first event."""
        if self.has_quotes:
            return (self.bid_price + self.ask_price) / 2.0
        return self.last_price

    @property
    def buy_price(self) -> float:
        """What a buyer at market would pay now: the offer, or the last price where there are no quotes."""
        if self.has_quotes:
            return self.ask_price
        return self.last_price

    @property
    def sell_price(self) -> float:
        """What a seller at market would get now: the bid, or the last price where there are no quotes."""
        if self.has_quotes:
            return self.bid_price
        return self.last_price


INSTRUMENT_RECORD = layout(
    Instrument,
    176,
    [
        ("price_increment", "f8"),  # smallest step of a price; 0 when there is none
        ("lot_size", "f8"),  # units of the instrument in one lot
        ("money_per_point", "f8"),  # money (minor units) that one lot gains when the price rises by 1
        ("quantity_max", "i8"),  # lots, the venue's largest order
        ("day_offset_ns", "i8"),  # ns after midnight UTC at which its trading day ends
        ("lateness_ns", "i8"),  # how far out of order a trade may be and still enter its candle
        ("last_price", "f8"),
        ("bid_price", "f8"),
        ("ask_price", "f8"),
        ("last_quantity", "i8"),  # lots
        ("bid_quantity", "i8"),  # lots
        ("ask_quantity", "i8"),  # lots
        ("ts_price", "i8"),  # ns, `ts_available` of the latest price
        ("watermark", "i8"),  # ns, latest `ts_event` seen
        ("trades", "i8"),  # counted since the start
        ("late", "i8"),  # trades too late for their candle
        ("refused", "i8"),  # events that were not used
        ("builder_first", "i4"),  # its candle builders
        ("builder_count", "i4"),
        ("subscription_first", "i4"),  # the strategies that follow it
        ("subscription_count", "i4"),
        ("order_first", "i4"),  # its open orders, -1 when there are none
        ("order_last", "i4"),
        ("has_quotes", "u1"),  # 1 after the first quote
        ("handler_mask", "u1"),  # bit per handler kind that some strategy has for it
        ("_pad", "u1", (6,)),
        ("reserved", "i8"),
    ],
)

instrument_at = pointer(INSTRUMENT_RECORD)
