"""The desk of accounts: alerts on positions and drawdowns, compared with what each command of the traders makes of them."""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from openbell.adapters.stores.alert_rows import Standing
from openbell.engine.plan import Plan
from openbell.model import enums
from openbell.model.alerts import BEFORE
from openbell.services.alerts.desk import Desk
from openbell.services.alerts.ledger import Ledger
from openbell.services.alerts.rules import key_of
from openbell.services.names import Names
from openbell.services.plans import MAIN

#: (Kind, symbol, accounts) of a value.
Meter = tuple[str, str, tuple[str, ...]]


class Kept(msgspec.Struct, array_like=True):
    """What is stored."""

    ledgers: dict[str, Ledger] = {}  # by trader
    now: int = BEFORE
    streams: dict[str, tuple[float, float, int, bytes]] = {}
    peaks: dict[str, float] = {}  # the highest worth, by the names of the accounts


class AccountDesk(Desk):
    """The alerts on the accounts of some traders. All are in one book; the value of each stream is told it."""

    def __init__(self, plans: Mapping[str, Plan], kept: Kept | None = None) -> None:
        super().__init__([1.0], [0])
        kept = kept or Kept()
        self.names = {trader: Names(plan, "" if trader == MAIN else trader) for trader, plan in plans.items()}
        self.ledgers = {trader: ledger for trader, ledger in kept.ledgers.items() if trader in self.names}
        self._peaks = dict(kept.peaks)
        self._meters: dict[Meter, int] = {}
        self._new: set[Meter] = set()  # those that were not told anything yet
        self._is_continued = kept.now != BEFORE
        self.board.open_book(0, (float("nan"), False, kept.now, kept.streams, {}))

    def book_of(self, row: Standing) -> int:
        """The only one, for those on accounts."""
        key = key_of(row)
        if key[0] != "fed":
            return -1
        if key[1:] not in self._meters:
            self._meters[key[1:]] = self.board.stream(0, key)
            if math.isnan(self.board.last(self._meters[key[1:]])):
                self._new.add(key[1:])
        return 0

    def is_continued(self, book: int) -> bool:
        """When its state was kept."""
        return self._is_continued

    def change(self, found: Iterable[Standing]) -> None:
        """Alerts are new or were changed by their owners; those that are new are compared with how the accounts stand now."""
        super().change(found)
        if self.board.now(0) != BEFORE:
            self._tell(self.board.now(0), list(self._values("", set())))

    def _tell(self, ts: int, values: list[tuple[int, float]]) -> None:
        if values:
            self.note(self.board.feed(0, ts, values))

    def begin(self, trader: str, ledger: Ledger) -> None:
        """Follow a trader from there on: its highest worth is what its accounts are worth, or began with."""
        self.ledgers[trader] = ledger
        self._new = set(self._meters)
        own = set(self.names[trader].strategies)
        self._peaks = {accounts: peak for accounts, peak in self._peaks.items() if accounts and not own & set(accounts.split("\n"))}

    def take(self, trader: str, first: int, commands: Any) -> None:
        """Take commands of the run that is followed, of which the first has this index. JournalError when one is missing before them."""
        ledger, names = self.ledgers[trader], self.names[trader]
        for command in ledger.fresh(first, commands):
            changed = ledger.take(command, names)
            if changed is None:
                continue
            symbol, accounts = names.symbols[changed[0]], {names.strategies[index] for index in changed[1]}
            self._tell(int(command["ts"]), list(self._values(symbol if command["kind"] == enums.FILL else "", accounts)))

    def skip(self, trader: str, first: int, commands: Any) -> None:
        """Take commands without comparing anything, as `take`."""
        self.ledgers[trader].skip(first, commands, self.names[trader])

    def _values(self, symbol: str, accounts: set[str]) -> Iterator[tuple[int, float]]:
        """What streams are told when these accounts are worth something else and hold more or less of a symbol; new ones how it stands."""
        new, self._new = self._new, set()
        for meter, stream in self._meters.items():
            kind, own, names = meter
            if meter not in new and not (accounts.intersection(names or accounts) and own in ("", symbol)):
                continue
            yield stream, self._drawdown(names) if kind == "drawdown" else self._position(own, names)

    def _chosen(self, wanted: tuple[str, ...]) -> Iterator[tuple[Ledger, Names, int]]:
        for trader, ledger in self.ledgers.items():
            names = self.names[trader]
            for index, strategy in enumerate(names.strategies):
                if not wanted or strategy in wanted:
                    yield ledger, names, index

    def _position(self, symbol: str, wanted: tuple[str, ...]) -> float:
        """Units held."""
        units = 0.0
        for ledger, names, index in self._chosen(wanted):
            instrument = names.instruments.get(symbol, -1)
            units += names.units(instrument, ledger.accounts[index].lots.get(instrument, 0)) if instrument >= 0 else 0.0
        return round(units, 10)

    def _drawdown(self, wanted: tuple[str, ...]) -> float:
        """How far (per cent) below the highest worth."""
        chosen = list(self._chosen(wanted))
        worth = sum(ledger.worth(index, names) for ledger, names, index in chosen)
        deposits = sum(names.money(ledger.accounts[index].deposits) for ledger, names, index in chosen)
        name = "\n".join(wanted)
        peak = self._peaks[name] = max(self._peaks.get(name, deposits), worth)
        return 100.0 * (peak - worth) / peak if peak > 0.0 else 0.0

    def state(self) -> bytes:
        """What is stored, for `Kept`. What nobody waits for any more is left out from then on."""
        self.board.tidy()
        *_, now, streams, _ = self.board.kept(0)
        self._meters = {meter: stream for meter, stream in self._meters.items() if repr(("fed", *meter)) in streams}
        wanted = {"\n".join(names) for kind, _, names in self._meters if kind == "drawdown"}
        peaks = {accounts: peak for accounts, peak in self._peaks.items() if accounts in wanted}
        return msgspec.msgpack.encode(Kept(self.ledgers, now, streams, peaks))
