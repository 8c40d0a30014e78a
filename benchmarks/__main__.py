"""`python -m benchmarks [JOB ...] [--json FILE]`: run the jobs, each in a process of its own, and print one table.

Jobs: J1 J1M J2 J3 J4 J6 LIVE START ALERTS, and those that need servers: KAFKA PIPELINE CANDLES REDIS ORDERS. Results
go to benchmarks/results/latest.json as well.
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import load
from benchmarks.load.servers import NO_SERVERS

HERE = Path(__file__).parent
GOALS = {
    "J1 100,000 bars": 100e6, "J1 1,000,000 bars": 100e6, "J2 1,000 pairs x 100,000 bars": 400e6, "J3 10,000,000 ticks": 500e6,
    "J4 1,000,000 ticks": 60e6, "J6 four indicators": 1e9 / 15, "LIVE full speed": 300e3, "LIVE 10,000 ticks/s": 10e3,
    "KAFKA": 1e6, "KAFKA 10,000 ticks/s": 10e3, "CANDLES load": 500e3,
    "ORDERS": 1e3,
}  # fmt: skip
JOBS = ("J1", "J1M", "J2", "J3", "J4", "J6", "LIVE", "START", "ALERTS", *load.JOBS)


def main(arguments):
    """Run, print, keep."""
    target = HERE / "results" / "latest.json"
    if "--json" in arguments:
        at = arguments.index("--json")
        target = Path(arguments[at + 1])
        arguments = arguments[:at] + arguments[at + 2 :]
    unknown = set(arguments) - set(JOBS)
    if unknown:
        sys.exit(f"no such job: {', '.join(sorted(unknown))}; the jobs are {', '.join(JOBS)}")
    machine = {"python": platform.python_version(), "cores": os.cpu_count(), "cpu": cpu(), "load": os.getloadavg()[0]}
    target.parent.mkdir(parents=True, exist_ok=True)
    rows = []
    for job in arguments or JOBS:
        command = ["-m", f"benchmarks.load.{load.JOBS[job]}"] if job in load.JOBS else ["-m", "benchmarks.jobs", job]
        command = ["-m", "benchmarks.alerts"] if job == "ALERTS" else command
        for row in start() if job == "START" else lines([sys.executable, *command]):
            rows.append(row)
            print(line(row), flush=True)
            target.write_text(json.dumps({"machine": machine, "taken": time.strftime("%Y-%m-%d"), "rows": rows}, indent=1) + "\n")
    print(f"written to {target}")


def lines(command):
    """The JSON lines that a job prints, as they come."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=HERE.parent) as process:
        for text in process.stdout:
            if text.startswith("{"):
                yield json.loads(text)
    if process.returncode == NO_SERVERS:
        print(f"{' '.join(command[1:])} is left out")
    elif process.returncode:
        sys.exit(f"{' '.join(command)} failed with {process.returncode}")


def start():
    """The whole process, from the shell to the first result: J1 on 100,000 bars, with an empty and with a warm compile cache."""
    code = "from benchmarks.jobs import first_result; first_result()"
    with tempfile.TemporaryDirectory() as cache:
        for name in ("very first time", "warm", "warm", "warm"):
            began = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True, cwd=HERE.parent, env={**os.environ, "OPENBELL_CACHE": cache})
            wall = time.perf_counter() - began
            yield {"job": f"START {name}", "competitor": "openbell", "work": 1, "per_s": 1 / wall, "wall_s": wall}
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "openbell", "--help"], check=True, stdout=subprocess.DEVNULL)
    wall = time.perf_counter() - began
    yield {"job": "START openbell --help", "competitor": "openbell", "work": 1, "per_s": 1 / wall, "wall_s": wall}


def line(row):
    """One aligned row."""
    facts = ", ".join(f"{name} {row[name]:,}" for name in ("orders", "final_equity", "orders_20_50", "equity_20_50", "bars") if name in row)
    facts += f", p50 {row['latency_p50_us']:,.0f} us, p99 {row['latency_p99_us']:,.0f} us" if "latency_p50_us" in row else ""
    for unit in ("ns", "us"):
        facts += "; ".join(f" {name} {value:,.0f} {unit}" for name, value in row.get(f"cpu_{unit}", {}).items())
    goal = GOALS.get(row["job"]) if row["competitor"] == "openbell" else None
    against = f"{row['per_s'] / goal:5.0%} of the goal" if goal else ""
    speed = f"{row['wall_s']:.2f} s" if row["job"].startswith("START") else f"{scaled(row['per_s'])}/s"
    return f"{row['job']:30s} {row.get('case', row['competitor']):54s} {speed:>12s}  {against:18s} {facts}"


def scaled(value):
    """A number with its thousands as a letter."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.4g} {letter}"
    return f"{value:.4g}"


def cpu():
    """The processor's name where the system tells it."""
    try:
        return next(text.split(":")[1].strip() for text in Path("/proc/cpuinfo").read_text().splitlines() if text.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


if __name__ == "__main__":
    main(sys.argv[1:])
