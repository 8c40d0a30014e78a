"""Every example in a docstring of the pure core, of the client and of the message codecs runs and says what it does."""

import doctest
import importlib
import pkgutil

import pytest

import openbell
from tests.tidy.test_layers import PURE


def modules_with_examples():
    """The names of all modules of the pure rooms, of `openbell.errors`, of the client, and of the codecs."""
    names = [each.name for each in pkgutil.walk_packages(openbell.__path__, "openbell.")]
    rooms = PURE | {"client", "errors"}
    return sorted(name for name in names if name.split(".")[1] in rooms or name.startswith("openbell.adapters.messages."))


@pytest.mark.parametrize("name", modules_with_examples())
def test_examples_in_docstrings(name):
    """What the docstrings of a module show is what happens."""
    module = importlib.import_module(name)
    assert doctest.testmod(module).failed == 0
