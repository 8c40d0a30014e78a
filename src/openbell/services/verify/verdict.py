"""What the stops mean, in a sentence: the tick arrived, or where it was lost, what is known of who lost it, and what to do."""

from collections.abc import Iterable, Mapping, Sequence

from openbell.adapters.messages.control import Control, StatusReply
from openbell.services.verify.journey import Stop

#: States of a service that does its work.
_AT_WORK = ("running", "done")


def by_process(replies: Iterable[Control]) -> dict[str, list[StatusReply]]:
    """Answers to a `status` by the name of the process, as `trader` for the sender `trader-8121-3f2a91`."""
    found: dict[str, list[StatusReply]] = {}
    for reply in replies:
        if isinstance(reply, StatusReply):
            found.setdefault(reply.sender.rsplit("-", 2)[0], []).append(reply)
    return found


def verdict(symbol: str, stops: Sequence[Stop], processes: Mapping[str, Sequence[StatusReply]] | None = None) -> list[str]:
    """One sentence when all is well, else one for each place where the tick was lost. `processes` is None when nobody could be asked."""
    lost = [stop for stop in stops if stop.state == "lost"]
    if not lost:
        longest = max((stop.ms or 0.0 for stop in stops), default=0.0)
        return [f"The marked tick of {symbol} arrived everywhere in {longest:,.0f} ms."]
    told = []
    for process, after in dict.fromkeys((stop.process, stop.after) for stop in lost):
        own = [stop for stop in lost if (stop.process, stop.after) == (process, after)]
        names = ", ".join(stop.name for stop in own)
        why = next((stop.why for stop in own if stop.why), "") or _blame(process, processes)
        told.append(f"Lost between {after} and {names}: {why}" if after else f"Lost before {names}: {why}")
    return told


def _blame(process: str, processes: Mapping[str, Sequence[StatusReply]] | None) -> str:
    """What is known of who should have brought the tick further."""
    if not process:
        return "the server did not say so in time. See `openbell doctor`, or wait longer with --timeout."
    if processes is None:
        return f"nobody could be asked how `{process}` stands. See `openbell doctor`."
    name, _, trader = process.partition("-")
    command = f"openbell serve {name} --trader {trader}" if trader else f"openbell serve {name}"
    replies = processes.get(process, ())
    if not replies:
        others = f"; {', '.join(sorted(processes))} do" if processes else ""
        return f"no process `{process}` answers on the control channel{others}. Start it with `{command}`, or read its log if it hangs."
    for reply in replies:
        if reply.state not in _AT_WORK:
            return f"{reply.service} of the process `{process}` is {reply.state}: {reply.detail}. Read its log, and start it again."
    behind = max(replies, key=lambda reply: reply.queue)
    shown = f"{behind.service}: {behind.detail}, {behind.queue:,} waiting" if behind.queue else f"{replies[0].service}: {replies[0].detail}"
    return f"the process `{process}` answers, but was not there in time ({shown}). Wait longer with --timeout, and read its log."
