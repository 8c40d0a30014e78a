"""Every numbered example runs and finds the numbers it states."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).resolve().parents[1] / "examples").glob("e*.py"))


@pytest.mark.integration
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_example_finds_what_it_states(path, tmp_path):
    """It ends well in an empty folder, and its docstring says how to run it."""
    assert f"python examples/{path.name}" in path.read_text()
    done = subprocess.run([sys.executable, path], cwd=tmp_path, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
