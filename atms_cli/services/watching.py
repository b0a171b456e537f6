"""Watching agents while they work: what they print, what that costs, and whether they get anywhere."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field

from atms_cli.domain import budget, streams, watching
from atms_cli.domain.budget import Spent
from atms_cli.domain.hearing import Hearing
from atms_cli.domain.moment import to_iso, to_ms
from atms_cli.domain.watching import Limit, Stop
from atms_cli.errors import AtmsError
from atms_cli.services import budget as spending
from atms_cli.services import drivers, progress
from atms_cli.services.attempts import OUTPUT
from atms_cli.services.gathering import redact_for

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from atms_cli.domain.driver import Driver
    from atms_cli.domain.records import JsonObject
    from atms_cli.ports import Workspace
    from atms_cli.services.attempts import Start

#: How often agents that work are looked at; while none does, nothing is.
LOOK_S = 1.0
#: In one look so many parts of an output are taken in at most; what is left waits for the next.
_MOST_PARTS = 8
_PART = 1_048_576
#: What this day has cost until now is looked up again after so long, or when an attempt has ended.
_DAY_S = 60.0


@dataclass(slots=True)
class Watched:
    """An attempt of an agent whose stream is read."""

    start: Start
    driver: Driver
    hearing: Hearing
    moved_at: float
    spent_before: Spent
    #: Of the attempt in whose session it goes on.
    before: JsonObject | None
    #: Masks secrets: what it prints is read as it comes.
    redact: Callable[[str], str]
    #: Where it keeps its session, if that tells more than its output, and what was heard of that.
    session_log: tuple[str, str] | None = None
    session: tuple[str, Hearing] | None = None
    usage: JsonObject = field(default_factory=dict)
    steps: int = 0
    stop: Stop | None = None
    has_ended: bool = False
    #: Whether what it has cost is known to whoever keeps the sum of this run.
    is_settled: bool = False

    @property
    def doing(self) -> str:
        """Return its last message or use of a tool."""
        return self.redact(self.hearing.report.doing)

    @property
    def seen(self) -> JsonObject:
        """Return what is to be seen of it from outside."""
        return {"doing": self.doing or None, "steps": self.steps, "usage": self.usage}

    @property
    def spent(self) -> Spent:
        """Return what it has used up until now, as far as its agent says."""
        return Spent().plus(self.usage)


class Watch:
    """All agents at work for one loop."""

    def __init__(self, ws: Workspace) -> None:
        self._ws = ws
        self._watched: dict[str, Watched] = {}
        self._next_look = 0.0
        self._day: tuple[str, float, Spent] | None = None

    def begin(self, start: Start, since: str | None = None) -> None:
        """Watch an attempt that begins now or has begun a while ago, unless it is a plain command, which tells nothing."""
        used = start.driver
        if used is None:
            return
        task, read = start.task, self._ws.store.reading()
        hearing = Hearing(used["stream"])
        hearing.report.since = since or to_iso(self._ws.clock.now_ms())
        self._watched[start.run] = Watched(
            start, used, hearing, self._ws.clock.monotonic(), spending.spent_on(read, task),
            drivers.before_it(self._ws, task, start.agent, used, start.run), redact_for(self._ws, start),
            drivers.session_log(self._ws, task, start.agent, used, start.run),
        )  # fmt: skip
        self._next_look = min(self._next_look, self._ws.clock.monotonic() + LOOK_S)

    def hearing(self, run: str) -> Hearing | None:
        """Return what was heard of an attempt until now."""
        watched = self._watched.get(run)
        return watched.hearing if watched else None

    def end(self, run: str) -> None:
        """Note that an attempt's command has ended: it costs no more."""
        if run in self._watched:
            self._watched[run].has_ended = True
            self._listen_to_session(self._watched[run])

    def settle(self, run: str) -> None:
        """Note that what an attempt has cost counts for this run; it is not on record before its task has gone on."""
        if run in self._watched:
            self._watched[run].is_settled = True

    def forget(self, run: str) -> None:
        """Note that an attempt is over and on record."""
        if self._watched.pop(run, None) is not None:
            self._day = None

    def clear(self) -> None:
        """Forget all attempts."""
        self._watched.clear()

    def is_stopping(self) -> bool:
        """Return whether agents are being stopped by a limit of the day or the run, which holds for what would start now too."""
        return any(
            each.stop and each.stop.verdict == "put_back" and not each.is_settled for each in self._watched.values()
        )

    def due_in_s(self) -> float:
        """Return the seconds until the next look; infinity while no agent works."""
        if not any(self._at_work()):
            return float("inf")
        return max(0.0, self._next_look - self._ws.clock.monotonic())

    def look(self, run_limit: Limit) -> tuple[list[tuple[str, Stop]], list[Watched]]:
        """Return the attempts that must stop, and those of which there is news."""
        self._next_look = self._ws.clock.monotonic() + LOOK_S
        news = [each for each in self._at_work() if self._listen(each)]
        for each in news:
            self._publish(each)
        stops = [(each.start.run, stop) for each in self._at_work() if (stop := self._judge(each, run_limit))]
        for run, stop in stops:
            self._watched[run].stop = stop
        return stops, news

    def _at_work(self) -> Iterator[Watched]:
        return (each for each in self._watched.values() if not each.has_ended and each.stop is None)

    def _listen(self, each: Watched) -> bool:
        """Take in what an agent has printed since; return whether there was anything."""
        start, before = each.start, (each.hearing.offset, each.usage)
        # What cannot be read now is read, or complained of, at the end.
        with suppress(AtmsError):
            for _ in range(_MOST_PARTS):
                if not drivers.read_on(self._ws, each.hearing, start.run, OUTPUT):
                    break
        self._listen_to_session(each)
        report = each.hearing.report
        each.usage = drivers.used_up(self._ws, start.agent, each.driver, report, each.before)
        # Of who tells nothing of what it does, any output may be progress.
        is_mute = not streams.has_terminal_event(each.driver["stream"])
        if report.steps != each.steps or (is_mute and each.hearing.offset != before[0]):
            each.steps, each.moved_at = report.steps, self._ws.clock.monotonic()
        return before != (each.hearing.offset, each.usage)

    def _listen_to_session(self, each: Watched) -> None:
        """Take in what the agent has noted of its session since; it may begin a new file when it goes on with one."""
        pattern, reader = each.session_log or ("", "")
        path = self._ws.run_files.newest(pattern) if pattern else None
        if path is None:
            return
        if each.session is None or each.session[0] != path:
            each.session = path, Hearing(reader, report=each.hearing.report)
        heard = each.session[1]
        with suppress(AtmsError):
            for _ in range(_MOST_PARTS):
                chunk, end = self._ws.run_files.read_anywhere(path, heard.offset, _PART)
                heard.take(chunk, end)
                if not chunk:
                    break

    def _publish(self, each: Watched) -> None:
        seen = {**each.seen, "seen_at": to_iso(self._ws.clock.now_ms())}
        # It is for people to look at; a full disk shows elsewhere.
        with suppress(AtmsError):
            self._ws.run_files.put(each.start.run, progress.SEEN, seen)

    def _judge(self, each: Watched, run_limit: Limit) -> Stop | None:
        return watching.over(each.spent, self._limits(each, run_limit)) or self._idle(each)

    def _limits(self, each: Watched, run_limit: Limit) -> Iterator[Limit]:
        limits, run = self._ws.config["budget"], each.start.run
        yield Limit("attempt", limits["attempt_usd"], limits["attempt_tokens"])
        yield Limit("task", limits["task_usd"], limits["task_tokens"], each.spent_before)
        others = self._total(other for other in self._watched.values() if other.start.run != run)
        yield Limit("day", limits["day_usd"], limits["day_tokens"], self._spent_today().beside(others))
        at_work = self._total(
            other for other in self._watched.values() if other.start.run != run and not other.is_settled
        )
        yield Limit(run_limit.whose, run_limit.usd, run_limit.tokens, run_limit.others.beside(at_work))

    @staticmethod
    def _total(watched: Iterable[Watched]) -> Spent:
        return budget.total(each.usage for each in watched)

    def _spent_today(self) -> Spent:
        """Return what is on record for this day."""
        limits = self._ws.config["budget"]
        if limits["day_usd"] is None and limits["day_tokens"] is None:
            return Spent()
        began, now = spending.day_began(self._ws, to_iso(self._ws.clock.now_ms())), self._ws.clock.monotonic()
        if self._day is None or self._day[0] != began or now - self._day[1] > _DAY_S:
            self._day = began, now, budget.total(self._ws.store.reading().usages_since(began))
        return self._day[2]

    def _idle(self, each: Watched) -> Stop | None:
        """Return a stop of an attempt that gets nowhere; what is dear to find out is only asked when all else says so."""
        limit_s, now = self._ws.config["execution"]["idle"], self._ws.clock.monotonic()
        if limit_s is None or now - each.moved_at < limit_s:
            return None
        for ask in (self._spoke_at_ms, self._changed_at_ms):
            at_ms = ask(each)
            if at_ms is not None:
                each.moved_at = max(each.moved_at, now - max(0, self._ws.clock.now_ms() - at_ms) / 1000)
            if now - each.moved_at < limit_s:
                return None
        return watching.idle(now - each.moved_at, limit_s, each.doing)

    def _spoke_at_ms(self, each: Watched) -> int | None:
        said = (self._ws.run_files.get(each.start.run, progress.SAID) or {}).get("at")
        return to_ms(said) if isinstance(said, str) else None

    def _changed_at_ms(self, each: Watched) -> int | None:
        start = each.start
        tree = self._ws.worktrees.path(start.task["id"]) if start.is_apart else self._ws.root
        return None if tree is None else self._ws.traces.changed_at_ms(tree)
