"""The queue at work: hands jobs over, follows them, brings results home, and comes back after any interruption.

What the server says of itself is trusted over what it has told us: after every break the jobs are compared with its
queue and its history, so a missed message loses nothing. A job is given its id here, and that is written down, before
the server hears of it; so it is never handed over twice, whoever was killed in between.
"""

import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from ...svd.errors import InputError
from .bars import QueueBars
from .connection import NoMessages, Unreachable
from .events import Events, Silence
from .losses import losses
from .manifest import Manifest, Record
from .outcome import File, Outcome
from .plan import Job
from .results import fetch, left_behind, named
from .server import EditorServer, Line, Refused
from .timing import Timing
from .words import one_line

OVER = ("execution_success", "execution_error", "execution_interrupted")
MOST_STEPS = 1_000_000  # of a bar
SILENT = 2  # connections that broke without a message: then the server is asked instead


class AwayTooLong(Exception):
    """The server has been away for too long; one sentence."""


class Work:
    """The jobs of one client, and their records in the manifest."""

    def __init__(
        self,
        jobs: Sequence[Job],
        manifest: Manifest,
        server: EditorServer,
        bars: QueueBars,
        patience: float,
        timing: Timing,
    ) -> None:
        self.records = manifest.jobs
        self._jobs = {job.name: job for job in jobs}
        self._manifest, self._server, self._bars, self._patience = manifest, server, bars, patience
        self._timing = timing
        self._pictures = {job.picture.sha256: job.picture for job in jobs if job.picture}
        self._there: set[str] = set()  # pictures put there over this connection, which may be to another machine
        self._taken: set[str] = set()  # and over any of this run
        self._refused: dict[str, Mapping[str, str]] = {}  # by job and node: results that the server will not make
        self._silent = 0
        self.accepted = False  # whether the server has taken a job of this run

    @property
    def unfinished(self) -> list[Record]:
        return [record for record in self.records if record.state in ("waiting", "queued")]

    def run(self) -> None:
        """Sees every job to its end.

        Raises:
            InputError: the server refuses a picture, or one is not what it was.
            Refused: the server refuses the very first workflow; none is queued then.
            UnexpectedAnswer: the server answers as the editor never does.
            AwayTooLong: the server was away for longer than `patience`.
            OSError: a result or the manifest cannot be written.
        """
        self._bars.begin(len(self.records), len(self.records) - len(self.unfinished))
        away_since: float | None = None
        told = False
        while self.unfinished:
            try:
                with self._listening() as events:
                    self._there.clear()
                    self._compare(restarted=True)
                    if told:
                        self._bars.say("The server is back.")
                    away_since, told = None, False
                    self._follow(events)
            except NoMessages as error:
                self._silent = SILENT
                self._bars.say(f"The server sends no messages ({error}): it is asked now and then instead.")
            except Unreachable as error:
                now = time.monotonic()
                if away_since is None:
                    away_since = now  # and nothing is said yet: some proxies end every connection that is idle
                elif not told:
                    told = True
                    self._bars.say(f"The server at {self._server.where} is away ({error}); trying again.")
                if now - away_since > self._patience:
                    raise AwayTooLong(
                        f"The server at {self._server.where} has been away for {self._patience:g} s ({error})."
                    ) from error
                time.sleep(self._timing.pause)

    def cancel(self) -> None:
        """Takes back what is not finished. Those that ended in the last moment are kept."""
        ids = [record.prompt_id for record in self.unfinished if record.prompt_id]
        self._server.cancel(ids)
        end = time.monotonic() + self._timing.stopping
        while any(id in self._server.line() for id in ids) and time.monotonic() < end:
            time.sleep(0.1)
        for record in self.unfinished:
            outcome = self._server.outcome(record.prompt_id) if record.prompt_id else None
            if outcome and not outcome.fault:
                self._settle(record, outcome)
            else:
                record.state, record.prompt_id = "waiting", None
        self._manifest.save()

    @contextmanager
    def _listening(self) -> Iterator[Events | Silence]:
        if self._silent >= SILENT:
            yield Silence()
            return
        events = Events(self._server.connection, self._manifest.client_id)
        try:
            self._open(events)
            yield events
        finally:
            self._silent = 0 if events.heard else self._silent + 1
            events.close()

    def _open(self, events: Events) -> None:
        try:
            events.open()
        except Unreachable as error:
            self._server.line()  # raises it again where not the messages alone are kept away
            if self._silent + 1 >= SILENT:
                raise NoMessages(str(error)) from error
            raise

    def _upload(self, records: Sequence[Record]) -> None:
        """Puts the pictures of these there. One that the server took before may be gone from here."""
        for sha256 in dict.fromkeys(record.picture_sha256 for record in records):
            if sha256 is None or sha256 in self._there:
                continue
            picture = self._pictures[sha256]
            try:
                data = picture.read()
            except InputError:
                if sha256 not in self._taken:
                    raise
                continue
            self._server.upload(picture.path, data, picture.remote)
            self._there.add(sha256)
            self._taken.add(sha256)

    def _follow(self, events: Events | Silence) -> None:
        asking = isinstance(events, Silence)
        pause = self._timing.ask_every if asking else self._timing.look_every
        looked = time.monotonic()
        while self.unfinished:
            if event := events.receive(min(1.0, pause)):
                if event[0] == "status" and self._bars.waits:  # somebody's job is over, or was taken out
                    self._tell_turn(self._server.line())
                self._told(*event)
            if (began := time.monotonic()) - looked > pause:
                self._compare(restarted=False)
                looked = time.monotonic()
                pause = max(pause, 10 * (looked - began)) if asking else pause

    def _told(self, kind: str, data: dict[str, Any]) -> None:
        record = next((r for r in self.unfinished if r.prompt_id and r.prompt_id == data.get("prompt_id")), None)
        if record is None:
            return
        node, step, total = (data.get(name) for name in ("node", "value", "max"))
        if kind == "executing" and node is not None:
            self._bars.at(record.name, self._title(record, str(node)))
        elif kind == "progress":
            if isinstance(step, int) and isinstance(total, int) and 0 <= step <= total <= MOST_STEPS:
                self._bars.stepped(record.name, step, total)
        elif (kind in OVER or kind == "executing") and (outcome := self._server.outcome(str(record.prompt_id))):
            self._settle(record, outcome)  # there is none yet at the first of the two messages

    def _compare(self, restarted: bool) -> None:
        """Looks up every unfinished job on the server, and hands over what it does not have.

        restarted: whether it may have forgotten jobs; if not, one that is gone was taken out of the queue by someone.
        """
        self._upload([record for record in self.unfinished if record.state == "waiting"])  # before any job is there
        new = self._give_ids()
        line = self._server.line()  # first: a job goes from the queue to the history in one step
        for record in self.unfinished:
            if record.prompt_id in line:
                continue
            if record.prompt_id in new:
                self._hand_over(record)
                continue
            if outcome := self._server.outcome(str(record.prompt_id)):
                self._settle(record, outcome)
            elif files := self._left_behind(record):
                self._settle(record, Outcome(None, None, files))
            elif restarted:
                self._hand_over(record)
            else:
                self._fail(record, "it was taken out of the server's queue")
        if self.unfinished:
            self._tell_turn(self._server.line() if new else line)

    def _tell_turn(self, line: Line) -> None:
        self._bars.turn(line.before({str(record.prompt_id) for record in self.unfinished}))

    def _give_ids(self) -> set[str]:
        """Gives the waiting jobs their ids, and returns these."""
        waiting = [record for record in self.unfinished if record.state == "waiting"]
        for record in waiting:
            record.state, record.prompt_id = "queued", str(uuid.uuid4())
        if waiting:
            self._manifest.save()
        return {str(record.prompt_id) for record in waiting}

    def _hand_over(self, record: Record) -> None:
        self._upload([record])
        prompt = named(self._jobs[record.name].prompt, record)
        try:
            refused = self._server.queue(prompt, str(record.prompt_id), self._manifest.client_id, record.owed)
            self.accepted = True
        except Refused as error:
            if not self.accepted and not record.owed:  # they are all alike
                raise
            self._fail(record, str(error))
            return
        self._refused[record.name] = refused
        if refused:
            record.error = " ".join(refused.values())  # whoever goes on after a kill has to know it
            self._manifest.save()

    def _left_behind(self, record: Record) -> Mapping[str, list[File]]:
        job = self._jobs[record.name]
        return left_behind(self._server, job.prompt, record, record.owed or job.outputs, self._manifest.path.parent)

    def _settle(self, record: Record, outcome: Outcome) -> None:
        """Closes a job that is over on the server: brings home what it has made, and says what it has not."""
        job = self._jobs[record.name]
        lost = losses(outcome, job.prompt, record.owed or job.outputs, self._refused.get(record.name, {}))
        kept = record.kept
        own = {result.file for each in self._manifest.jobs for result in each.files if result not in kept}
        fetched = fetch(self._server, outcome.files, self._manifest.path.parent, record.name, own, len(kept))
        record.files = [*kept, *fetched.results]
        why = [outcome.fault.sentence(job.prompt)] if outcome.fault else []
        told_before_a_kill = lost and record.error and record.name not in self._refused
        why += [record.error or ""] if told_before_a_kill else lost.values()
        why += fetched.faults.values()
        record.seconds = outcome.seconds
        if why or not record.files:
            record.owed = [*lost, *(id for id in fetched.faults if id not in lost)]
            none = "the workflow ended without a file; add a node such as Save Video at its end"
            self._fail(record, " ".join(dict.fromkeys(filter(None, why))) or none)
            return
        record.state, record.error = "done", None
        self._manifest.save()
        self._bars.over(record.name, "done" if record.seconds is None else f"done in {record.seconds:.1f} s")

    def _fail(self, record: Record, why: str) -> None:
        record.state, record.error = "failed", why
        self._manifest.save()
        came = f", {len(record.files)} of its files came" if record.files else ""
        self._bars.over(record.name, f"failed{came}", failed=True)

    def _title(self, record: Record, node: str) -> str:
        entry = self._jobs[record.name].prompt.get(node, {})
        return one_line(entry.get("_meta", {}).get("title") or entry.get("class_type", ""))
