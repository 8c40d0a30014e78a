"""The generated code of the contracts: it is that of the .proto files, and goes where openbell goes."""

import subprocess
import sys
import zipfile

from openbell.proto.v1 import market_pb2


def test_generated_code_is_not_stale(root, tmp_path):
    """`make proto` would change nothing."""
    subprocess.run([root / "scripts/proto.sh", tmp_path], check=True, timeout=120)
    made = {path.name: path.read_text() for path in tmp_path.rglob("*_pb2*")}
    kept = {path.name: path.read_text() for path in (root / "src/openbell/proto/v1").glob("*_pb2*")}
    assert sorted(made) == sorted(kept)
    assert [name for name in made if made[name] != kept[name]] == []


def test_the_wheel_has_the_contracts_and_their_code(root, tmp_path):
    """Who installs openbell has the .proto files too, to generate code for other languages from."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path], cwd=root, check=True, capture_output=True, timeout=120
    )
    (wheel,) = tmp_path.glob("*.whl")
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("openbell/proto/")}
    folder = root / "src"
    assert packed == {path.relative_to(folder).as_posix() for path in (folder / "openbell/proto").rglob("*") if path.suffix in KEPT}


KEPT = {".proto", ".py", ".pyi", ".md"}


def test_a_contract_is_found_where_it_is_imported_from():
    """The path in the descriptor is that of the installed file, so that contracts may import each other in any language."""
    assert market_pb2.DESCRIPTOR.name == "openbell/proto/v1/market.proto"
    assert market_pb2.DESCRIPTOR.package == "openbell.v1"
