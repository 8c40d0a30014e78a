"""What is told in words: templates, times in the user's zone, digests, and quiet hours by the clock on the wall."""

from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbell.adapters.stores.notification_rows import News, Survey
from openbell.errors import UnknownNameError, UsageError
from openbell.model.time import HOUR, SECOND
from openbell.services.notifier.events import CHOICES, EVENTS
from openbell.services.notifier.hours import quiet_hours
from openbell.services.notifier.texts import check_template, digest_of, letter_of, text_of
from tests.unit.services.notifier.scene import NOW

UTC = ZoneInfo("UTC")
FILL = News(
    "r:1", 0, "fill", "info", NOW, {"symbol": "AAPL", "side": "buy", "quantity": 10.0, "price": 231.07, "strategy": "sma", "order": "5"}
)


def test_the_usual_words():
    """Short, with the time of the user's zone and the number of the list."""
    letter = letter_of(FILL, 17, ZoneInfo("America/New_York"), {})
    assert letter.body == "Fill: buy 10 AAPL at 231.07 (sma, order 5), 2023-11-14 17:13:20 EST (#17)"
    assert letter.title == "openbell: fill"


def test_every_event_has_words_of_its_own_fields():
    """And what can be chosen is an event."""
    for name, event in EVENTS.items():
        assert check_template(name, event.text) == event.text
        assert text_of(
            News("x", 0, name, "info", NOW, {"events": {}, "count": 1, "dropped": 0, "first_ts": 0, "last_ts": 0, "samples": []}), UTC, {}
        )
    assert set(CHOICES) < set(EVENTS)


def test_own_words():
    """In place of the usual ones; braces may be written twice."""
    own = {"fill": check_template("fill", "{{filled}} {quantity} {symbol}\nat {price} {time}")}
    assert text_of(FILL, UTC, own) == "{filled} 10 AAPL\nat 231.07 2023-11-14 22:13:20 UTC"
    assert text_of(News("x", 0, "kill", "critical", NOW, {"strategy": "sma"}), UTC, own).startswith("Kill switch: sma")


@pytest.mark.parametrize(
    "text",
    [
        "{symbol.__class__}", "{symbol[0]}", "{symbol!r}", "{symbol:>1000000}", "{0}", "{}", "{password}", "{", "}", "{symbol",
        "{ symbol }", "{__class__}", "x" * 1001, "a\x00b", "\x1b[31m", "{quantity:{price}}",
    ],
)  # fmt: skip
def test_a_template_that_is_not_allowed(text):
    """It may use the names of its event's fields, and nothing else of them."""
    with pytest.raises(UsageError):
        check_template("fill", text)
    with pytest.raises(UnknownNameError, match=r"there is no event 'fil'\. Did you mean 'fill'"):
        check_template("fil", "x")


def test_hostile_values():
    """A value is a value: braces, markup, new lines and what moves the cursor change nothing around it."""
    for value in ("{price}", "{0.__class__}", "%s", "<b>", "a\nb", "a\r\n\r\nSubject: x", "\x1b[2J", "\u202eabc", "x" * 10_000):
        text = text_of(News("x", 0, "alert", "info", NOW, {"what": value}), UTC, {})
        assert len(text) < 400
        assert text.count("\n") == 0
        assert all(character.isprintable() for character in text)
    assert text_of(News("x", 0, "alert", "info", NOW, {"what": "{time}"}), UTC, {}).startswith("Alert: {time}, 2023")


def test_an_event_of_a_newer_version():
    """Is told by its name."""
    assert text_of(News("x", 0, "earthquake", "info", NOW, {}), UTC, {}) == "earthquake, 2023-11-14 22:13:20 UTC"


def survey(events, digests=(), dropped=0, samples=(), worst="info", first=NOW, last=NOW + SECOND):
    return Survey(3, 0, 9, events, worst, first, last, list(samples), list(digests), dropped)


def test_a_digest_of_digests():
    """Counts everything once, and is as important as the worst of it."""
    first = digest_of(survey({"fill": 3, "alert": 2}, samples=[FILL], worst="critical", dropped=4, first=NOW - HOUR))
    second = digest_of(survey({"fill": 1}, digests=[first], samples=[FILL]))
    third = digest_of(survey({}, digests=[second], last=NOW + HOUR))
    assert second.fields["events"] == third.fields["events"] == {"fill": 4, "alert": 2}
    assert (third.fields["count"], third.fields["dropped"], third.severity) == (6, 4, "critical")
    body = letter_of(third, 8, UTC, {}).body
    assert body.startswith(
        "6 messages: 4 fills, 2 alerts; 2023-11-14 21:13:20 UTC to 2023-11-14 23:13:20 UTC; 4 more were dropped, because too many waited\n"
        "- Fill: buy 10 AAPL at 231.07"
    )
    assert body.endswith("- and 5 more (#8)")


@pytest.mark.parametrize(
    ("hours", "zone", "now", "until"),
    [
        ("22:00-07:00", "UTC", "2024-01-10T23:30", "2024-01-11T07:00"),
        ("22:00-07:00", "UTC", "2024-01-11T06:59", "2024-01-11T07:00"),
        ("22:00-07:00", "UTC", "2024-01-11T07:00", None),
        ("22:00-07:00", "UTC", "2024-01-11T21:59", None),
        ("12:00-13:30", "UTC", "2024-01-11T12:00", "2024-01-11T13:30"),
        ("12:00-13:30", "UTC", "2024-01-11T13:30", None),
        ("22:00-07:00", "Asia/Kolkata", "2024-01-10T16:30", "2024-01-11T01:30"),
        # The night in which the clocks go forward is an hour shorter, and the other one an hour longer.
        ("22:00-07:00", "Europe/Berlin", "2024-03-30T22:00", "2024-03-31T05:00"),
        ("22:00-07:00", "Europe/Berlin", "2024-10-26T21:00", "2024-10-27T06:00"),
        # An end that the clock on the wall skips is when it goes on.
        ("22:00-02:30", "Europe/Berlin", "2024-03-31T00:30", "2024-03-31T01:30"),
    ],
)  # fmt: skip
def test_quiet_hours(hours, zone, now, until):
    """By the clock on the wall of the user's zone."""
    found = quiet_hours(hours, zone).until(ns(now))
    assert found == (None if until is None else ns(until))


def ns(text):
    from datetime import datetime

    return int(datetime.fromisoformat(f"{text}+00:00").timestamp()) * SECOND


@given(st.integers(0, 4_000_000_000), st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kolkata", "America/New_York", "Australia/Lord_Howe"]))
def test_quiet_hours_end(second, zone):
    """Whenever it is: the end is ahead, within a day and the hour that a clock may be set back, and then it is not quiet any more."""
    night = quiet_hours("22:00-07:00", zone)
    end = night.until(second * SECOND)
    if end is not None:
        assert 0 < end - second * SECOND <= 10 * HOUR
        assert night.until(end) is None


@pytest.mark.parametrize(
    ("hours", "zone"),
    [("22-7", "UTC"), ("24:00-07:00", "UTC"), ("22:00-22:00", "UTC"), ("22:00", "UTC"), ("", "Mars/Olympus"), ("", "../etc"), ("", "")],
)
def test_hours_that_make_no_sense(hours, zone):
    """Are refused."""
    with pytest.raises(UsageError):
        quiet_hours(hours, zone)
