"""Running checks: all at once, each in a thread of its own, within a bounded time, and without a secret in what they say."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from threading import Thread

import msgspec

from openbell.config import Settings
from openbell.config.settings import SECRETS
from openbell.errors import OpenbellError
from openbell.services.doctor.finding import LEVELS, Finding, Level, problem

#: Seconds that all checks have together. A server that does not answer takes two to three of them.
SECONDS_MAX = 8.0
_HIDDEN = "***"
#: What is shorter is part of ordinary words.
_SECRET_LENGTH = 4


@dataclass(frozen=True, slots=True)
class Check:
    """Something to look at: the group it is shown in, its name for the case that it does not end, and the looking itself."""

    group: str
    name: str
    look: Callable[[], Iterable[Finding]]


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that was found, in the order of the checks."""

    findings: tuple[Finding, ...]
    seconds: float

    @property
    def level(self) -> Level:
        """The worst there is."""
        return max((finding.level for finding in self.findings), key=LEVELS.index, default="ok")

    def count(self, level: Level) -> int:
        """Findings of a level."""
        return sum(finding.level == level for finding in self.findings)


def run(checks: Sequence[Check], secrets: Iterable[str] = (), seconds: float = SECONDS_MAX) -> Report:
    """Run all checks at once. One that fails, or is not back in time, is a problem of its own and holds up nobody."""
    began = time.monotonic()
    found: dict[int, list[Finding]] = {}

    def look(index: int) -> None:
        found[index] = _findings(checks[index])

    # Daemons: a check that hangs in a name server or on a dead disk must not keep the process.
    threads = [Thread(target=look, args=(index,), daemon=True) for index in range(len(checks))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, began + seconds - time.monotonic()))
    hidden = sorted((secret for secret in secrets if len(secret) >= _SECRET_LENGTH), key=len, reverse=True)
    findings = [
        _without(hidden, msgspec.structs.replace(finding, group=check.group))
        for index, check in enumerate(checks)
        for finding in (found[index] if index in found else [_late(check, seconds)])
    ]
    return Report(tuple(findings), time.monotonic() - began)


def secrets_of(settings: Settings) -> set[str]:
    """The values that may not be shown. One that is also a user's name, or a default that everybody knows, tells nothing."""
    known, secret = set(), set()
    for section, defaults in ((getattr(settings, name), getattr(Settings(), name)) for name in settings.__struct_fields__):
        for name in section.__struct_fields__:
            value = getattr(section, name)
            if name not in SECRETS:
                known.add(str(value))
            elif value != getattr(defaults, name):
                secret.add(str(value))
    return secret - known - {""}


def _findings(check: Check) -> list[Finding]:
    try:
        return list(check.look())
    except OpenbellError as error:
        return [problem(check.name, error.found, error.expected, *([f"# {error.do}"] if error.do else []))]
    except (Exception, SystemExit) as error:  # whatever it is, the other checks have something to say, and this one says what it was
        text = " ".join(f"{type(error).__name__}: {error}".split())
        return [problem(check.name, f"the check itself failed: {text}", "a check that ends", "openbell version    # say it with a report")]


def _late(check: Check, seconds: float) -> Finding:
    return problem(
        check.name, f"nothing after {seconds:g} s", "an answer", "openbell doctor    # once more; a disk or a name server may hang"
    )


def _without(hidden: list[str], finding: Finding) -> Finding:
    """The finding with every secret blotted out: the last of several safeguards."""

    def clean(text: str) -> str:
        for secret in hidden:
            text = text.replace(secret, _HIDDEN)
        return text

    return msgspec.structs.replace(
        finding, found=clean(finding.found), expected=clean(finding.expected), do=tuple(clean(line) for line in finding.do)
    )
