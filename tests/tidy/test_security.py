"""Security as it is written down: every row of its table is there, every test it names is there, and no key is in the repository."""

import ast
import re

from tests.tidy.source import ROOT

TABLE = (ROOT / "docs/concepts/security.md").read_text(encoding="utf-8")
ROWS = [f"S{number}" for number in (*range(1, 30), 32)]
NAMED = re.compile(r"`([a-z_/]+/test_[a-z_]+\.py)::(test_\w+)`")
#: Folders that are not ours, or not kept.
LEFT_OUT = {
    ".git",
    ".pytest_cache",
    ".venv",
    "node_modules",
    "static",
    "__pycache__",
    ".next",
    "data",
    "run",
    ".ruff_cache",
    ".mypy_cache",
    ".hypothesis",
}
SECRETS = {
    "a private key": r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----\s+[A-Za-z0-9+/]{40}",
    "a key of AWS": r"\bAKIA[0-9A-Z]{16}\b",
    "a token of GitHub": r"\bgh[pousr]_[A-Za-z0-9]{36}\b",
    "a token of Slack": r"\bxox[abprs]-[0-9A-Za-z-]{20,}",
    "a key of Google": r"\bAIza[0-9A-Za-z_-]{35}\b",
    "a key of Stripe": r"\b[rs]k_live_[0-9A-Za-z]{20,}",
    "an API key of openbell": r"\bobk_[0-9a-f]{16}_[0-9a-f]{64}\b",
    "a token of Telegram": r"\b[0-9]{8,10}:AA[0-9A-Za-z_-]{33}\b",
}
#: What looks like one and is none: the stand-in for Telegram has a token of its own.
KNOWN = {"tests/sinks.py": "a token of Telegram"}


def test_every_row_is_there():
    """Once, in order, and says what holds it."""
    rows = [line for line in TABLE.splitlines() if re.match(r"\| S\d", line)]
    assert [line.split(" ")[1] for line in rows] == ROWS
    assert [line[:6] for line in rows if not NAMED.search(line)] == []


def test_every_test_that_is_named_is_there():
    """A test that was renamed is renamed in the table too."""
    missing, known = [], {}
    for file, name in NAMED.findall(TABLE):
        path = ROOT / "tests" / file
        if file not in known:
            tree = ast.parse(path.read_text(encoding="utf-8")) if path.is_file() else ast.Module([], [])
            known[file] = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
        if name not in known[file]:
            missing.append(f"{file}::{name}")
    assert missing == []
    assert len(known) > 20


def test_no_secret_is_in_the_repository():
    """Nothing that has the form of a key that opens something."""
    found = []
    for path in ROOT.rglob("*"):
        name = path.relative_to(ROOT)
        if set(name.parts) & LEFT_OUT or not path.is_file() or path.stat().st_size > 1 << 20:
            continue
        text = path.read_bytes().decode(errors="replace")
        found += [f"{name}: {what}" for what, pattern in SECRETS.items() if re.search(pattern, text) and KNOWN.get(name.as_posix()) != what]
    assert found == []
