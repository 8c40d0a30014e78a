"""What the tests of the doctor have in common: findings of a process of its own, and packages that are not installed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec

from openbell.services.doctor.finding import Finding

SRC = Path(__file__).resolve().parents[4] / "src"
_PROGRAM = """
import sys
import msgspec
{before}
from openbell.services.doctor import {module}
sys.stdout.buffer.write(msgspec.json.encode(list({module}.{call})))
"""


def in_a_process(module: str, call: str, before: str = "", *flags: str, **environment: str) -> list[Finding]:
    """The findings of `openbell.services.doctor.<module>.<call>` in an interpreter of its own, after some code."""
    program = _PROGRAM.format(before=before, module=module, call=call)
    done = subprocess.run(
        [sys.executable, *flags, "-c", program], env={**os.environ, **environment}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return [msgspec.convert(item, Finding) for item in json.loads(done.stdout)]


def site_without(folder: Path, *names: str) -> str:
    """A PYTHONPATH (for `python -S`) with every installed package but those whose folder begins with one of the names."""
    folder.mkdir()
    for path in Path(msgspec.__file__).parents[1].iterdir():
        if not path.name.lower().startswith(names):
            (folder / path.name).symlink_to(path)
    return f"{SRC}:{folder}"


def levels(findings) -> list[str]:
    """The level of each finding."""
    return [finding.level for finding in findings]
