"""How the services of all processes stand, as each process says once a second; one that says nothing any more has failed."""

import msgspec

from openbell.services.views import ServiceView

#: After so many seconds without a word a process counts as gone.
SILENT_S = 5.0


class Roster:
    """The processes that were heard of. Times are seconds of a clock that only grows."""

    def __init__(self) -> None:
        self._heard: dict[str, tuple[float, list[ServiceView]]] = {}

    def hear(self, process: str, payload: bytes, at: float) -> None:
        """What a process says of its services. Raises msgspec.DecodeError when it cannot be read."""
        self._heard[process] = at, msgspec.json.decode(payload, type=list[ServiceView])

    def views(self, at: float) -> list[ServiceView]:
        """All services; where several processes have one of a name, the process is named too."""
        shown = []
        for process, (heard, views) in sorted(self._heard.items()):
            for view in views:
                if at - heard > SILENT_S and view.state != "stopped":
                    view = msgspec.structs.replace(view, state="failed", failure=f"nothing heard of it for {at - heard:.0f} s")
                is_alone = sum(view.name == other.name for _, others in self._heard.values() for other in others) == 1
                shown.append(view if is_alone else msgspec.structs.replace(view, name=f"{process} {view.name}"))
        return shown

    def __len__(self) -> int:
        return len(self._heard)
