"""Running checks: all at once, within a bounded time, one that fails holds up nobody, no secret gets out."""

import threading

from openbell.config import DatabaseSettings, KafkaSettings, RabbitSettings, Settings
from openbell.errors import StorageError
from openbell.services.doctor.examination import Check, run, secrets_of
from openbell.services.doctor.finding import ok, problem, warning


def test_the_order_is_that_of_the_checks():
    """However long each takes; the worst level counts."""
    first = threading.Event()

    def slow():
        first.wait(10)
        yield ok("slow", "well")

    def quick():
        yield warning("quick", "so so", "better", "do it")
        first.set()

    report = run([Check("one", "slow", slow), Check("two", "quick", quick), Check("two", "silent", list)])
    assert [(finding.group, finding.check) for finding in report.findings] == [("one", "slow"), ("two", "quick")]
    assert (report.level, report.count("ok"), report.count("warning")) == ("warning", 1, 1)


def test_a_check_that_hangs():
    """A problem of its own, at the deadline."""
    never = threading.Event()

    def hang():
        never.wait()
        return []

    report = run([Check("disk", "hanging", hang), Check("disk", "well", lambda: [ok("well", "it is")])], seconds=0.2)
    assert [finding.level for finding in report.findings] == ["problem", "ok"]
    assert report.findings[0].found == "nothing after 0.2 s"
    assert report.seconds < 5.0
    never.set()


def test_a_check_that_fails():
    """In the words of our own errors, or with the kind of a foreign one."""

    def ours():
        raise StorageError("the disk is full", "room", "make some")

    def theirs():
        raise KeyError("x")

    def ends():
        raise SystemExit(3)

    one, two, three = run([Check("g", "ours", ours), Check("g", "theirs", theirs), Check("g", "ends", ends)]).findings
    assert (one.found, one.expected, one.do) == ("the disk is full", "room", ("# make some",))
    assert "KeyError: 'x'" in two.found
    assert "SystemExit" in three.found


def test_secrets_are_blotted_out():
    """Wherever they stand; the longest first, so that nothing of one stays."""
    check = Check("g", "leaking", lambda: [problem("x", "user u, canary-long", "not canary", "export P=canary-long")])
    (found,) = run([check], {"canary", "canary-long", "u"}).findings
    assert (found.found, found.expected, found.do) == ("user u, ***", "not ***", ("export P=***",))


def test_which_values_are_secrets():
    """Those that were set; not the default that everybody knows, nor one that is a user's name as well."""
    settings = Settings(
        kafka=KafkaSettings(user="openbell", password="canary"), rabbitmq=RabbitSettings(), database=DatabaseSettings(password="openbell")
    )
    assert secrets_of(settings) == {"canary"}
