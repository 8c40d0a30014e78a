"""The habits of the house, each with what to write instead.

A line may excuse itself with the rule's name and a reason: `now = time.time()  # tidy: clock, because ...`.
"""

import ast
import re

import pytest

from tests.tidy.source import ROOT, imports, modules

#: Rooms that may read a clock. Everything below them gets the time as an argument.
SHELL = {"cli", "client", "services", "observability", "adapters", "__main__"}
CLOCKS = {
    "time.time": "the event's ts_ns, or take now_ns as an argument",
    "time.time_ns": "the event's ts_ns, or take now_ns as an argument",
    "time.monotonic": "an elapsed time measured in services/",
    "datetime.now": "a now_ns argument",
    "datetime.utcnow": "a now_ns argument",
    "datetime.today": "a now_ns argument",
    "date.today": "a now_ns argument",
    "random": "numpy.random.Generator made from a seed argument",
    "np.random.seed": "numpy.random.default_rng(seed)",
    "uuid.uuid4": "an id derived from (run, seq)",
}
#: Never, in any room.
BANNED = {
    "datetime.utcnow": "datetime.now(UTC), in services/ only",
    "pickle.load": "numpy.frombuffer and msgspec: a checkpoint must not run code",
    "pickle.loads": "numpy.frombuffer and msgspec: a checkpoint must not run code",
    "eval": "a parser",
    "exec": "importlib",
    "os.system": "subprocess.run with a list",
    "os.popen": "subprocess.run with a list",
    "marshal.loads": "msgspec",
    "yaml.load": "yaml.safe_load",
    "yaml.unsafe_load": "yaml.safe_load",
}
#: These two write the source of wrappers for the compiler.
WRITES_CODE = {"model/numba_types.py", "engine/build.py"}
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK|NotImplementedError|not implemented|placeholder|stub|for now)\b")
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "core", "stuff"}

LINES_MAX = 500
LINES_QUESTIONED = 300
#: Modules longer than LINES_QUESTIONED, with the length they may not exceed. The list only ever gets shorter.
LONG: dict[str, int] = {}


def dotted(node):
    """The dotted name a call is written with: `np.random.seed`, or "" when it is not a plain name."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ""


def calls(module):
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and (name := dotted(node.func)):
            yield node, name


def matches(name, banned):
    """The entry of a table a call falls under, as `datetime.datetime.now` under `datetime.now`."""
    for entry, instead in banned.items():
        if name == entry or name.endswith(f".{entry}") or name.startswith(f"{entry}."):
            return entry, instead
    return None


def test_nothing_below_the_services_reads_a_clock_or_rolls_dice():
    """Time and randomness are arguments, or a replay would differ."""
    wrong = []
    for module in modules():
        if module.room in SHELL:
            continue
        for node, name in calls(module):
            if (hit := matches(name, CLOCKS)) and not module.excused(node, "clock"):
                wrong.append(f"{module.at(node)}: {name}() reads the outside; use {hit[1]}")
        for node, name in imports(module):
            if name.split(".")[0] in {"random", "secrets"} and not module.excused(node, "clock"):
                wrong.append(f"{module.at(node)}: import {name}; use {CLOCKS['random']}")
    assert wrong == [], "\n".join(wrong)


def test_banned_calls():
    """Calls that have a better form everywhere."""
    wrong = []
    for module in modules():
        for node, name in calls(module):
            if name in {"eval", "exec"} and module.name in WRITES_CODE:
                continue
            if name in BANNED and not module.excused(node, "call"):
                wrong.append(f"{module.at(node)}: {name}(); use {BANNED[name]}")
    assert wrong == [], "\n".join(wrong)


def test_no_shell_and_no_code_in_data():
    """Nothing is run by a shell, and no array is read that may hold objects."""
    wrong = [
        f"{module.at(node)}: {keyword.arg}=True; use a list of arguments, or a format without code"
        for module in modules()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg in ("shell", "allow_pickle") and not (isinstance(keyword.value, ast.Constant) and keyword.value.value is False)
    ]
    assert wrong == [], "\n".join(wrong)


def test_print_is_for_the_command_line():
    """Only cli/ prints; services and adapters log, the core is silent."""
    wrong = [
        f"{module.at(node)}: print(); use structlog in services/ and adapters/, a return value elsewhere"
        for module in modules()
        if module.room != "cli"
        for node, name in calls(module)
        if name == "print" and not module.excused(node, "print")
    ]
    assert wrong == [], "\n".join(wrong)


def test_nothing_is_swallowed():
    """No bare `except`, and no broad one that does nothing."""
    wrong = []
    for module in modules():
        for node in ast.walk(module.tree):
            if not isinstance(node, ast.ExceptHandler):
                continue
            broad = node.type is None or dotted(node.type) in {"Exception", "BaseException"}
            silent = all(isinstance(line, ast.Pass | ast.Continue) for line in node.body)
            if node.type is None:
                wrong.append(f"{module.at(node)}: bare except; name the errors")
            elif broad and silent:
                wrong.append(f"{module.at(node)}: a silent broad except; log once and decide: retry, degrade, stop")
    assert wrong == [], "\n".join(wrong)


def test_only_one_place_imports_numba():
    """numba costs 88 MB and 150 ms: model/jit.py and its other half load it, at the first compilation."""
    allowed = {"model/jit.py", *(f"model/numba_{part}.py" for part in ("cache", "inner", "primitives", "types"))}
    wrong = [
        f"{module.at(node)}: import {name}; use openbell.model.jit"
        for module in modules()
        if module.name not in allowed
        for node, name in imports(module)
        if name.split(".")[0] in {"numba", "llvmlite"}
    ]
    assert wrong == [], "\n".join(wrong)


def test_imports_are_written_in_full():
    """No relative and no star imports."""
    wrong = [
        f"{module.at(node)}: {name}; write the full name, openbell.…"
        for module in modules()
        for node, name in imports(module)
        if name.startswith(".") or name.endswith(".*")
    ]
    assert wrong == [], "\n".join(wrong)


def test_nothing_says_that_it_is_unfinished():
    """What is missing belongs in the changelog or the documentation, not in a comment."""
    wrong = [
        f"src/openbell/{module.name}:{number}: {found.group(0)}"
        for module in modules()
        for number, line in enumerate(module.lines, 1)
        if (found := UNFINISHED.search(line))
    ]
    assert wrong == [], "\n".join(wrong)


def test_every_file_starts_with_its_idea():
    """A reader meets a docstring first; an empty `__init__.py` is fine."""
    wrong = [
        f"src/openbell/{module.name}: begin with a docstring that says what the file answers"
        for module in modules()
        if module.lines and not ast.get_docstring(module.tree)
    ]
    assert wrong == [], "\n".join(wrong)


def test_modules_are_short():
    """At most 300 lines, 500 for those on the list, and the list only gets shorter."""
    wrong = []
    for module in modules():
        length, limit = len(module.lines), min(LONG.get(module.name, LINES_QUESTIONED), LINES_MAX)
        if length > limit:
            wrong.append(f"src/openbell/{module.name}: {length} lines, at most {limit}; does it answer two questions?")
    gone = {name for name in LONG if name not in {module.name for module in modules()}}
    assert wrong == [], "\n".join(wrong)
    assert gone == set(), f"take off the list: {gone}"


def test_no_vague_names():
    """A file is named after the question it answers."""
    wrong = [
        f"src/openbell/{module.name}" for module in modules() for part in module.name.removesuffix(".py").split("/") if part in VAGUE_NAMES
    ]
    assert wrong == [], "\n".join(wrong)


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_locks_hold_no_address(lock):
    """A lock pins versions and hashes; where packages come from is the user's setting."""
    assert re.findall(r"https?://\S+", (ROOT / lock).read_text()) == []
