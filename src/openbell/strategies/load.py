"""Finding a strategy: a shipped one by name, one of your own by the path of its file."""

import importlib
import importlib.util
import sys
from pathlib import Path

from openbell.errors import StrategyError, UnknownNameError
from openbell.model.jit import file_hash
from openbell.strategies.strategy import Strategy

#: Shipped strategies: name -> module and class.
SHIPPED = {
    "bollinger": ("openbell.strategies.bollinger", "BollingerReversion"),
    "manual": ("openbell.strategies.manual", "Manual"),
    "momentum": ("openbell.strategies.momentum", "Momentum"),
    "moving_avg_crossover": ("openbell.strategies.moving_avg_crossover", "MovingAverageCrossover"),
    "rsi": ("openbell.strategies.rsi", "RsiReversion"),
}


def load(source: str | type[Strategy]) -> type[Strategy]:
    """The strategy class of a shipped name, of a file (`path.py`, or `path.py:ClassName` where it has several), or the class itself."""
    if isinstance(source, type):
        return source
    if source in SHIPPED:
        module, name = SHIPPED[source]
        found: type[Strategy] = getattr(importlib.import_module(module), name)
        return found
    path, _, wanted = source.partition(".py:")
    path = path + ".py" if wanted else path
    if not path.endswith(".py"):
        raise UnknownNameError.of("strategy", source, SHIPPED)
    return _from_file(Path(path), wanted)


def _from_file(path: Path, wanted: str) -> type[Strategy]:
    if not path.is_file():
        raise StrategyError(f"strategy file {path} does not exist", "a Python file with a Strategy class, or one of: " + ", ".join(SHIPPED))
    name = f"openbell_strategy_{path.stem}_{file_hash([str(path)])}"
    module = sys.modules.get(name)
    if module is None:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except SyntaxError as error:
            del sys.modules[name]
            raise StrategyError(f"{path}, line {error.lineno}: {error.msg}: {(error.text or '').strip()}", "valid Python") from None
        except Exception as error:
            del sys.modules[name]
            raise StrategyError(f"{path} could not be loaded: {type(error).__name__}: {error}") from error
    classes = {
        key: value for key, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, Strategy) and value is not Strategy and value.__module__ == name
    }  # fmt: skip
    if wanted:
        if wanted not in classes:
            raise UnknownNameError.of(f"class in {path}", wanted, classes)
        return classes[wanted]
    if len(classes) != 1:
        raise StrategyError(
            f"{path} has {len(classes)} strategies{': ' + ', '.join(classes) if classes else ''}",
            "one subclass of Strategy",
            f"name one as {path}:ClassName" if classes else "add a class that derives from openbell.Strategy",
        )
    return next(iter(classes.values()))
