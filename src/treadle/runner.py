"""The Runner: what runs on one event loop share. The functions that need none are in `api`.

Put together from the layers below: the library of documents, the engine, the HTTP driver, the journal, the bundles.
"""

import asyncio
import warnings
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Self
from weakref import WeakKeyDictionary

from treadle.diagnostics import Diagnostic, Severity
from treadle.drivers.access import Access
from treadle.drivers.cache import DocumentCache
from treadle.drivers.connection import Departed
from treadle.drivers.documents import Library, Linkage, LoadedDocument
from treadle.drivers.durable import Durable, Observe, Recorder
from treadle.drivers.fetch import Fetcher
from treadle.drivers.given import options_of
from treadle.drivers.http import Http
from treadle.drivers.journals.protocol import Journal, Kept
from treadle.drivers.kept import to_keep
from treadle.drivers.network import Network
from treadle.drivers.outcome import Outcome
from treadle.drivers.policy_file import check_kept, tightened
from treadle.drivers.prepared import (
    NO_ORIGINS,
    Prepared,
    brought_back,
    check_choice,
    given_anew,
    replayed,
    undoubted,
)  # fmt: skip
from treadle.drivers.run import Clock, Interruption, SystemClock, departed, drive
from treadle.drivers.runs import forget, new_id, taken_over
from treadle.drivers.settings import check_policy, check_servers
from treadle.drivers.stopping import Waiter, left, stopped
from treadle.engine.interpreter import Run
from treadle.engine.journal import Record
from treadle.engine.program import Program
from treadle.errors import DocumentInvalid, RunRefused, SourceInvalid
from treadle.vendors import BUNDLES

INSECURE = Diagnostic("insecure", Severity.WARNING, "TLS certificates are not verified")
"""The warning of each run under `insecure`."""


class Runner:
    """Connection pools, compiled programs and limits shared by many runs; an asynchronous context manager.

    Takes the options of `Options` as keywords. With a `journal`, its runs are durable: a Journal, or the path of a SQLite
    file, which is made where it is not there. `prompt` shows a line to whoever has to sign in by hand; without it the
    line goes to stderr.

    Raises:
        RunRefused: an option makes no sense.
    """

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        journal: Journal | str | Path | None = None,
        prompt: Callable[[str], None] | None = None,
        **options: Any,
    ) -> None:
        self.options, self._policy = tightened(options.pop("options", None) or options_of(options))
        self._durable = Durable(journal, replays=self.options.replay is not None)
        self._limits = self.options.limits()
        self._network = Network(self.options, clock or SystemClock(), self._policy)
        self._clock = self._network.clock
        cache = None if self.options.no_cache or self._network.is_recorded else DocumentCache()
        files = self._policy.files if self._policy is not None else None
        fetch = Fetcher(self._network.shared, self._clock, cache)
        self._library = Library(BUNDLES, fetch, no_files=None if files is None else files.by)
        self._access = Access(self.options, self._clock, prompt)
        self._authorize = self._access.authorize  # one for all runs
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        self._programs: WeakKeyDictionary[LoadedDocument, dict[str, tuple[Program, list[Diagnostic]]]]
        self._programs = WeakKeyDictionary()
        self._sendable: WeakKeyDictionary[LoadedDocument, dict[str, tuple[Program, list[Diagnostic]]]]
        self._sendable = WeakKeyDictionary()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections and write the recording; the Runner cannot be used after that."""
        self._closed = True
        try:
            await self._durable.close()
        finally:
            await self._network.close()
        problem = self.save_recording()
        if problem is not None:
            warnings.warn(problem, RuntimeWarning, stacklevel=2)

    def save_recording(self) -> str | None:
        """Write what `record` asks for, once; give what is wrong where that fails. `close` does it by itself."""
        return self._network.save()

    def open_journal(self) -> Journal | None:
        """Give the journal, or None where runs are not durable; a file is opened now, else at the first run.

        Raises:
            JournalFailed: it cannot be opened.
        """
        return self._durable.journal

    async def load(self, source: str | Path) -> LoadedDocument:
        """Load a document from a path, an http(s) URL or a bundled name.

        Raises:
            DocumentInvalid: it is not there or not valid; `diagnostics` says why.
        """
        return await self._library.load(str(source))

    async def loaded(self, document: LoadedDocument | str | Path) -> LoadedDocument:
        """Give a document that may have to be loaded first; raises like `load`, and RunRefused for anything else."""
        if isinstance(document, LoadedDocument):
            return document
        if isinstance(document, str | Path):
            return await self.load(document)
        raise RunRefused(f"a {type(document).__name__} is no document", hint="give a path, a URL, or what load() gave")

    async def check(self, document: LoadedDocument, workflow_id: str) -> tuple[Program | None, list[Diagnostic]]:
        """Compile a workflow; the program is None where a diagnostic is an error.

        Programs are kept as long as their document; load it once for many runs.

        Raises:
            RunRefused: there is no such workflow, or an option names a source that is not there.
        """
        known = self._programs.setdefault(document, {})
        if workflow_id in known:
            return known[workflow_id]
        program, diagnostics = await self._library.compile(await self.link(document), workflow_id)
        if program is not None:
            known[workflow_id] = (program, diagnostics)
        return program, diagnostics

    async def link(self, document: LoadedDocument, *, offline: bool = False) -> Linkage:
        """Bring the sources of a document.

        Raises:
            RunRefused: an option names a source that is not there.
        """
        options = self.options
        return await self._library.link(
            document,
            strict=options.strict,
            servers=options.servers,
            sources=options.source,
            variables=options.server_var,
            offline=offline,
        )

    async def check_all(self, document: LoadedDocument, *, offline: bool = False) -> list[Diagnostic]:
        """Compile every workflow of a document and give every diagnostic, each once; raises like `link`."""
        return await self._library.check(await self.link(document, offline=offline))

    async def prepare(
        self,
        document: LoadedDocument | str | Path,
        workflow_id: str | None = None,
        inputs: Mapping[str, Any] | None = None,
        *,
        origins: Mapping[str, str] = NO_ORIGINS,
    ) -> Prepared:
        """Do everything that comes before the first request; `origins` as in Prepared.

        Raises:
            DocumentInvalid: the document or a source cannot be used.
            InputsInvalid: the inputs do not fit.
            RunRefused: there is no such workflow, or it has to be named.
        """
        known = self._sendable.get(document) if isinstance(document, LoadedDocument) else None
        ready = None if known is None or workflow_id is None else known.get(workflow_id)
        program, diagnostics = ready or await self._made_sendable(document, workflow_id)
        given: Any = {} if inputs is None else inputs  # not everybody has a type checker
        if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
            raise RunRefused("the inputs are no mapping of names to values", hint="for example {'projectKey': 'DEMO'}")
        return self._with_known(Prepared(program, given, diagnostics, origins))

    async def _made_sendable(
        self, document: LoadedDocument | str | Path, workflow_id: str | None
    ) -> tuple[Program, list[Diagnostic]]:
        """Do what `prepare` does once for all runs of a workflow; raises like it."""
        loaded = await self.loaded(document)
        chosen = workflow_id or only_workflow(loaded)
        program, diagnostics = await self._compiled(loaded, chosen)
        known = self._sendable.setdefault(loaded, {})
        if chosen not in known:
            check_servers(program)
            diagnostics += self._allowed(program)
            known[chosen] = program, diagnostics
        return program, diagnostics

    def _allowed(self, program: Program) -> list[Diagnostic]:
        """Make sure that a program may be run here, and give the warnings about its credentials; raises like `prepare`."""
        found = self._access.findings(program)
        if self._policy is not None:
            check_policy(program, self._policy)
        return found

    def _with_known(self, prepared: Prepared) -> Prepared:
        """Have a run know the secrets of the connections and of the credentials."""
        if self.options.insecure:
            prepared.diagnostics.append(INSECURE)
        known = [*self._access.secrets(), *self._network.secrets]
        if known:
            prepared.secrets.add(known)
        return prepared

    def needed_credentials(self, program: Program) -> list[dict[str, Any]]:
        """Give what each step needs and from where it would come, without any value; raises RunRefused like `prepare`."""
        return self._access.listed(program)

    async def credentials_of(self, document: LoadedDocument, workflow_ids: list[str]) -> list[dict[str, Any]]:
        """Give what the steps of workflows need, as `needed_credentials` does; raises like `prepare`."""
        found: list[dict[str, Any]] = []
        for workflow_id in workflow_ids:
            program = await self._compiled(document, workflow_id)
            found += [entry for entry in self.needed_credentials(program[0]) if entry not in found]
        return found

    def known_secrets(self) -> list[str]:
        """Give every secret of credentials that has been looked up so far."""
        return self._access.secrets()

    async def _compiled(self, document: LoadedDocument, workflow_id: str) -> tuple[Program, list[Diagnostic]]:
        program, diagnostics = await self.check(document, workflow_id)
        if program is None:
            at_source = any(found.rule == "source" for found in diagnostics)
            refused = SourceInvalid if at_source else DocumentInvalid
            raise refused(f"workflow '{workflow_id}' of {document.name} cannot be run", diagnostics)
        return program, diagnostics

    async def run(
        self,
        document: LoadedDocument | str | Path,
        workflow_id: str | None = None,
        inputs: Mapping[str, Any] | None = None,
        *,
        observe: Observe | None = None,
    ) -> Outcome:
        """Run a workflow; raises like `prepare`, and never for what happens during the run."""
        return await self.execute(await self.prepare(document, workflow_id, inputs), observe=observe)

    # No coroutine of its own around that which it gives: it would be there as long as the run.

    def execute(
        self,
        prepared: Prepared,
        *,
        observe: Observe | None = None,
        interruption: Interruption | None = None,
        timeout: float | None = None,
        durable: bool = True,
    ) -> Coroutine[Any, Any, Outcome]:
        """Run what was prepared; an interruption ends it with status `cancelled`, a durable one as Outcome says.

        `timeout` is the limit of this run, in place of that of the Runner. Without `durable` a journal has nothing of it.
        """
        self._check_usable()
        journal = self._durable.journal if durable else None
        run_id = new_id()
        run = Run(
            prepared.program, prepared.inputs, self._limits,
            secrets=prepared.secrets, secret_names=prepared.secret_names, run_id=run_id,
        )  # fmt: skip
        start = None
        if journal is not None:
            kept = self._kept if timeout is None else {**self._kept, "timeout": timeout}
            start = prepared.start(run_id, kept, self._clock.now())
        recorder = Recorder(run, prepared.secrets, observe, journal, start)
        limit = self.options.timeout if timeout is None else timeout
        return self._drive(run, recorder, prepared, interruption, timeout=limit)

    async def resume(
        self,
        run_id: str,
        secrets: Mapping[str, Any] | None = None,
        *,
        in_doubt: str | Mapping[str, Any] | None = None,
        observe: Observe | None = None,
        interruption: Interruption | None = None,
        timeout: float | None = None,
    ) -> Outcome:
        """Go on with a run of the journal where its records end; no request is repeated that has its answer there.

        Args:
            run_id: the id of the run.
            secrets: secret inputs, by name; others are taken from where they came.
            in_doubt: what to do about a request that may have been sent and has no answer: `retry` sends it again,
                outputs by name skip its step as if it had succeeded with them, `fail` takes it as failed. A rule of the
                document (`x-treadle-reconcile`) is asked before a retry, and without this; without it and without a
                rule the run stays in doubt.
            observe: is shown each further record.
            interruption: may stop it again.
            timeout: the limit from now on, in place of that of the Runner.

        Raises:
            RunRefused: there is no such run, it is driven already, a secret input or a file is not there, or its requests
                would go where those who started it, or the policy of this machine, do not want them.
            JournalFailed: the journal cannot be read or written.
        """
        self._check_usable()
        journal = self._durable.needed()
        kept = await journal.claim(run_id)
        try:
            prepared, run = self._brought_back(kept, secrets or {})
            check_choice(in_doubt, run)
        except BaseException:
            await journal.release(run_id)
            raise
        recorder = Recorder(run, prepared.secrets, observe, journal)
        recorder.take_over(kept.records)
        first = [*run.take_unwritten(), *undoubted(run, in_doubt, self._clock.now())]
        limit = self.options.timeout if timeout is None else timeout
        return await self._drive(run, recorder, prepared, interruption, first, timeout=limit)

    async def retry(
        self,
        run_id: str,
        step_id: str | None = None,
        secrets: Mapping[str, Any] | None = None,
        *,
        origins: Mapping[str, str] = NO_ORIGINS,
        observe: Observe | None = None,
        interruption: Interruption | None = None,
    ) -> Outcome:
        """Run a run of the journal anew, with its program and inputs; the other one stays as it is.

        Args:
            run_id: the id of the run.
            step_id: the step to begin with: what was done before it first began is taken over. Without it, from the start.
            secrets: secret inputs, by name; others are taken from where they came.
            origins: where those came from that are given, as in Prepared.
            observe: is shown each further record.
            interruption: may stop the new run.

        Raises:
            RunRefused: there is no such run, it did not come to that step, or a secret input is not there.
            JournalFailed: the journal cannot be read or written.
        """
        self._check_usable()
        journal = self._durable.needed()
        kept = taken_over(await journal.read(run_id), step_id, new_id(), self._clock.now())
        prepared, run = self._brought_back(kept, secrets or {})
        start = given_anew(kept.start, secrets or {}, origins, self.options)
        recorder = Recorder(run, prepared.secrets, observe, journal, start)
        recorder.take_over(kept.records, written=False)
        first = run.take_unwritten()
        return await self._drive(run, recorder, prepared, interruption, first, timeout=self.options.timeout)

    @cached_property
    def _kept(self) -> dict[str, Any]:
        return to_keep(self.options)

    def _brought_back(self, kept: Kept, secrets: Mapping[str, Any]) -> tuple[Prepared, Run]:
        check_kept(kept.start.options, self.options, self._policy)
        prepared = brought_back(kept.start, secrets)
        prepared.diagnostics += self._allowed(prepared.program)
        return prepared, replayed(kept, self._with_known(prepared))

    async def forget(self, seconds: float) -> int:
        """Delete the runs of the journal that ended longer ago than that, those in doubt left out; give how many.

        Raises:
            RunRefused: there is no journal.
            JournalFailed: it cannot be read or written.
        """
        return len([run_id async for run_id in forget(self._durable.needed(), self._clock.now() - seconds)])

    async def _drive(
        self,
        run: Run,
        recorder: Recorder,
        prepared: Prepared,
        interruption: Interruption | None,
        first: Sequence[Record] = (),
        *,
        timeout: float | None = None,
    ) -> Outcome:
        durable = recorder.is_durable
        if durable:
            interruption = interruption or Interruption()
            self._durable.begin(run.run_id, interruption)
        try:
            return await self._driven(run, recorder, prepared, interruption, first, timeout)
        finally:
            try:
                if interruption is not None:
                    await interruption.detach()
            finally:
                if durable:
                    await self._durable.end(run.run_id)

    async def _driven(
        self,
        run: Run,
        recorder: Recorder,
        prepared: Prepared,
        interruption: Interruption | None,
        first: Sequence[Record],
        timeout: float | None,
    ) -> Outcome:
        clock = self._clock if interruption is None else interruption.breakable(self._clock)
        exchange = self._network.of_run(run.program.workflow_id, prepared.secrets)
        notice = recorder.notice
        http = Http(exchange, clock, notice, prepared.secrets, self._authorize, recorder.cookies)
        if interruption is not None:
            interruption.attach()
        broken: BaseException | None = None
        try:
            if first:
                await recorder.append(first)
            with Waiter(run, notice, self._clock, interruption):
                await drive(run, http, recorder.append, self._clock, timeout=timeout, interruption=interruption)
            if run.outcome is not None:
                await recorder.append(self._network.left_over(exchange))
        except asyncio.CancelledError as error:
            if interruption is None or not interruption.take_back():
                await left(run, recorder, error, self._clock.now())
                raise
            broken = error
        except Departed as departure:
            await recorder.append(run.stop("failed", departed(run, departure), self._clock.now()))
        durable = recorder.is_durable
        if interruption is not None and interruption.reason is not None:
            await stopped(run, recorder, interruption, broken, self._clock.now(), durable=durable)
        return Outcome(run, recorder.history, prepared.diagnostics, prepared.secrets, durable=durable)

    def _check_usable(self) -> None:
        loop = asyncio.get_running_loop()
        if self._loop not in (None, loop):
            raise RunRefused("a Runner belongs to the event loop that it was first used on", hint="make one for each")
        if self._closed:
            raise RunRefused("this Runner is closed", hint="make a new one, and run inside its `async with`")
        self._loop = loop


def only_workflow(loaded: LoadedDocument) -> str:
    """Give the workflow that is meant where none is named; raises RunRefused where that cannot be told."""
    ids = loaded.workflow_ids
    for bundle in BUNDLES.values():
        if loaded.name == str(bundle.document):
            return bundle.workflow
    if len(ids) != 1:
        raise RunRefused(f"{loaded.name} has {len(ids)} workflows; say which", hint=f"there are {', '.join(ids)}")
    return ids[0]
