"""`openbell doctor`: what is wrong with this machine or the configuration, and what to type about it."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

if TYPE_CHECKING:
    from openbell.services.doctor.examination import Report
    from openbell.services.doctor.finding import Finding

#: Columns where nobody looks at a terminal: nothing is wrapped.
_ENDLESS = 100_000
#: Columns of the level, and of the name of a check.
_LEVEL, _NAME = 9, 21
#: Below so many columns a text begins under the name of its check.
_NARROW = 80
_COLOURS = {"ok": "green", "warning": "yellow", "problem": "bold red"}
#: What parts a command from what it is for.
_COMMENT = "    # "


def doctor(*, config: Path | None = None, json: Annotated[bool, Parameter(name="--json", negative="", help="Print JSON.")] = False) -> int:
    """Check this machine and the configuration, and say what to type about each problem; exits with 1 when there is one.

    Nothing is changed. Servers are looked at when the settings name them.

    Parameters
    ----------
    config
        YAML file; by default $OPENBELL_CONFIG, or configs/config.yaml where there is one.
    """
    # What client libraries log of a failure is in what is found anyway.
    logging.getLogger().addHandler(logging.NullHandler())
    with _working(not json):
        from openbell.services.doctor.round import examine

        report = examine(config)
    if json:
        _print_json(report)
    else:
        Page(sys.stdout).show(report)
    return 1 if report.level == "problem" else 0


class Page:
    """A report as lines: on a terminal with a colour for each level and within its width, elsewhere plain and not wrapped."""

    def __init__(self, out: Any) -> None:
        from rich.console import Console

        self._console = Console(file=out, highlight=False)
        self._width = self._console.width if self._console.is_terminal else _ENDLESS
        self._indent = 2 + _LEVEL + (0 if self._width < _NARROW else _NAME)

    def show(self, report: Report) -> None:
        """Every group with its findings, and how many of each level there are."""
        groups = list(dict.fromkeys(finding.group for finding in report.findings))
        for group in groups:
            self._line((group, "bold"))
            for finding in report.findings:
                if finding.group == group:
                    self._finding(finding)
        problems, warnings = report.count("problem"), report.count("warning")
        counts = [f"{problems} problem{'s' * (problems != 1)}", f"{warnings} warning{'s' * (warnings != 1)}", f"{report.count('ok')} ok"]
        self._line()
        self._line((f"{', '.join(counts)}, in {report.seconds:.1f} s", _COLOURS[report.level]))

    def _finding(self, finding: Finding) -> None:
        narrow = self._width < _NARROW
        head = f"{finding.check}: " if narrow else f"{finding.check:<{_NAME - 1}} "
        first, *rest = self._wrapped(head + finding.found if narrow else finding.found, len(head) - _NAME if not narrow else 0)
        self._line((f"  {finding.level:<{_LEVEL}}", _COLOURS[finding.level]), ("" if narrow else head, ""), (first, ""))
        more = self._wrapped(f"expected: {finding.expected}") if finding.expected else []
        for line in (*rest, *more):
            self._line((" " * self._indent + line, ""))
        for command in finding.do:
            self._command(command)

    def _command(self, line: str) -> None:
        """A line for a shell, whole, so that it can be copied; what it is for goes below where it has no room."""
        command, parted, comment = line.partition(_COMMENT)
        indent = " " * self._indent
        if line.startswith("# "):
            command, parted, comment = "", _COMMENT, line[2:]
        if command and self._indent + len(line) <= self._width:
            self._line((indent + command, "cyan"), (parted + comment, "dim"))
            return
        if command:
            self._line((indent + command, "cyan"))
        for text in self._wrapped(comment, 2) if parted else ():
            self._line((f"{indent}# {text}", "dim"))

    def _wrapped(self, text: str, less: int = 0) -> list[str]:
        """The text in lines that fit beside the indent; `less` columns are taken by something else."""
        return wrap(text, max(self._width - self._indent - max(less, 0), 20), break_on_hyphens=False) or [""]

    def _line(self, *parts: tuple[str, str]) -> None:
        from rich.text import Text

        self._console.print(Text.assemble(*parts), soft_wrap=True)


@contextlib.contextmanager
def _working(wanted: bool) -> Iterator[None]:
    """Show on a terminal that something takes its time."""
    if not (wanted and sys.stderr.isatty()):
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status("looking"):
        yield


def _print_json(report: Report) -> None:
    import msgspec

    from openbell import __version__
    from openbell.services.doctor.finding import LEVELS

    value = {
        "version": __version__,
        "level": report.level,
        "counts": {level: report.count(level) for level in LEVELS},
        "seconds": round(report.seconds, 3),
        "findings": report.findings,
    }
    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())
