"""What is loaded when: a command that does not step must not pay for the compiler.

Times differ between machines, so these tests look at what is in memory instead.
"""

import subprocess
import sys

import pytest

HEAVY = {
    "fastapi",
    "llvmlite",
    "numba",
    "numpy",
    "pandas",
    "polars",
    "pyarrow",
    "pydantic",
    "rich",
    "uvicorn",
}
#: What a platform of several processes talks to its servers with.
CLIENTS = {"aio_pika", "aiormq", "confluent_kafka", "google", "grpc", "psycopg", "redis"}
#: What a platform needs where users sign in, alerts are sent or gRPC is served.
OF_FEATURES = {"apprise", "argon2", "cryptography", "grpc", "limits", "pyotp"}
#: The help page is drawn by the command-line library with rich; nothing else of the list may come with it.
HELP_HEAVY = HEAVY - {"rich"}


def loaded(code):
    """Top-level modules in memory after the code ran in a fresh interpreter."""
    # The code may end the interpreter, as `--help` does; the list is printed all the same.
    program = "import atexit, sys\natexit.register(lambda: print('\\nLOADED', *{name.split('.')[0] for name in sys.modules}))\n" + code
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.rpartition("LOADED")[2].split())


@pytest.mark.parametrize("code", ["import openbell", "from openbell import OpenbellError", "import openbell.errors"])
def test_importing_openbell_loads_nothing_heavy(code):
    """`import openbell` is free: names are looked up when they are used."""
    assert loaded(code) & (HEAVY | OF_FEATURES) == set()


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]])
def test_help_loads_nothing_heavy(arguments):
    """The help page is there at once."""
    code = f"import sys; sys.argv = ['openbell', *{arguments}]; from openbell.cli import main; sys.exit(main())"
    assert loaded(code) & (HELP_HEAVY | OF_FEATURES) == set()


@pytest.mark.parametrize("room", ["indicators", "strategies", "engine", "backtest"])
def test_importing_a_room_does_not_load_the_compiler(room):
    """numba comes with the first compilation, not with an import: it costs 88 MB and 150 ms."""
    assert loaded(f"import openbell.{room}") & {"numba", "llvmlite"} == set()


def test_the_platform_in_one_process_loads_no_client_of_a_server():
    """Kafka, RabbitMQ, Redis, PostgreSQL and protobuf are loaded by those who choose them, and need not be installed otherwise."""
    assert loaded("import openbell.services.platform, openbell.cli.demo, openbell.cli.up") & (CLIENTS | OF_FEATURES) == set()


def test_the_client_loads_no_server():
    """A program that asks a platform needs neither what serves it nor what computes."""
    assert loaded("from openbell import Client") & (HEAVY - {"numpy"} | CLIENTS | OF_FEATURES) == set()


def test_control_messages_as_json_need_no_protobuf():
    """The channel `control` is JSON; only a protobuf message there loads that library."""
    code = """from openbell.adapters.messages.control import Status, decode, encode; decode(encode(Status(id="1")))"""
    assert loaded(code) & CLIENTS == set()
