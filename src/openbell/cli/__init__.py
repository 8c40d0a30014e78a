"""The `openbell` command. Commands are named by where they live and imported when they are called, so the help page is there at once."""

import sys
from collections.abc import Sequence

from openbell import __version__
from openbell.errors import OpenbellError

__all__ = ["main"]

#: Command, where it lives, what it does.
COMMANDS = (
    ("demo", "openbell.cli.demo:demo", "Play recorded real ticks through the whole platform, with a page to watch it."),
    ("up", "openbell.cli.up:up", "Run the platform with configs/config.yaml, the environment and .env."),
    ("serve", "openbell.cli.serve:serve", "Run one service of the platform in a process of its own."),
    ("backtest", "openbell.cli.backtest:backtest", "Run a strategy over history."),
    ("runs", "openbell.cli.replay:runs", "List the runs of the journal."),
    ("replay", "openbell.cli.replay:replay", "Step a journaled run again and compare every command."),
    ("explain", "openbell.cli.replay:explain", "Show why an order was placed and what became of it."),
    ("database", "openbell.cli.database:database", "Show the revision of the tables, or bring them to the newest."),
    ("dead-letters", "openbell.cli.dead_letters:app", "Look at the messages that nobody could deal with, send them back, or drop them."),
    ("alerts", "openbell.cli.alerts:app", "Have a price watched: add, list and remove alerts."),
    ("analytics", "openbell.cli.analytics:app", "What moves, how much it varies, what moves together, what is out of the ordinary."),
    ("users", "openbell.cli.users:app", "Say who may sign in, and as what; read the audit log."),
    ("keys", "openbell.cli.keys:app", "Let programs in: add, list and revoke API keys."),
    ("notify", "openbell.cli.notify:app", "Telegram, Discord, e-mail and others: where people are told of what happens."),
    ("control", "openbell.cli.control:app", "Ask running services how they stand, pause and resume them."),
    ("verify", "openbell.cli.verify:verify", "Follow one marked tick through the running platform, and say where it was lost."),
    ("doctor", "openbell.cli.doctor:doctor", "Check this machine and the configuration, and say what to type about each problem."),
    ("version", "openbell.cli:version", "Print the version."),
)

#: What a shell says of a process that was interrupted.
INTERRUPTED = 130


def version() -> None:
    """Print the version."""
    print(__version__)


def main() -> None:
    """The command line: run a command and exit with its code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run a command; returns its exit code. An error of ours is one line on stderr, without a traceback."""
    from cyclopts import App, CycloptsError

    app = App(
        name="openbell",
        help="Algorithmic trading with one compiled kernel for research, backtests, paper and live trading.",
        version=__version__,
        exit_on_error=False,
        print_error=False,
        result_action="return_value",
        suppress_keyboard_interrupt=False,
        help_format="plaintext",
    )
    for name, where, about in COMMANDS:
        app.command(where, name=name, help=about)
    try:
        result = app(list(arguments))
    except OpenbellError as error:
        print(f"openbell: {error}", file=sys.stderr)
        return error.exit_code
    except CycloptsError as error:
        print(f"openbell: {' '.join(str(error).split())} See openbell --help.", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return 0
    return result if isinstance(result, int) else 0
