"""What a strategy declares: parameters, the fields of its state, its file; and what it is told when something is wrong."""

import re
from dataclasses import dataclass

import numpy as np
import pytest

from openbell.errors import CompileError, StrategyError, UnknownNameError
from openbell.indicators.sma import Sma
from openbell.strategies.load import SHIPPED, load
from openbell.strategies.strategy import Param, Strategy, declare, handlers, is_portfolio, param, parameters
from tests.unit.engine.scene import Scene

HEAD = "from openbell.strategies.strategy import Strategy, param\nfrom openbell.indicators.sma import Sma\n"
MINE = """class Mine(Strategy):
    def setup(self):
        self.total = 0.0
        self.average = Sma(3)

    def on_bar(self, bar, broker):
        self.total += 1.0
        {line}
"""


class Simple(Strategy):
    """A whole parameter and a real one."""

    fast = param(20, 5, 100)
    share = param(0.5, 0.0, 1.0)
    free = param(7)

    def on_bar(self, _bar, _broker):
        """Nothing."""


class Child(Simple):
    """Changes one, adds one."""

    fast = param(30, 5, 100)
    slow = param(50, 20, 400)


def write(folder, text, name="mine.py"):
    path = folder / name
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_shipped(name):
    """Every shipped strategy loads by its name, is documented, declares with its defaults and at both ends of its ranges."""
    cls = load(name)
    assert cls.__doc__
    declare(cls, {}, 3)
    for end in ("low", "high"):
        declare(cls, {key: getattr(value, end) for key, value in parameters(cls).items()}, 3)


def test_parameters_in_order_and_inherited():
    """Those of the base first; a child's own default wins."""
    assert list(parameters(Child)) == ["fast", "share", "free", "slow"]
    assert parameters(Child)["fast"] == Param(30, 5, 100)


def test_parameters_are_set_before_setup():
    """Defaults, and what was given instead."""
    record = declare(Simple, {"fast": 6, "share": 0.25}, 1)
    assert (record["fast"], record["share"], record["free"]) == (6, 0.25, 7)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"fats": 20}, "Simple has no parameter 'fats'; expected one of fast, share, free. Did you mean 'fast'?"),
        ({"zzz": 20}, "Simple has no parameter 'zzz'; expected one of fast, share, free. Use one of: fast, free, share."),
        ({"fast": 4}, "Simple.fast is 4; expected from 5 to 100."),
        ({"fast": 101}, "Simple.fast is 101; expected from 5 to 100."),
        ({"fast": 20.5}, "Simple.fast is 20.5; expected a whole number."),
        ({"fast": float("nan")}, "Simple.fast is nan; expected from 5 to 100."),
        ({"share": float("nan")}, "Simple.share is nan; expected from 0.0 to 1.0."),
        ({"free": float("inf")}, "Simple.free is inf; expected a finite number."),
        ({"share": "much"}, "Simple.share is 'much'; expected a number."),
        ({"share": None}, "Simple.share is None; expected a number."),
    ],
)
def test_parameters_out_of_range(values, message):
    """The message says what was given, what is expected, and the near name."""
    with pytest.raises(StrategyError) as caught:
        declare(Simple, values, 1)
    assert str(caught.value) == message


@pytest.mark.parametrize(("values", "expected"), [({"fast": "20"}, 20), ({"fast": 20.0}, 20), ({"fast": 5}, 5), ({"fast": 100}, 100)])
def test_parameters_in_range(values, expected):
    """Text from a command line counts as its number; both ends belong to the range."""
    assert declare(Simple, values, 1)["fast"] == expected


def test_a_default_out_of_its_range():
    """Said where the class is written."""
    with pytest.raises(StrategyError, match="param default is 3; expected from 5 to 100"):
        param(3, 5, 100)


def test_fields():
    """Numbers, arrays, indicators and lists of them become state; each keeps its value."""

    class Fields(Simple):
        def setup(self):
            self.whole, self.real, self.flag = 3, 2.5, True
            self.array = np.arange(6.0).reshape(2, 3)
            self.small = np.array([1, 2], np.int8)
            self.numbers = [1.5, 2]
            self.average = Sma(4)
            self.averages = [Sma(3) for _ in range(self.instruments)]

    record = declare(Fields, {}, 2)
    assert (record["whole"], record["real"], record["flag"]) == (3, 2.5, 1)
    assert record["array"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert record["small"].tolist() == [1, 2]
    assert record["numbers"].tolist() == [1.5, 2.0]
    assert isinstance(record["average"], Sma)
    assert record["averages"].shape == (2,)


@pytest.mark.parametrize("value", ["text", None, {"a": 1}, [], np.zeros(0), np.array(["a"]), [Sma(3), Sma(40)], object, [1, "a"]], ids=str)
def test_fields_that_cannot_be_state(value):
    """The message names the strategy and the field, and what may be there."""

    class Wrong(Simple):
        def setup(self):
            self.thing = value

    with pytest.raises(StrategyError, match=r"Wrong\.setup set self\.thing to .*expected a number, an indicator, a numpy array"):
        declare(Wrong, {}, 1)


def test_setup_that_raises():
    """A mistake in setup is the strategy's, and says which line."""

    class Wrong(Simple):
        def setup(self):
            self.length = self.fats * 2

    with pytest.raises(StrategyError, match=r"Wrong\.setup failed: AttributeError: .*fats.*\(line \d+ of test_declaration\.py\)"):
        declare(Wrong, {}, 1)


def test_no_handler():
    """A strategy that is never called is a mistake."""

    class Silent(Strategy):
        def setup(self):
            self.count = 0

    with pytest.raises(StrategyError, match="Silent has no handler; expected at least one of on_bar, on_trade"):
        declare(Silent, {}, 1)


def test_handlers_are_found():
    """By their names; on_slice makes it a portfolio."""

    class All(Simple):
        def on_slice(self, bars, broker):
            """Nothing."""

        def on_fill(self, fill, broker):
            """Nothing."""

    assert handlers(All) == [0, 3, 5]
    assert is_portfolio(All)
    assert not is_portfolio(Simple)


def test_unknown_strategy():
    """Near names are offered."""
    with pytest.raises(UnknownNameError, match=r"there is no strategy 'bolinger'\. Did you mean 'bollinger'\?"):
        load("bolinger")


def test_a_class_is_itself():
    """A notebook hands over the class."""
    assert load(Simple) is Simple


def test_a_file_of_ones_own(tmp_path):
    """One class in a file is it; among several, the one that is named."""
    one = write(tmp_path, HEAD + "class Mine(Strategy):\n    def on_bar(self, bar, broker): pass\n")
    assert load(one).__name__ == "Mine"
    two = write(tmp_path, HEAD + "".join(f"class {name}(Strategy):\n    def on_bar(self, bar, broker): pass\n" for name in "AB"), "two.py")
    assert load(f"{two}:B").__name__ == "B"
    with pytest.raises(StrategyError, match=r"two\.py has 2 strategies: A, B; expected one .*\. Name one as .*two\.py:ClassName"):
        load(two)
    with pytest.raises(UnknownNameError, match=r"there is no class in .*two\.py 'C'"):
        load(f"{two}:C")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("class Mine(Strategy)\n    pass\n", r"mine\.py, line 3: expected ':': class Mine\(Strategy\); expected valid Python"),
        ("x = 1\n", r"mine\.py has 0 strategies; expected one subclass of Strategy\. Add a class that derives from openbell\.Strategy"),
        ("import no_such_module\n", r"mine\.py could not be loaded: ModuleNotFoundError: No module named 'no_such_module'"),
        ("y = 1 / 0\n", r"mine\.py could not be loaded: ZeroDivisionError: division by zero"),
        ("class Mine(Strategy):\n    fast = param(1, 2, 3)\n", r"mine\.py could not be loaded: StrategyError: param default is 1"),
    ],
)
def test_files_that_cannot_be_loaded(tmp_path, text, message):
    """Each says the file, the reason, and the line where there is one; nothing of it stays loaded."""
    path = write(tmp_path, HEAD + text)
    for _ in range(2):
        with pytest.raises(StrategyError, match=message):
            load(path)


def test_no_such_file(tmp_path):
    """The path, and the names that would do."""
    with pytest.raises(StrategyError, match=r"strategy file .*none\.py does not exist; expected a Python file .* or one of: bollinger"):
        load(str(tmp_path / "none.py"))


@dataclass
class Broken:
    """A handler that cannot compile: its line, and what the message must say."""

    line: str
    says: str


@pytest.mark.parametrize(
    "broken",
    [
        Broken("self.missing = bar.close", "missing"),
        Broken("broker.bye(bar.instrument, 1.0)", "bye"),
        Broken("self.total = bar.clsoe", "clsoe"),
        Broken("self.total = undefined_name", "undefined_name"),
        Broken("self.total = open('/tmp/x')", ""),
        Broken("self.total = {'a': bar}['a'].x", ""),
        Broken("self.average.updat(bar.close)", "updat"),
    ],
    ids=lambda broken: broken.line,
)
def test_a_handler_that_cannot_compile(tmp_path, broken):
    """The message names the handler, the file, the line and its text, and the way out; exit code 5."""
    path = write(tmp_path, HEAD + MINE.format(line=broken.line))
    with pytest.raises(CompileError) as caught:
        Scene(strategy=path, timeframe="1s")
    message = str(caught.value)
    assert re.search(rf"{re.escape(path)}:10\b", message), message
    assert broken.line in message
    assert "Mine.on_bar" in message
    assert broken.says in message
    assert "compiled = False" in message
    assert caught.value.exit_code == 5


def test_a_method_that_cannot_compile(tmp_path):
    """The line of the method that the handler calls, not of the call."""
    path = write(tmp_path, HEAD + MINE.format(line="self.work(bar)\n\n    def work(self, bar):\n        self.total = bar.nothing"))
    with pytest.raises(CompileError, match=rf"{re.escape(path)}:13\b"):
        Scene(strategy=path, timeframe="1s")
