"""The shipped and the test data are what their notices say, byte for byte."""

import hashlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = [ROOT / "src/openbell/data", ROOT / "tests/data"]
DATA = {".parquet", ".gz", ".csv"}


def sums(folder):
    lines = (folder / "SHA256SUMS").read_text().splitlines()
    return {name: digest for digest, name in (line.split() for line in lines)}


def data_files(folder):
    return {path.name for path in folder.iterdir() if path.suffix in DATA}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.relative_to(ROOT).as_posix())
def test_every_file_has_its_checksum(folder):
    """No file was added, lost or changed without its checksum."""
    actual = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in data_files(folder)}
    assert sums(folder) == actual


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.relative_to(ROOT).as_posix())
def test_every_file_has_its_notice(folder):
    """The notice has one section a file, each with what it is, its source and its licence."""
    notice = (folder / "NOTICE.md").read_text()
    sections = dict(re.findall(r"^## (\S+)\n(.*?)(?=^## |\Z)", notice, flags=re.M | re.S))
    assert sorted(sections) == sorted(data_files(folder))
    for name, text in sections.items():
        for word in ("**What**", "**Source**", "**Licence**"):
            assert word in text, f"{name}: the notice does not say {word}"


def test_every_licence_named_is_shipped():
    """Each licence text a notice names is in the wheel, and none lies there unnamed."""
    folder = ROOT / "src/openbell/data"
    named = set(re.findall(r"licenses/([\w.-]+\.txt)", (folder / "NOTICE.md").read_text()))
    assert named == {path.name for path in (folder / "licenses").iterdir()}


def test_the_wheel_stays_small():
    """Shipped data is for a first run and the demo: 5 MB at most."""
    total = sum(path.stat().st_size for path in (ROOT / "src/openbell/data").rglob("*") if path.is_file())
    assert total < 5_000_000
