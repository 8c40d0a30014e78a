"""The public surface: few names, sorted, each of them there, and free until it is used."""

import ast
import subprocess
import sys

import pytest

import openbell
from tests.tidy.source import SRC


def run(code):
    """Run the code in a fresh interpreter and return what it prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_surface_is_small_and_sorted():
    """At most 30 names, sorted, none twice."""
    assert openbell.__all__ == sorted(set(openbell.__all__))
    assert len(openbell.__all__) <= 30


@pytest.mark.parametrize("name", openbell.__all__)
def test_every_name_is_there(name):
    """A name that is promised can be had, and is shown by dir()."""
    assert getattr(openbell, name) is not None
    assert name in dir(openbell)


def test_type_checkers_see_the_same_names():
    """The block for type checkers and `__all__` do not drift apart."""
    tree = ast.parse((SRC / "__init__.py").read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.asname or alias.name for line in block.body for alias in line.names}
    assert seen | {"__version__"} == set(openbell.__all__)


def test_an_unknown_name_is_an_attribute_error():
    """So that hasattr, getattr with a default and `from openbell import x` work as usual."""
    with pytest.raises(AttributeError, match="no attribute 'backtst'"):
        _ = openbell.backtst


@pytest.mark.parametrize(
    "first",
    ["import openbell.backtest", "from openbell import Result", "from openbell import backtest", "pass"],
)
def test_backtest_is_a_function_whatever_was_imported_before(first):
    """The function shares its name with the room: `openbell.backtest(...)` works in any order of imports."""
    assert run(f"import openbell\n{first}\nprint(callable(openbell.backtest))") == "True"
