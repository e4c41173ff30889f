"""The queue at work: hands jobs over, follows them, brings results home, and comes back after any interruption.

What the server says of itself is trusted over what it has told us: after every break the jobs are compared with its
queue and its history, so a missed message loses nothing. A job is given its id here, and that is written down, before
the server hears of it; so it is never handed over twice, whoever was killed in between.
"""

import time
import uuid
from collections.abc import Sequence
from typing import Any

from ...svd.errors import InputError
from .bars import QueueBars
from .events import Events
from .manifest import Manifest, Record
from .outcome import File, Outcome
from .plan import Job
from .results import NoResult, fetch, left_behind, named
from .server import EditorServer, Refused, Unreachable

LOOK_EVERY = 30.0  # seconds between looks at the server's queue while messages come
PAUSE = 1.0  # seconds between two tries to reach a server that is away
STOPPING = 3.0  # seconds that a cancelled job may take to stop
OVER = ("execution_success", "execution_error", "execution_interrupted")


class Lost(Exception):
    """The server has been away for too long; one sentence."""


class Work:
    """The jobs of one client, and their records in the manifest."""

    def __init__(
        self, jobs: Sequence[Job], manifest: Manifest, server: EditorServer, bars: QueueBars, patience: float
    ) -> None:
        self.records = manifest.jobs
        self._prompts = {job.name: job.prompt for job in jobs}
        self._manifest, self._server, self._bars, self._patience = manifest, server, bars, patience
        self._pictures = {job.picture.sha256: job.picture for job in jobs if job.picture}
        self._there: set[str] = set()  # pictures put there over this connection, which may be to another machine
        self._taken: set[str] = set()  # and over any of this run
        self.accepted = False  # whether the server has taken a job of this run

    @property
    def unfinished(self) -> list[Record]:
        return [record for record in self.records if record.state in ("waiting", "queued")]

    def run(self) -> None:
        """Sees every job to its end.

        Raises:
            InputError: the server refuses a picture, or one is not what it was.
            Refused: the server refuses the very first workflow; none is queued then.
            Strange: the server answers as the editor never does.
            Lost: the server was away for longer than `patience`.
            OSError: a result or the manifest cannot be written.
        """
        self._bars.begin(len(self.records), len(self.records) - len(self.unfinished))
        away_since: float | None = None
        while self.unfinished:
            try:
                with Events(self._server.address, self._server.url, self._manifest.client_id) as events:
                    self._there.clear()
                    self._compare(restarted=True)
                    if away_since is not None:
                        self._bars.say("The server is back.")
                    away_since = None
                    self._follow(events)
            except Unreachable as error:
                now = time.monotonic()
                if away_since is None:
                    away_since = now
                    self._bars.say(f"The server at {self._server.url} is away ({error}); trying again.")
                if now - away_since > self._patience:
                    raise Lost(
                        f"The server at {self._server.url} has been away for {self._patience:g} s ({error})."
                    ) from error
                time.sleep(PAUSE)

    def cancel(self) -> None:
        """Takes back what is not finished. Those that ended in the last moment are kept."""
        ids = [record.prompt_id for record in self.unfinished if record.prompt_id]
        self._server.cancel(ids)
        end = time.monotonic() + STOPPING
        while set(ids) & self._server.in_queue() and time.monotonic() < end:
            time.sleep(0.1)
        for record in self.unfinished:
            outcome = self._server.outcome(record.prompt_id) if record.prompt_id else None
            if outcome and not outcome.fault:
                self._settle(record, outcome)
            else:
                record.state, record.prompt_id = "waiting", None
        self._manifest.save()

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

    def _follow(self, events: Events) -> None:
        looked = time.monotonic()
        while self.unfinished:
            if event := events.receive(1.0):
                self._told(*event)
            if time.monotonic() - looked > LOOK_EVERY:
                self._compare(restarted=False)
                looked = time.monotonic()

    def _told(self, kind: str, data: dict[str, Any]) -> None:
        record = next((r for r in self.unfinished if r.prompt_id and r.prompt_id == data.get("prompt_id")), None)
        if record is None:
            return
        node, step, total = (data.get(name) for name in ("node", "value", "max"))
        if kind == "executing" and node is not None:
            self._bars.at(record.name, self._title(record, str(node)))
        elif kind == "progress":
            if isinstance(step, int) and isinstance(total, int):
                self._bars.stepped(record.name, step, total)
        elif (kind in OVER or kind == "executing") and (outcome := self._server.outcome(str(record.prompt_id))):
            self._settle(record, outcome)  # there is none yet at the first of the two messages

    def _compare(self, restarted: bool) -> None:
        """Looks up every unfinished job on the server, and hands over what it does not have.

        restarted: whether it may have forgotten jobs; if not, one that is gone was taken out of the queue by someone.
        """
        self._upload([record for record in self.unfinished if record.state == "waiting"])  # before any job is there
        new = self._give_ids()
        there = self._server.in_queue()  # first: a job goes from the queue to the history in one step
        for record in self.unfinished:
            if record.prompt_id in there:
                continue
            if record.prompt_id in new:
                self._hand_over(record)
                continue
            if outcome := self._server.outcome(str(record.prompt_id)):
                self._settle(record, outcome)
            elif files := left_behind(self._server, self._prompts[record.name], record):
                self._bring_home(record, files)
            elif restarted:
                self._hand_over(record)
            else:
                self._fail(record, "it was taken out of the server's queue")

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
        prompt = named(self._prompts[record.name], record)
        try:
            self._server.queue(prompt, str(record.prompt_id), self._manifest.client_id)
            self.accepted = True
        except Refused as error:
            if not self.accepted:  # they are all alike
                raise
            self._fail(record, str(error))

    def _settle(self, record: Record, outcome: Outcome) -> None:
        """Closes a job that is over on the server."""
        if outcome.fault:
            self._fail(record, outcome.fault.sentence(self._prompts[record.name]))
            return
        record.seconds = outcome.seconds
        self._bring_home(record, outcome.files)

    def _bring_home(self, record: Record, files: list[File]) -> None:
        try:
            own = {result.file for each in self._manifest.jobs for result in each.files}
            record.files = fetch(self._server, files, self._manifest.path.parent, record.name, own)
        except NoResult as error:
            self._fail(record, str(error))
            return
        record.state = "done"
        self._manifest.save()
        self._bars.over(record.name, "done" if record.seconds is None else f"done in {record.seconds:.1f} s")

    def _fail(self, record: Record, why: str) -> None:
        record.state, record.error = "failed", why
        self._manifest.save()
        self._bars.over(record.name, "failed", failed=True)

    def _title(self, record: Record, node: str) -> str:
        entry = self._prompts[record.name].get(node, {})
        return entry.get("_meta", {}).get("title") or entry.get("class_type", "")
