"""`openbell runs`, `openbell replay`, `openbell explain`: what a journal holds, whether it happens again, why an order was placed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

if TYPE_CHECKING:
    from openbell.adapters.stores.base import Run
    from openbell.adapters.stores.journal import SqliteJournal

#: The journal's file in the folder of the setting `trading.data_dir`.
JOURNAL_FILE = "journal.db"

JournalPath = Annotated[Path | None, Parameter(name="--journal", help="Journal to read; journal.db in the data folder by default.")]
AsJson = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON.")]


def replay(run: str = "last", /, *, journal: JournalPath = None, json: AsJson = False) -> int:
    """Step a run's journaled events again and compare every command, bit for bit; exits with 7 at a difference.

    Parameters
    ----------
    run
        Name of the run, as `openbell runs` lists it, or `last`.
    """
    from openbell.services.replay.replay import replay as replay_run

    with _open(journal) as opened:
        result = replay_run(opened, run)
    if json:
        _print_json(result.to_dict())
    elif result.identical:
        print(result)
    if not json:
        result.raise_if_different()
    return 0 if result.identical else 7


def explain(order_id: str, /, *, run: str = "last", journal: JournalPath = None, json: AsJson = False) -> int:
    """Show what brought an order, what its strategy and the risk checks saw, and what became of it.

    Parameters
    ----------
    order_id
        Number of the order, or its id at the broker (RUN-NUMBER).
    run
        Run the order belongs to.
    """
    from openbell.services.replay.explain import explain as explain_order

    with _open(journal) as opened:
        found = explain_order(opened, order_id, run)
    if json:
        _print_json(found.to_dict())
    else:
        print(found)
    return 0


def runs(*, journal: JournalPath = None, json: AsJson = False) -> int:
    """List the runs of a journal, oldest first."""
    with _open(journal) as opened:
        found = opened.runs()
    if json:
        _print_json([_row(run) for run in found])
        return 0
    print(f"{'run':<17} {'begun':<25} {'status':<18} {'events':>13} {'commands':>11} {'crashes':>7}  strategies")
    for run in found:
        row = _row(run)
        print(
            f"{row['run']:<17} {row['created']:<25} {row['status']:<18} {row['events']:>13,} {row['commands']:>11,} "
            f"{row['recoveries']:>7}  {', '.join(row['strategies'])}"
        )
    return 0


def journal_path(given: Path | None = None) -> Path:
    """The journal that was named, or the one of the settings."""
    if given is not None:
        return given
    from openbell.config import load_settings

    return Path(load_settings().trading.data_dir) / JOURNAL_FILE


def _open(given: Path | None) -> SqliteJournal:
    from openbell.adapters.stores.journal import SqliteJournal

    return SqliteJournal(journal_path(given), writable=False)


def _row(run: Run) -> dict[str, Any]:
    from openbell.model.time import format_time

    return {
        "run": run.id, "created": format_time(run.created_ns), "status": run.status, "events": run.seq, "commands": run.commands,
        "sent": run.sent, "recoveries": run.recoveries, "source": run.source, "version": run.version,
        "strategies": [item["id"] for item in run.plan["assignments"]],
    }  # fmt: skip


def _print_json(value: Any) -> None:
    import msgspec

    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())
