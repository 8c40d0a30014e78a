"""What waits to be written down: bounded, in order, and what is given up is counted."""

from hypothesis import given
from hypothesis import strategies as st

from openbell.adapters.stores.notification_rows import SEVERITIES, News
from openbell.services.notifier.intake import Intake

said = st.lists(st.tuples(st.sampled_from(SEVERITIES), st.sampled_from(["fill", "kill"]), st.integers(0, 2)), max_size=40)


@given(said, st.integers(1, 20))
def test_nothing_is_given_up_in_silence(said, most):
    """What is taken and what is counted as lost are together what was put; the least important goes first, the oldest before the newest."""
    intake = Intake(most)
    news = [News(str(number), owner, event, severity, number, {}) for number, (severity, event, owner) in enumerate(said)]
    for number, one in enumerate(news):
        intake.put([one], number)
        assert len(intake) <= most
    taken, position = intake.take(7)
    kept = [one for one in taken if one.event != "lost"]
    lost = sum(one.fields["count"] for one in taken if one.event == "lost")
    assert (len(kept) + lost, intake.dropped) == (len(news), lost)
    assert position == (len(news) - 1 if news else None)
    assert [one.ts for one in kept] == sorted(one.ts for one in kept)
    gone = [one for one in news if one not in kept]
    for one in gone:
        lighter = [other for other in kept if SEVERITIES.index(other.severity) < SEVERITIES.index(one.severity) and other.ts < one.ts]
        assert lighter == []
        assert all(other.ts > one.ts for other in kept if other.severity == one.severity)
    assert intake.take(8) == ([], None)


def test_what_was_lost_is_told_to_whom_it_concerns():
    """Each owner hears of his own."""
    intake = Intake(1)
    for number in range(3):
        intake.put([News(f"a{number}", 5, "fill", "info", 1, {}), News(f"b{number}", 6, "kill", "critical", 1, {})])
    taken, _ = intake.take(9)
    lost = {one.owner: one.fields for one in taken if one.event == "lost"}
    assert lost == {5: {"count": 3, "what": "3 fills", "strategy": ""}, 6: {"count": 2, "what": "2 kills", "strategy": ""}}
