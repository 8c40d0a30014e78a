"""What the accounts of a trader hold and are worth, from its commands alone: fills, and the closes of candles as latest prices."""

from collections.abc import Collection, Iterable
from math import floor
from typing import Any

import msgspec
import numpy as np

from openbell.errors import JournalError
from openbell.model import enums
from openbell.model.money import to_minor
from openbell.services.names import Names
from openbell.services.portfolio.replica import Replica


class Account(msgspec.Struct, array_like=True):
    """One account: money in minor units, lots by instrument."""

    deposits: int
    cash: int
    lots: dict[int, int] = {}


class Ledger(msgspec.Struct, array_like=True):
    """The accounts of a run, after `index` commands."""

    run: str
    index: int
    accounts: list[Account]
    prices: dict[int, float] = {}  # latest, by instrument

    @staticmethod
    def begin(run: str, names: Names) -> "Ledger":
        """Before the first command."""
        cash = [to_minor(item.cash, names.plan.currency) for item in names.plan.assignments]
        return Ledger(run, 0, [Account(each, each) for each in cash])

    @staticmethod
    def of(run: str, replica: Replica) -> "Ledger":
        """As a replica of the portfolio has it; an instrument is worth what it cost until its next price."""
        accounts, prices = [], {}
        for book in replica.books:
            lots = {instrument: held.quantity for instrument, held in book.holdings.items()}
            accounts.append(Account(book.deposits, book.cash, lots))
            for instrument, held in book.holdings.items():
                if held.quantity:
                    prices[instrument] = held.cost / held.quantity / (replica.names.lot_sizes[instrument] * replica.names.scale)
        return Ledger(run, replica.index, accounts, prices)

    def fresh(self, first: int, commands: Any) -> Iterable[Any]:
        """Commands that were not taken yet, of which the first has this index; each counts as taken when the next one is asked for.

        JournalError when one is missing before them.
        """
        self._refuse_gap(first)
        for command in commands[self.index - first :]:
            yield command
            self.index += 1

    def skip(self, first: int, commands: Any, names: Names) -> None:
        """Take commands, of which the first has this index, where only how it stands in the end counts. JournalError as for `fresh`."""
        self._refuse_gap(first)
        fresh = commands[self.index - first :]
        candles = np.flatnonzero(fresh["kind"] == enums.CANDLE)[::-1]
        _, latest = np.unique(fresh["instrument"][candles], return_index=True)
        for row in sorted([*np.flatnonzero(fresh["kind"] == enums.FILL).tolist(), *candles[latest].tolist()]):
            self.take(fresh[row], names)
        self.index += len(fresh)

    def _refuse_gap(self, first: int) -> None:
        if first > self.index:
            raise JournalError(f"commands {self.index} to {first - 1} of the run {self.run} are missing", "every command, in order")

    def take(self, command: Any, names: Names) -> tuple[int, Collection[int]] | None:
        """One command. Returns the instrument whose holding or price it changes, and the accounts whose worth; None for no change."""
        instrument = int(command["instrument"])
        if command["kind"] == enums.CANDLE:
            self.prices[instrument] = float(command["bar"]["close"])
            return instrument, [index for index, account in enumerate(self.accounts) if account.lots.get(instrument)]
        if command["kind"] != enums.FILL:
            return None
        lots, side, index = int(command["quantity"]), int(command["side"]), int(command["strategy"])
        account, price = self.accounts[index], float(command["price"])
        account.cash -= side * floor(price * (names.lot_sizes[instrument] * names.scale) * lots + 0.5) + int(command["amount"])
        account.lots[instrument] = account.lots.get(instrument, 0) + side * lots
        self.prices[instrument] = price
        return instrument, [index]

    def worth(self, index: int, names: Names) -> float:
        """Of an account, in the currency."""
        account = self.accounts[index]
        held = sum(lots * names.lot_sizes[instrument] * self.prices[instrument] for instrument, lots in account.lots.items() if lots)
        return names.money(account.cash) + held
