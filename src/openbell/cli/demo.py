"""`openbell demo`: recorded real ticks through the whole platform, to look at, or at full speed to the end."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

#: The recorded session lasts eleven minutes; at this speed half of that.
DEFAULT_SPEED = "2"


def demo(
    *,
    speed: str = DEFAULT_SPEED,
    exit: Annotated[bool, Parameter(negative="")] = False,
    json: Path | None = None,
    port: int | None = None,
    data_dir: Path | None = None,
    feed: Literal["recorded", "simulated"] = "recorded",
    fresh: Annotated[bool, Parameter(negative="")] = False,
    processes: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Play recorded real ticks through the whole platform, with a page to watch it on http://127.0.0.1:8081.

    Stop it with Ctrl-C, or kill it: started again, it goes on where it was. A session that has come to its end begins anew.

    Parameters
    ----------
    speed
        Times real time, such as 1, 2 or 20, or max for as fast as it goes.
    exit
        Run to the end of the recording without the page, and exit: a run of its own, which `openbell replay last` then finds. A folder
        named by --data-dir is gone on with where it was (unless --fresh), and ends as if nobody had interrupted it.
    json
        Write what came of it to this file (with --exit).
    port
        Port of the page and the API.
    data_dir
        Folder of the journal and the candles; `data` by default.
    feed
        The recorded session, or a simulated market that never ends.
    fresh
        Begin a new run in place of going on with the last one.
    processes
        With --exit: each service in a process of its own, over the servers that the settings name (scripts/services.sh starts them).
    """
    from openbell.adapters.feeds.replay import parse_speed
    from openbell.errors import UsageError

    parsed = parse_speed(speed)
    if json is not None and not exit:
        raise UsageError("--json was given without --exit", "both", "add --exit")
    if exit and feed == "simulated":
        raise UsageError("--exit was given with a market that never ends", "the recorded session", "leave out --feed simulated")
    if json is not None and not json.absolute().parent.is_dir():
        raise UsageError(f"folder {json.absolute().parent} does not exist", "a folder to write to", "make it first")
    if processes and not exit:
        raise UsageError("--processes was given without --exit", "both", "add --exit; `openbell serve` runs single services")
    if processes:
        from openbell.cli.demo_processes import run_in_processes

        run_in_processes(speed, json, data_dir)
    elif exit:
        from openbell.cli.demo_exit import run_to_the_end

        run_to_the_end(parsed, json, data_dir, fresh)
    else:
        from openbell.cli.platform import serve_demo

        serve_demo(parsed, port, data_dir, feed, fresh)
