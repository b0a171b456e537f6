"""The roadmap file while a loop runs: brought in step soon after either side has changed, and again if that did not work."""

from __future__ import annotations

import select
from os.path import basename, dirname, isdir, join

from atms_cli.errors import AtmsError, ConflictError, UnavailableError
from atms_cli.services import featuresync
from atms_cli.store import paths
from atms_cli.system.watch import Changes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from atms_cli.bootstrap import OpenWorkspace
    from atms_cli.domain.records import Json, JsonObject
    from atms_cli.loop.work import Report

#: A burst of changes is taken for one: this long after the last of them, and at most so long after the first.
_QUIET_S = 0.1
_MOST_S = 1.0
#: How soon to try again what another program's lock has kept from being done.
_AGAIN_S = 2.0
#: How often to look even if nothing was noticed: file systems without notifications, and those that are shared.
_LOOK_S = 30.0
_LOOK_SHARED_S = 2.0
#: How often to bring it in step even if nothing has changed: suggestions may have waited too long by then.
_ANYWAY_S = 3600.0


class Roadmap:
    """Knows when to bring the file in step, and does it."""

    def __init__(self, ws: OpenWorkspace, report: Report) -> None:
        self._ws = ws
        self._report = report
        self._look_s = _LOOK_S if ws.network_file_system() is None else _LOOK_SHARED_S
        self._looked = -self._look_s
        self._synced = -_ANYWAY_S
        self._seen: tuple[int, int, int] | None = None
        #: When changes began to come, and when they count as over.
        self._noticed: tuple[float, float] | None = None
        self._again_at: float | None = None
        self._has_changed = False

    def take_changes(self) -> bool:
        """Return, once, whether tasks were changed since the last time."""
        changed, self._has_changed = self._has_changed, False
        return changed

    def notice(self) -> None:
        """Take note of a change."""
        now = self._ws.clock.monotonic()
        first = self._noticed[0] if self._noticed else now
        self._noticed = first, min(now + _QUIET_S, first + _MOST_S)

    def notice_work(self) -> None:
        """Take note of a change here, which may matter even if the file is as it was."""
        self._seen = None
        self.notice()

    def is_pending(self) -> bool:
        """Return whether something has changed that was not looked at yet."""
        return self._noticed is not None

    def seconds_left(self) -> float:
        """Return how long there is nothing to do."""
        moments = [self._looked + self._look_s]
        moments += [self._noticed[1]] if self._noticed else []
        moments += [self._again_at] if self._again_at is not None else []
        return max(0.0, min(moments) - self._ws.clock.monotonic())

    def look(self) -> None:
        """Bring the file in step, if it is time and it has changed."""
        if self.seconds_left() > 0:
            return
        is_again, self._noticed, self._again_at = self._again_at is not None, None, None
        self._looked = self._ws.clock.monotonic()
        stamp = self._ws.roadmap_stamp()
        is_due = is_again or self._looked - self._synced >= _ANYWAY_S
        if stamp is not None and (is_due or stamp != self._seen):
            self._seen, self._synced = stamp, self._looked
            self._try(featuresync.sync)

    def settle(self) -> None:
        """Write back what became of features, now that work on one has ended."""
        self._try(featuresync.settle)

    def close(self) -> None:
        """Try once more what is left to be written."""
        if self._again_at is not None:
            self.settle()

    def _try(self, step: Callable[[OpenWorkspace], JsonObject]) -> None:
        try:
            report = step(self._ws)
        except AtmsError as error:
            if isinstance(error, UnavailableError | ConflictError):
                self._again_at = self._ws.clock.monotonic() + _AGAIN_S
            self._report({"type": "warning", "text": error.message})
            return
        for task in _records(report["created"]):
            self._report({"type": "planned", "task": task["id"], "title": task["title"], "feature": task["feature_id"]})
        self._has_changed |= bool(report["changed"])
        for change in _records(report["changed"]):
            self._report({"type": "feature_changed", **change, "text": f"{change['feature']}  {change['what']}"})
        for each in _records(report["written"]):
            self._report({"type": "feature", **each})


def _records(value: Json) -> list[JsonObject]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def watched(ws: OpenWorkspace) -> Changes:
    """Return what notices changes of the journal, the settings and the roadmap, wherever that lies."""
    roadmap = ws.roadmap.path
    journal, ours = join(ws.directory, paths.JOURNAL), (".jsonl", basename(roadmap), paths.CONFIG)
    places = [ws.root, *({dirname(roadmap)} - {ws.root})]
    # One that comes to be later is found when the loop looks by itself.
    return Changes(
        [journal], flat=[place for place in places if isdir(place)], matters=lambda path: path.endswith(ours)
    )


def watch(ws: OpenWorkspace, report: Report) -> None:
    """Keep file and queue in step until interrupted."""
    roadmap = Roadmap(ws, report)
    with watched(ws) as changes:
        while True:
            roadmap.look()
            select.select([changes.fileno()], [], [], max(0.001, roadmap.seconds_left()))
            changed = changes.take()
            if any(path.endswith(".jsonl") for path in changed):
                roadmap.notice_work()
            elif changed:
                roadmap.notice()
