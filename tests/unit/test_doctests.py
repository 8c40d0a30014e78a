"""Every example in a docstring of the pure core runs and says what it does."""

import doctest
import importlib
import pkgutil

import pytest

import openbell
from tests.tidy.test_layers import PURE


def pure_modules():
    """The names of all modules of the pure rooms, and of `openbell.errors`."""
    names = (each.name for each in pkgutil.walk_packages(openbell.__path__, "openbell."))
    return sorted(name for name in names if name.split(".")[1] in PURE | {"errors"})


@pytest.mark.parametrize("name", pure_modules())
def test_examples_in_docstrings(name):
    """What the docstrings of a module show is what happens."""
    module = importlib.import_module(name)
    assert doctest.testmod(module).failed == 0
