"""Processes of a measurement: they are started, say when they are ready, are told to go, and report."""

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.load import servers

STATUS = Path("/proc/self/status")


class Worker:
    """A process that runs `work(role, case)` of a module; it talks in lines of JSON."""

    def __init__(self, module, role, case):
        command = [sys.executable, "-m", module, role, json.dumps(case)]
        self.name = f"{module} {role}"
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=servers.ROOT, env=servers.environment()
        )

    def tell(self, word):
        """Say something to it."""
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()

    def hear(self):
        """What it says next; lines of a log are passed over."""
        for line in self.process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        sys.exit(f"{self.name} ended with {self.process.wait()}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        if self.process.poll() is None and not self._has_ended():
            self.process.kill()
        self.process.wait()

    def _has_ended(self):
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            return False
        return True


def say(**facts):
    """In a worker: a line to who started it."""
    print(json.dumps(facts), flush=True)


async def told(word):
    """In a worker: wait until it is told something."""
    heard = (await asyncio.to_thread(sys.stdin.readline)).strip()
    if heard != word:
        sys.exit(f"told {heard!r}, not {word!r}: who measured has ended")


class Cost:
    """What a stretch of work costs this process: seconds of the clock and of processors."""

    def __init__(self):
        self.began, self.cpu = time.monotonic(), time.process_time()

    def facts(self):
        """Both so far, and the largest memory of the process."""
        memory = next(int(line.split()[1]) // 1024 for line in servers.read(STATUS).splitlines() if line.startswith("VmHWM"))
        return {"wall_s": time.monotonic() - self.began, "cpu_s": time.process_time() - self.cpu, "rss_mb": memory}


def row(job, case, work, walls, **facts):
    """Print one line of results: `walls` are the seconds of each repetition."""
    middle = sorted(walls)[len(walls) // 2]
    told = {
        "job": job, "competitor": "openbell", "case": case, "work": work, "per_s": work / middle, "per_s_best": work / min(walls),
        "wall_s": middle, "wall_min_s": min(walls), "repeats": len(walls), "load": os.getloadavg()[0],
    }  # fmt: skip
    print(json.dumps(told | facts), flush=True)


def main(measure, work):
    """Of a module that is run: it measures; with a role and a case it is one of the workers."""
    if len(sys.argv) == 3:
        asyncio.run(work(sys.argv[1], json.loads(sys.argv[2])))
    else:
        measure()
