"""Processes that stop for a while, what the others make of it, and how much memory that takes."""

import contextlib
import json
import os
import signal
import time
from pathlib import Path


@contextlib.contextmanager
def stopped(member):
    """A process of a fleet does nothing within the block, as one whose machine hangs; its connections stay."""
    os.kill(member.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        if member.process.poll() is None:
            os.kill(member.process.pid, signal.SIGCONT)


class Memory:
    """What the processes of a session use, in MB: when they were seen first, and at most."""

    def __init__(self, session):
        self.session = session
        self.first, self.most = {}, {}
        self.look()

    def look(self, without=""):
        """Note what each uses now, but for one that is stopped."""
        for name, member in self.session.fleet.members.items():
            if name != without and member.process.poll() is None:
                used = resident(member.process.pid)
                self.first.setdefault(name, used)
                self.most[name] = max(self.most.get(name, 0), used)

    def live(self, seconds, without=""):
        """Let some time pass, and look again and again."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.session.live(min(0.2, max(end - time.monotonic(), 0.0)))
            self.look(without)

    @property
    def grown(self):
        """By how many MB each has grown at most."""
        return {name: most - self.first[name] for name, most in self.most.items()}


def resident(pid):
    """Memory that a process has, in MB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((int(line.split()[1]) // 1024 for line in lines if line.startswith("VmRSS")), 0)


def partitions_of(session, name):
    """The partitions that a processor has, as its log tells."""
    held = set()
    for line in session.fleet.members[name].log.read_text().splitlines():
        with contextlib.suppress(json.JSONDecodeError):
            told = json.loads(line)
            if told["event"] == "partitions joined":
                held |= {partition for _, partition in told["partitions"]}
            elif told["event"] in ("partitions left", "partitions lost"):
                held -= {partition for _, partition in told["partitions"]}
    return held


def times_told(session, name, words):
    """How often some words stand in a process's log."""
    return session.fleet.members[name].log.read_text().count(words)
