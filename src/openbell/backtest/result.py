"""What a backtest leaves: orders, fills, the equity curve, the figures, and what is needed to find it again."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from openbell.backtest.figures import summary_table
from openbell.backtest.report import ReportInput, write_report
from openbell.backtest.report_data import Candles
from openbell.backtest.round_trips import Fills, RoundTrips, round_trips
from openbell.backtest.statistics import Statistics, compute_statistics
from openbell.engine.plan import Plan
from openbell.errors import StorageError
from openbell.model import enums
from openbell.model.money import exponent
from openbell.model.time import format_time


@dataclass(frozen=True, eq=False)
class Result:
    """One finished backtest.

    `commands` (dtype COMMAND) holds every signal, submission, order change, fill and equity sample; the arrays below are views of it.
    Money is in units of `plan.currency`, times in ns UTC.
    """

    plan: Plan
    commands: np.ndarray[Any, Any]
    counts: dict[str, int]
    final_equity: float
    start_ts: int
    end_ts: int
    seconds: float
    decision_hash: str
    state_hash: str
    candles: Sequence[Candles] = ()
    notes: Sequence[str] = ()
    data_name: str = ""

    @property
    def _scale(self) -> float:
        return 10.0 ** exponent(self.plan.currency)

    @cached_property
    def orders(self) -> np.ndarray[Any, Any]:
        """The submissions, one row each (dtype COMMAND)."""
        return self._rows(enums.SUBMIT)

    def _rows(self, kind: int) -> np.ndarray[Any, Any]:
        rows: np.ndarray[Any, Any] = self.commands[self.commands["kind"] == kind]
        return rows

    @cached_property
    def fills(self) -> Fills:
        """The executions as columns."""
        rows = self._rows(enums.FILL)
        return Fills(
            rows["ts_event"].copy(),
            rows["instrument"].copy(),
            rows["side"].copy(),
            rows["quantity"].copy(),
            rows["price"].copy(),
            rows["amount"] / self._scale,
            np.array([listing.lot_size for listing in self.plan.listings]),
        )

    @cached_property
    def trades(self) -> RoundTrips:
        """Positions opened and closed."""
        return round_trips(self.fills)

    @cached_property
    def equity_ts(self) -> np.ndarray[Any, Any]:
        """Times of the equity curve: the start, every sample, the end."""
        samples = self._rows(enums.EQUITY)["ts"]
        keep = samples[(samples > self.start_ts) & (samples < self.end_ts)]
        return np.concatenate(([self.start_ts], keep, [self.end_ts]))

    @cached_property
    def equity(self) -> np.ndarray[Any, Any]:
        """The equity curve in money: what was paid in, every sample, what is left."""
        rows = self._rows(enums.EQUITY)
        keep = rows[(rows["ts"] > self.start_ts) & (rows["ts"] < self.end_ts)]
        start = sum(assignment.cash for assignment in self.plan.assignments)
        return np.concatenate(([start], keep["amount"] / self._scale, [self.final_equity]))

    @cached_property
    def statistics(self) -> Statistics:
        """The usual figures; NaN where one is not defined."""
        return compute_statistics(self.equity_ts, self.equity, self.fills, self.trades)

    def denials(self) -> dict[str, int]:
        """How often which risk check said no."""
        rows = self.commands[(self.commands["kind"] == enums.ORDER) & (self.commands["status"] == enums.DENIED)]
        reasons, counts = np.unique(rows["reason"], return_counts=True)
        return {enums.REASONS[int(reason)]: int(count) for reason, count in zip(reasons, counts, strict=True)}

    def summary(self) -> str:
        """The figures as aligned plain text."""
        return summary_table(self.statistics, self.plan.currency, self.title)

    @property
    def title(self) -> str:
        """Strategy, symbols and timeframe on one line."""
        first = self.plan.assignments[0]
        symbols = ", ".join(first.symbols[:4]) + (f" and {len(first.symbols) - 4} more" if len(first.symbols) > 4 else "")
        return f"{first.id} on {symbols}" + (f", {first.timeframe}" if first.timeframe else "")

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "strategy": self.plan.assignments[0].strategy,
            "params": dict(self.plan.assignments[0].params),
            "data": self.data_name,
            "start": format_time(self.start_ts),
            "end": format_time(self.end_ts),
            **self.counts,
            "final_equity": self.final_equity,
            "seconds": self.seconds,
            "decision_hash": self.decision_hash,
            "state_hash": self.state_hash,
            "denials": self.denials(),
            "notes": list(self.notes),
            "statistics": self.statistics.as_dict(),
            "plan": self.plan.to_dict(),
        }

    def write_json(self, path: str | Path) -> None:
        """Write `to_dict` to a file, whole or not at all; StorageError where that cannot be."""
        target = Path(path)
        draft = target.with_name(f".{target.name}.part")
        try:
            draft.write_text(json.dumps(self.to_dict(), indent=1) + "\n")
            os.replace(draft, target)
        except OSError as error:
            draft.unlink(missing_ok=True) if draft.parent.is_dir() else None
            raise StorageError(f"{target} cannot be written: {error.strerror}", "a folder that exists and can be written to") from None

    def report(self, path: str | Path) -> Path:
        """Write the report people look at, one HTML file."""
        from openbell import __version__

        first = self.plan.assignments[0]
        return write_report(
            path,
            ReportInput(
                strategy=first.id,
                statistics=self.statistics,
                ts=self.equity_ts,
                equity=self.equity,
                symbols=tuple(listing.symbol for listing in self.plan.listings),
                fills=self.fills,
                trades=self.trades,
                candles=self.candles,
                parameters=first.params,
                data_name=self.data_name,
                timeframe=first.timeframe,
                currency=self.plan.currency,
                run=self.decision_hash[:12],
                notes=tuple(self.notes),
                version=__version__,
            ),
        )

    def __repr__(self) -> str:
        return f"<Result {self.title}: {self.counts['orders']} orders, final equity {self.final_equity:,.2f} {self.plan.currency}>"
