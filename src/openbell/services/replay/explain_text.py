"""An explanation as a page of text."""

from typing import Any

from openbell.services.replay.explain import Explanation


def render(found: Explanation) -> str:
    """The explanation for a terminal, at most some fifty lines."""
    who = f"{found.decided_by}, {found.strategy}.{found.handler}" if found.handler else "asked for by a user"
    lines = [f"order {found.client_order_id}: {found.side} {found.symbol}, {found.order_type} ({who})"]
    if not found.same_source:
        lines.append("  the code has changed since this order; the figures below are what today's code sees")
    lines += ["", f"event {found.seq} at {found.time}", _row(_shown(found.event))]
    if found.handed and found.handed != found.event:
        lines += [f"handed to {found.handler}", _row(_shown(found.handed))]
    for title, values in (("indicators", found.indicators), ("fields", found.fields), ("local names", found.local)):
        if values:
            lines += [title, _row(values)]
    lines += ["account at the decision", _row(found.account), "risk checks"]
    width = max(len(check.name) for check in found.checks)
    for check in found.checks:
        limit = "none" if check.limit is None else _text(check.limit)
        figures = (
            "" if check.saw is None and check.limit is None else f"{'' if check.saw is None else _text(check.saw):>16}   limit {limit}"
        )
        lines.append(f"  {check.name:<{width}}  {check.verdict:<11} {figures}".rstrip())
    lines.append("what became of it")
    for step in found.life:
        facts = " ".join(
            f"{name} {_text(value)}" for name, value in step.items() if name not in ("seq", "time", "what", "status", "reason") and value
        )
        tail = f" ({step['reason']})" if "reason" in step else ""
        lines.append(f"  {step['time']}  event {step['seq']:<9} {step['what']:<7} {step.get('status', ''):<17} {facts}{tail}".rstrip())
    return "\n".join(lines)


def _row(values: dict[str, Any]) -> str:
    return "  " + "  ".join(f"{name}={_text(value)}" for name, value in values.items())


def _shown(values: dict[str, Any]) -> dict[str, Any]:
    """Without what is said already or is always the same."""
    return {
        name: value for name, value in values.items() if name not in ("seq", "ts_available", "side", "instrument") and value is not None
    }


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.10g}"
    if isinstance(value, dict):
        return "(" + " ".join(f"{name}={_text(item)}" for name, item in value.items()) + ")"
    if isinstance(value, list):
        return "[" + " ".join(_text(item) for item in value) + "]"
    return str(value)
