"""The architecture, top to bottom. A room may import itself and rooms of lower rows."""

from tests.tidy.source import imports, modules

LAYERS = [
    "__main__",
    "cli",
    "client",
    "services",
    "observability",
    "config research web",
    "backtest",
    "adapters engine",
    "alerts strategies",
    "analytics bars indicators risk execution portfolio",
    "proto",
    "model",
    "errors",
    "__init__",  # `from openbell import __version__`: it imports nothing by itself
]
SEES_ONLY = {
    "adapters": {"model", "errors", "proto", "__init__"},
    "alerts": {"bars", "indicators", "model", "errors"},
    "analytics": {"model", "errors"},
    "strategies": {"indicators", "model", "errors"},
    "bars": {"model", "errors"},
    "indicators": {"model", "errors"},
    "risk": {"model", "errors"},
    "execution": {"model", "errors"},
    "portfolio": {"model", "errors"},
    "proto": set(),
    "web": set(),
    "errors": set(),
}
#: A shell below the services may see one protocol of the adapters: the readers of history.
BACKTEST_SEES_OF_ADAPTERS = "openbell.adapters.stores"

PURE = set("model bars indicators analytics alerts strategies risk execution portfolio engine".split())
PURE_MAY_IMPORT = set(
    "__future__ abc collections copy dataclasses datetime decimal enum fractions functools hashlib "
    "inspect itertools math operator re types typing numpy openbell".split()
)
#: What single files of the pure core need besides: compiling, caching and reading source are their job.
ALSO = {
    "model/jit.py": set("ctypes importlib os pathlib sys".split()),
    "model/numba_cache.py": set("contextlib fcntl numba os pathlib".split()),
    "model/numba_inner.py": {"numba"},
    "model/numba_primitives.py": {"llvmlite", "numba"},
    "model/numba_types.py": set("llvmlite numba os sys".split()),
    "model/compile_errors.py": {"pathlib"},
    "model/fingerprint.py": {"sys"},
    "strategies/load.py": set("importlib pathlib sys".split()),
}
RANK = {name: len(LAYERS) - row for row, names in enumerate(LAYERS) for name in names.split()}


def target(name):
    """The room an import of ours leads to: `openbell.model.jit.Record` -> `model`."""
    rest = name.split(".")[1:]
    return rest[0] if rest and rest[0] in RANK else "__init__"


def test_every_room_has_a_row():
    """A new folder or file at the top of the package has to be given its place in the architecture."""
    assert {module.room for module in modules()} <= set(RANK)


def test_every_import_points_down():
    """No import leads up, and none sideways to another room of the same row."""
    wrong = []
    for module in modules():
        if module.room == "__init__":
            continue  # looks everything up lazily; test_public_surface.py watches it
        for node, name in imports(module):
            if name.split(".")[0] != "openbell":
                continue
            there = target(name)
            if there == module.room:
                continue
            allowed = SEES_ONLY.get(module.room, {there})
            if RANK[there] >= RANK[module.room] or there not in allowed:
                wrong.append(f"{module.at(node)}: {module.room} must not import {there}")
            if module.room == "backtest" and there == "adapters" and not name.startswith(BACKTEST_SEES_OF_ADAPTERS):
                wrong.append(f"{module.at(node)}: of the adapters, backtest sees only {BACKTEST_SEES_OF_ADAPTERS}")
    assert wrong == [], "\n".join(wrong)


def test_the_core_is_pure():
    """Nothing that reads a clock, a socket or a file is imported from model to engine."""
    wrong = []
    for module in modules():
        if module.room not in PURE:
            continue
        for node, name in imports(module):
            root = name.split(".")[0]
            if root not in PURE_MAY_IMPORT | ALSO.get(module.name, set()):
                wrong.append(f"{module.at(node)}: {root} does not belong in the pure core")
    assert wrong == [], "\n".join(wrong)


def test_the_adapters_do_not_see_each_other():
    """One kind of adapter, as `adapters/feeds`, never imports another kind. A file beside the folders is no kind: a server of several."""
    kinds = {module.name.split("/")[1] for module in modules() if module.room == "adapters" and module.name.count("/") > 1}
    wrong = []
    for module in modules():
        if module.room == "adapters" and module.name.count("/") > 1:
            here = module.name.split("/")[1]
            for node, name in imports(module):
                parts = name.split(".")
                if parts[:2] == ["openbell", "adapters"] and len(parts) > 2 and parts[2] in kinds - {here}:
                    wrong.append(f"{module.at(node)}: adapters/{here} must not import adapters/{parts[2]}")
    assert wrong == [], "\n".join(wrong)
