"""The package's source as the tidy tests see it: every module, parsed once."""

import ast
import functools
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SRC = ROOT / "src/openbell"
#: What `make proto` writes.
GENERATED = ("_pb2.py", "_pb2_grpc.py")


@dataclass(frozen=True)
class Module:
    """One file of the package."""

    path: Path
    name: str  #: relative to the package, as `model/jit.py`
    room: str  #: the top folder or file: `model`, `errors`
    lines: tuple[str, ...]
    tree: ast.Module

    def at(self, node: ast.AST) -> str:
        """Where a node stands, as a reader would look it up."""
        return f"src/openbell/{self.name}:{node.lineno}"

    def excused(self, node: ast.AST, rule: str) -> bool:
        """Whether the node's line carries the escape comment of a rule: `# tidy: clock, because ...`."""
        return f"# tidy: {rule}, because " in self.lines[node.lineno - 1]


@functools.cache
def modules() -> tuple[Module, ...]:
    """Every module that people wrote, sorted."""
    found = []
    for path in sorted(SRC.rglob("*.py")):
        name = path.relative_to(SRC).as_posix()
        if not name.endswith(GENERATED):
            text = path.read_text(encoding="utf-8")
            room = path.relative_to(SRC).parts[0].removesuffix(".py")
            found.append(Module(path, name, room, tuple(text.splitlines()), ast.parse(text, str(path))))
    return tuple(found)


def imports(module: Module):
    """Every import of a module, wherever it stands, as (node, full dotted name)."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node, alias.name
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield node, "." * node.level + f"{node.module or ''}.{alias.name}"
