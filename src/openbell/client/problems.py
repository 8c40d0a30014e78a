"""Errors of a client: what a platform answers as a problem, as the error of ours that it was there."""

import msgspec

from openbell.errors import (
    BusError,
    CodeNeededError,
    ForbiddenError,
    NotSignedInError,
    OpenbellError,
    StepUpError,
    ThrottledError,
    UnknownNameError,
    UsageError,
)
from openbell.services.views import Problem

#: By the end of a problem's type, which says more than the status.
_TYPES: dict[str, type[OpenbellError]] = {"code-needed": CodeNeededError, "step-up": StepUpError}
_STATUSES: dict[int, type[OpenbellError]] = {
    401: NotSignedInError, 403: ForbiddenError, 404: UnknownNameError, 503: BusError, 400: UsageError, 413: UsageError, 422: UsageError,
}  # fmt: skip


def error_of(status: int, body: bytes, retry_after: str = "", request_id: str = "") -> OpenbellError:
    """The error that an answer stands for; of what broke inside, with the id to look for in the platform's log.

    >>> print(error_of(404, b'{"type":"about:blank","title":"Not Found","status":404,"detail":"there is no symbol \\'X\\'."}'))
    there is no symbol 'X'.
    """
    try:
        problem = msgspec.json.decode(body, type=Problem)
    except msgspec.DecodeError:
        problem = Problem("about:blank", "", status, f"the answer has the status {status}, and says nothing")
    detail = problem.detail or problem.title
    if status == 429:
        return ThrottledError(detail, retry_after_s=max(int(retry_after), 1) if retry_after.isdigit() else 1)
    kind = _TYPES.get(problem.type.rpartition("/")[2]) or _STATUSES.get(status, OpenbellError)
    return kind(detail, do=f"the log of the platform has more under the request {request_id}" if status >= 500 and request_id else "")
