"""`openbell backtest` as a user types it: what it prints, what it writes, and how it says no."""

import json
import subprocess
import sys

import pytest

from openbell import errors

GOOD = "time,open,high,low,close,volume\n" + "".join(f"{1_600_000_020 + 60 * i},{100 + i % 7},110,90,{100 + i % 5},1\n" for i in range(60))


def openbell(*arguments, cwd):
    """Run the command; no traceback may ever reach a user."""
    done = subprocess.run([sys.executable, "-m", "openbell", *arguments], cwd=cwd, capture_output=True, text=True, timeout=110, check=False)
    assert "Traceback" not in done.stderr + done.stdout, done.stderr
    return done


def test_it_prints_figures_and_writes_both_files(tmp_path):
    """Summary on the terminal, JSON and a page where asked for."""
    params = ["--param", "short_period=10", "--param", "long_period=40"]
    arguments = ["backtest", "moving_avg_crossover", "--data", "sp500", "--fee-bps", "5", *params]
    done = openbell(*arguments, "--json", "out.json", "--report", "report.html", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Sharpe ratio" in done.stdout
    content = json.loads((tmp_path / "out.json").read_text())
    assert content["plan"]["assignments"][0]["params"] == {"short_period": 10.0, "long_period": 40.0}
    assert content["orders"] > 50
    assert (tmp_path / "report.html").stat().st_size > 50_000


def test_a_strategy_in_a_file_works(tmp_path):
    """A file outside the package, by its path."""
    (tmp_path / "mine.py").write_text(
        "from openbell import Strategy\n\nclass Mine(Strategy):\n    def on_bar(self, bar, broker):\n"
        "        if broker.position(bar.instrument) == 0:\n            broker.buy(bar.instrument, 1.0)\n"
    )
    (tmp_path / "prices.csv").write_text(GOOD)
    done = openbell("backtest", "mine.py", "--data", "prices.csv", "--json", "out.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "out.json").read_text())["fills"] == 1


def broken(row, column, value):
    """The good file with one cell changed."""
    lines = GOOD.splitlines()
    cells = lines[row].split(",")
    cells[lines[0].split(",").index(column)] = value
    lines[row] = ",".join(cells)
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    ("name", "content", "error", "words"),
    [
        ("missing.csv", None, errors.DataError, "missing.csv"),
        ("noise.parquet", b"PAR1 this is no parquet", errors.DataError, "noise.parquet"),
        ("empty.csv", "", errors.DataError, "empty.csv"),
        ("columns.csv", "when,open,cloze\nyesterday,1,2\n", errors.DataError, "cloze"),
        ("nan.csv", broken(9, "close", "NaN"), errors.DataError, "close"),
        ("negative.csv", broken(9, "open", "-3"), errors.DataError, "-3"),
        ("unordered.csv", broken(9, "time", "1600000000"), errors.DataError, "time"),
    ],
)
def test_bad_data_is_named_with_its_row(name, content, error, words, tmp_path):
    """One sentence, the exit code of its kind, and nothing written."""
    if content is not None:
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    done = openbell("backtest", "rsi", "--data", name, "--json", "out.json", "--report", "r.html", cwd=tmp_path)
    assert done.returncode == error.exit_code, done.stderr
    assert words in done.stderr
    assert not (tmp_path / "out.json").exists()
    assert not (tmp_path / "r.html").exists()


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (["rzi", "--data", "sp500"], errors.UnknownNameError, "rsi"),
        (["rsi", "--data", "sp5000"], errors.UnknownNameError, "sp500"),
        (["momentum", "--data", "us-daily", "--symbols", "APPL"], errors.UnknownNameError, "AAPL"),
        (["rsi", "--data", "sp500", "--param", "perod=3"], errors.StrategyError, "period"),
        (["rsi", "--data", "sp500", "--param", "period"], errors.UsageError, "name=number"),
        (["rsi", "--data", "sp500", "--param", "period=1e9"], errors.StrategyError, "200"),
        (["rsi", "--data", "sp500", "--json", "no/such/out.json"], errors.UsageError, "does not exist"),
        (["bad.py", "--data", "sp500"], errors.StrategyError, "line 2"),
        (["uncompilable.py", "--data", "sp500"], errors.CompileError, "uncompilable.py:5"),
    ],
)
def test_mistakes_are_named(arguments, error, words, tmp_path):
    """Near names, ranges, the line of a file."""
    (tmp_path / "bad.py").write_text("from openbell import Strategy\nclass Bad(Strategy:\n    pass\n")
    (tmp_path / "uncompilable.py").write_text(
        "from openbell import Strategy\nclass Uncompilable(Strategy):\n    def on_bar(self, bar, broker):\n        price = bar.close\n"
        "        self.history.append(price)\n"
    )
    done = openbell("backtest", *arguments, cwd=tmp_path)
    assert done.returncode == error.exit_code, done.stderr
    assert words in done.stderr
