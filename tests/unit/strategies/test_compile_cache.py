"""Machine code kept on disk: an edit anywhere is seen, the folder is the one asked for, and without one everything still works."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from openbell.model.fingerprint import fingerprint
from openbell.model.jit import PACKAGE, PURE_ROOMS
from openbell.strategies.strategy import Strategy
from tests.unit.engine.scene import Scene

FILE = """
from openbell.strategies.strategy import Strategy
{before}

class Mine(Strategy):
    def setup(self):
        self.seen = 0.0

    def on_trade(self, trade, broker):
        self.seen = {expression}
"""


def seen(strategy):
    """What the strategy makes of a trade at 100."""
    scene = Scene(strategy=strategy)
    scene.trade(100.0)
    return float(scene.engine.records(0)[0]["seen"])


def python(code, **environment):
    """The output of a new process."""
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_an_edit_of_a_strategy_is_seen(tmp_path):
    """Edited, edited back: always what the file says, though both versions are on disk as machine code."""
    path = tmp_path / "mine.py"
    for factor in (2.0, 3.0, 2.0):
        path.write_text(FILE.format(before="", expression=f"trade.price * {factor}"))
        assert seen(str(path)) == 100.0 * factor


def test_an_edit_of_what_a_strategy_imports_is_seen(tmp_path, monkeypatch):
    """A constant of another file is frozen into machine code; when that file is edited, the code is made anew."""
    monkeypatch.syspath_prepend(str(tmp_path))
    path = tmp_path / "mine.py"
    for place, (before, expression) in enumerate(
        [("from settings{0} import FACTOR", "trade.price * FACTOR"), ("import settings{0}", "trade.price * settings{0}.FACTOR")]
    ):
        name = f"settings{place}"
        path.write_text(FILE.format(before=before.format(place), expression=expression.format(place)))
        for factor in (2.0, 5.0):
            (tmp_path / f"{name}.py").write_text(f"FACTOR = {factor}\n#{factor}\n")
            for module in [key for key in sys.modules if key == name or key.startswith("openbell_strategy_mine")]:
                del sys.modules[module]
            shutil.rmtree(tmp_path / "__pycache__", ignore_errors=True)
            assert seen(str(path)) == 100.0 * factor


def made(factor):
    """A class that closes over a number."""

    class Mine(Strategy):
        def setup(self):
            self.seen = 0.0

        def on_trade(self, trade, _broker):
            self.seen = trade.price * factor

    return Mine


def test_classes_of_one_name_are_told_apart():
    """The same file, the same lines, another value in the closure."""
    assert [seen(made(factor)) for factor in (2.0, 3.0)] == [200.0, 300.0]
    assert fingerprint(made(2.0)) == fingerprint(made(2.0)) != fingerprint(made(3.0))


def test_a_class_of_a_prompt():
    """It has no file, and may be defined again."""
    code = """
from tests.unit.strategies.test_compile_cache import Strategy, seen
for factor in ("2.0", "3.0"):
    exec(f'''class Mine(Strategy):
    def setup(self):
        self.seen = 0.0
    def on_trade(self, trade, broker):
        self.seen = trade.price * {factor}
''')
    print(seen(Mine))
"""
    assert python(code).split() == ["200.0", "300.0"]


def test_a_fingerprint_is_the_same_in_every_process():
    """Whatever the hashes of strings are."""
    code = "from tests.properties.strategies import RandomOrders as R; from openbell.model.fingerprint import fingerprint as f; print(f(R))"
    assert len({python(code, PYTHONHASHSEED=seed) for seed in ("0", "1", "2")}) == 1


def test_a_type_has_the_same_name_in_every_process():
    """Whichever types were there before: machine code from disk calls functions by names with the names of types in them."""
    code = """
from openbell.indicators.sma import Sma
from openbell.model.numba_types import record_type
from tests.unit.strategies.test_compile_cache import made
from openbell.strategies.strategy import declare
for length in {lengths}:
    record_type(Sma(length).dtype)
print(*(record_type(dtype).mangling_args for dtype in (Sma(20).dtype, Sma(40).dtype, declare(made(2.0), dict(), 1).dtype)), sep=";")
"""
    first, second = (python(code.replace("{lengths}", lengths)).strip() for lengths in ("()", "(500, 40, 3)"))
    assert first == second
    assert len(set(first.split(";"))) == 3


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy of the package, to edit."""
    folder = tmp_path_factory.mktemp("copy")
    shutil.copytree(PACKAGE, folder / "openbell", ignore=shutil.ignore_patterns("__pycache__", "static", "*.parquet", "*.gz"))
    return folder


def test_an_edit_of_the_kernel_changes_its_hash(copy):
    """One more line in any room of the core is another hash, so another folder; one in the command line is not."""
    code = f"import sys; sys.path.insert(0, {str(copy)!r}); from openbell.model import jit; print(jit.source_hash(), jit.PACKAGE)"
    before, package = python(code).split()
    assert package == str(copy / "openbell")
    hashes = {before}
    for room in PURE_ROOMS:
        file = sorted((copy / "openbell" / room).rglob("*.py"))[-1]
        file.write_text(file.read_text() + "# one more\n")
        hashes.add(python(code).split()[0])
    assert len(hashes) == 1 + len(PURE_ROOMS)
    last = python(code).split()[0]
    file = copy / "openbell" / "errors.py"
    file.write_text(file.read_text() + "# one more\n")
    assert python(code).split()[0] == last


COMPILE = """
from openbell.model import jit
from openbell.model.money import round_half_up
print(round_half_up(2.5), jit.cache_folder())
"""


def test_the_cache_folder_is_the_one_asked_for(tmp_path):
    """OPENBELL_CACHE, under the versions and the hash; the second process compiles nothing."""
    for _ in range(2):
        result, folder = python(COMPILE, OPENBELL_CACHE=str(tmp_path)).split()
        assert result == "3"
        assert Path(folder).is_relative_to(tmp_path / "compiled")
        kept = {file: file.stat().st_mtime_ns for file in Path(folder).rglob("*.nb*")}
        assert len(kept) >= 2
    assert kept == {file: file.stat().st_mtime_ns for file in Path(folder).rglob("*.nb*")}


@pytest.mark.parametrize("place", ["/proc/openbell", "file"])
def test_a_folder_that_cannot_be_written(tmp_path, place):
    """A kernel and a strategy's handler are compiled, and used, and kept nowhere."""
    if place == "file":
        place = str(tmp_path / "file" / "below")
        (tmp_path / "file").write_text("not a folder")
    code = """
import numpy as np
from openbell.engine.broker import BROKER
from openbell.model.events import TRADE_RECORD
from openbell.model.jit import call, handler
from openbell.model.money import round_half_up
from openbell.strategies.strategy import declare
from tests.unit.strategies.test_compile_cache import made
cls = made(4.0)
record = declare(cls, {}, 1)
code = handler(cls, "on_trade", record.dtype, TRADE_RECORD, BROKER, True, [])
trade, broker, state = np.zeros(1, TRADE_RECORD), np.zeros(1, BROKER), np.zeros(1, record.dtype)
trade["price"] = 100.0
from numba import njit
run = njit(lambda a, b, c, d: call(a, b, c, 1, d))
print(round_half_up(2.5), run(code.address, state.ctypes.data, trade.ctypes.data, broker.ctypes.data), state["seen"][0])
"""
    assert python(code, OPENBELL_CACHE=place).split() == ["3", "0", "400.0"]
    assert not Path(place).exists()
