"""Messages in words: templates with the fields of an event, the user's own or the usual ones, and times in the user's zone.

A template is plain text with `{names}`. Only the fields of its event are allowed, and nothing but their names: no attributes, no indices,
no formats. So a template can do nothing, and a value with braces in it is a value.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from string import Formatter
from zoneinfo import ZoneInfo

from openbell.adapters.notifiers.base import Letter
from openbell.adapters.stores.notification_rows import SEVERITIES, News, Survey
from openbell.errors import UsageError, suggest
from openbell.model.time import SECOND
from openbell.services.notifier.events import ALWAYS, EVENTS, event_named, listed, shown

#: Characters of a template, of a value in a message, and of a message that a digest shows.
TEMPLATE_MAX = 1000
VALUE_MAX = 300
SAMPLE_MAX = 160
_NAME = re.compile(r"[a-z_]+")


def check_template(event: str, text: str) -> str:
    """A user's text of an event, as it is kept. UsageError when it is too long or uses what it may not."""
    allowed = (*event_named(event).fields, *ALWAYS)
    if len(text) > TEMPLATE_MAX or any(not character.isprintable() and character != "\n" for character in text):
        raise UsageError("the template is too long, or holds control characters", f"at most {TEMPLATE_MAX} characters of text")
    try:
        parts = list(Formatter().parse(text))
    except ValueError as error:
        raise UsageError(f"the template cannot be read ({error})", "text with {names}", "write { and } themselves as {{ and }}") from None
    for _, name, format, conversion in parts:
        if name is None:
            continue
        if not _NAME.fullmatch(name) or format or conversion:
            raise UsageError(f"the template uses {{{name}}} with more than a name", "a name alone, such as {symbol}")
        if name not in allowed:
            raise UsageError(f"the template uses {{{name}}}, which {event} does not have", do=suggest(name, allowed))
    return text


def letter_of(news: News, number: int, zone: ZoneInfo, own: Mapping[str, str]) -> Letter:
    """The message of a thing to tell. It ends with the number, which stays the same however often it is sent."""
    body = text_of(news, zone, own)
    title = f"openbell: {news.event}" if news.severity == "info" else f"openbell: {news.event} ({news.severity})"
    return Letter(title, f"{body} (#{number})" if number else body, news.severity)


def text_of(news: News, zone: ZoneInfo, own: Mapping[str, str]) -> str:
    """Its words, without the number."""
    event = EVENTS.get(news.event)
    if event is None:  # of a newer version
        return f"{news.event}, {time_of(news.ts, zone)}"
    values = {name: short(shown(news.fields.get(name)), VALUE_MAX) for name in event.fields}
    values |= {"time": time_of(news.ts, zone), "severity": news.severity, "event": news.event}
    if news.event == "digest":
        values |= _of_digest(news, zone, own)
    return (own.get(news.event) or event.text).format_map(values)


def digest_of(survey: Survey) -> News:
    """One thing to tell in place of many."""
    events, dropped, first = dict(survey.events), survey.dropped, survey.first_ts
    for earlier in survey.digests:
        for event, count in earlier.fields["events"].items():
            events[event] = events.get(event, 0) + count
        dropped += earlier.fields["dropped"]
        first = min(first, earlier.fields["first_ts"])
    samples = [{"event": one.event, "severity": one.severity, "ts": one.ts, "fields": one.fields} for one in survey.samples]
    if not samples:
        samples = [sample for earlier in survey.digests for sample in earlier.fields["samples"]][: len(survey.digests)]
    fields = {
        "events": events, "count": sum(events.values()), "dropped": dropped, "first_ts": first, "last_ts": survey.last_ts,
        "samples": samples,
    }  # fmt: skip
    worst = max((survey.worst, *(one.severity for one in survey.digests)), key=SEVERITIES.index)
    return News(f"digest-{survey.channel}-{survey.last}", survey.owner, "digest", worst, survey.last_ts, fields)


def time_of(ts: int, zone: ZoneInfo) -> str:
    """A time (ns since 1970 UTC) by the clock of a zone.

    >>> time_of(1_700_000_000_000_000_000, ZoneInfo("Asia/Kolkata"))
    '2023-11-15 03:43:20 IST'
    """
    return f"{datetime.fromtimestamp(ts // SECOND, zone):%Y-%m-%d %H:%M:%S %Z}"


def short(text: str, most: int) -> str:
    """A text of at most so many characters, with a sign where it was cut.

    >>> short("abcdef", 4)
    'abc…'
    """
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _of_digest(news: News, zone: ZoneInfo, own: Mapping[str, str]) -> dict[str, str]:
    fields = news.fields
    lines = []
    for sample in fields["samples"]:
        one = News("", news.owner, sample["event"], sample["severity"], sample["ts"], sample["fields"])
        lines.append(f"\n- {short(text_of(one, zone, own), SAMPLE_MAX)}")
    more = fields["count"] - len(lines)
    dropped = f"; {fields['dropped']:,} more were dropped, because too many waited" if fields["dropped"] else ""
    return {
        "count": f"{fields['count']:,}", "what": listed(fields["events"]), "first": time_of(fields["first_ts"], zone),
        "last": time_of(fields["last_ts"], zone), "dropped": dropped,
        "samples": "".join(lines) + (f"\n- and {more:,} more" if lines and more > 0 else ""),
    }  # fmt: skip
