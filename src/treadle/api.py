"""The Python interface: load, check, run. Everything here is exported by `treadle` itself.

Put together from the layers below: the library of documents, the engine, the HTTP driver, the bundles.
"""

import asyncio
import random
import threading
import warnings
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, Self, TypeVar
from weakref import WeakKeyDictionary

import msgspec

from treadle.diagnostics import Diagnostic, Severity
from treadle.drivers.access import Access
from treadle.drivers.cache import DocumentCache
from treadle.drivers.connection import Departed
from treadle.drivers.documents import Library, Linkage, LoadedDocument
from treadle.drivers.fetch import Fetcher
from treadle.drivers.files import LocalFiles
from treadle.drivers.http import Http, Send
from treadle.drivers.network import Network
from treadle.drivers.policy_file import tightened
from treadle.drivers.run import Clock, SystemClock, departed, drive, interrupted
from treadle.drivers.settings import Options, check_policy, check_servers
from treadle.engine.effects import SendHttp
from treadle.engine.entry import entry_inputs
from treadle.engine.file_inputs import with_files
from treadle.engine.interpreter import Run
from treadle.engine.journal import Failure, Record
from treadle.engine.program import Program
from treadle.engine.report import History, report, step_entries
from treadle.engine.secret_inputs import secret_values
from treadle.engine.secrets import Secrets
from treadle.errors import DocumentInvalid, EffectFailed, RunRefused, SourceInvalid
from treadle.files import Binary, json_form
from treadle.vendors import BUNDLES

Observe = Callable[[Record], None]
"""Is shown each record of a run as it happens."""
_INSECURE = Diagnostic("insecure", Severity.WARNING, "TLS certificates are not verified")
_T = TypeVar("_T")


def _ignore(_record: Record) -> None:
    """Nobody observes."""


class Outcome:
    """How a run ended.

    Attributes:
        run_id: the id of the run.
        workflow_id: the workflow that ran.
        status: succeeded, failed, limited, in-doubt or cancelled.
        outputs: the workflow's outputs by name, as they are; what was missing is None, and the body of an answer that is
            no text a Binary.
        error: why it did not succeed (kind, message, step_id, hint), secrets masked, or None.
        diagnostics: warnings about the document.
    """

    __slots__ = ("_history", "_secrets", "diagnostics", "error", "outputs", "run_id", "status", "workflow_id")

    def __init__(self, run: Run, history: History, diagnostics: list[Diagnostic], secret_values: Secrets) -> None:
        ended = run.outcome
        if ended is None:
            raise ValueError("the run has not ended")
        self.run_id = f"{random.getrandbits(64):016x}"
        self.workflow_id = run.program.workflow_id
        self.status = ended.status
        self.outputs = ended.outputs
        self.error = None if ended.error is None else _masked(ended.error, secret_values)
        self.diagnostics = diagnostics
        self._history = history
        self._secrets = secret_values

    @property
    def steps(self) -> list[dict[str, Any]]:
        """What happened at each step, as in the report; the middle of a long loop is folded into a count."""
        entries: list[dict[str, Any]] = self._secrets.value(json_form(step_entries(self._history)))
        return entries

    def report(self, keep: Callable[[Binary], str | None] | None = None) -> dict[str, Any]:
        """Give the report `treadle.report/1` as a JSON value, with every secret masked.

        Of an output that is binary data it has the size and the media type, and the file that `keep` put it in.
        """
        whole = report(self.run_id, self.workflow_id, self._history, self.diagnostics)
        masked: dict[str, Any] = self._secrets.value(json_form(whole, keep))
        return masked

    def raise_for_status(self) -> None:
        """Do nothing where the run succeeded.

        Raises:
            EffectFailed: it did not.
        """
        if self.status != "succeeded":
            message = self.error.message if self.error else f"the run ended {self.status}"
            raise EffectFailed(message, hint=self.error.hint if self.error else None)

    def __repr__(self) -> str:
        return f"<Outcome {self.workflow_id} {self.status}>"


def _masked(error: Failure, secret_values: Secrets) -> Failure:
    hint = None if error.hint is None else secret_values.text(error.hint)
    return Failure(error.kind, secret_values.text(error.message), error.step_id, hint)


class Interruption:
    """A way to stop one run from outside, cleanly: it ends with status `cancelled` and all that it has."""

    __slots__ = ("_task", "reason")

    def __init__(self) -> None:
        self.reason: str | None = None
        self._task: asyncio.Task[Any] | None = None

    def attach(self) -> None:
        """Make the current task the one that is stopped."""
        self._task = asyncio.current_task()

    def request(self, reason: str) -> None:
        """Stop the run; call it on the run's event loop."""
        self.reason = reason
        if self._task is not None:
            self._task.cancel()


class Prepared:
    """A program with inputs that fit it: everything of a run that can be refused has been accepted."""

    __slots__ = ("diagnostics", "inputs", "program", "secrets")

    def __init__(
        self, program: Program, inputs: Mapping[str, Any], diagnostics: list[Diagnostic], secret_names: frozenset[str]
    ) -> None:
        self.program = program
        given = with_files(program.entry.inputs, inputs, LocalFiles())
        self.inputs, unused = entry_inputs(program, given)
        self.diagnostics = [
            *diagnostics,
            *(Diagnostic("unknown-input", Severity.WARNING, message) for message in unused),
        ]
        secrets = program.entry.secrets
        names = secret_names.union(secrets) if secret_names else secrets
        self.secrets = Secrets(secret_values(self.inputs, names, program.entry.inputs))


class Runner:
    """Connection pools, compiled programs and limits shared by many runs; an asynchronous context manager.

    Takes the options of `Options` as keywords. `prompt` shows a line to whoever has to sign in by hand; without it the
    line goes to stderr.

    Raises:
        RunRefused: an option makes no sense.
    """

    def __init__(
        self, *, clock: Clock | None = None, prompt: Callable[[str], None] | None = None, **options: Any
    ) -> None:
        self.options, self._policy = tightened(options.pop("options", None) or _options(options))
        self._limits = self.options.limits()
        self._network = Network(self.options, clock or SystemClock(), self._policy)
        self._clock = self._network.clock
        cache = None if self.options.no_cache or self._network.is_recorded else DocumentCache()
        files = self._policy.files if self._policy is not None else None
        fetch = Fetcher(self._network.shared, self._clock, cache)
        self._library = Library(BUNDLES, fetch, no_files=None if files is None else files.by)
        self._access = Access(self.options, self._clock, prompt)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        self._programs: WeakKeyDictionary[LoadedDocument, dict[str, tuple[Program, list[Diagnostic]]]]
        self._programs = WeakKeyDictionary()
        self._sendable: WeakKeyDictionary[LoadedDocument, set[str]] = WeakKeyDictionary()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections and write the recording; the Runner cannot be used after that."""
        self._closed = True
        await self._network.close()
        problem = self.save_recording()
        if problem is not None:
            warnings.warn(problem, RuntimeWarning, stacklevel=2)

    def save_recording(self) -> str | None:
        """Write what `record` asks for, once; give what is wrong where that fails. `close` does it by itself."""
        return self._network.save()

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
        secret_names: frozenset[str] = frozenset(),
    ) -> Prepared:
        """Do everything that comes before the first request.

        Raises:
            DocumentInvalid: the document or a source cannot be used.
            InputsInvalid: the inputs do not fit.
            RunRefused: there is no such workflow, or it has to be named.
        """
        loaded = await self.loaded(document)
        chosen = workflow_id or _only_workflow(loaded)
        program, diagnostics = await self._compiled(loaded, chosen)
        sendable = self._sendable.setdefault(loaded, set())
        if chosen not in sendable:
            check_servers(program)
            diagnostics += self._access.findings(program)
            if self._policy is not None:
                check_policy(program, self._policy)
            sendable.add(chosen)
        given: Any = {} if inputs is None else inputs  # not everybody has a type checker
        if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
            raise RunRefused("the inputs are no mapping of names to values", hint="for example {'projectKey': 'DEMO'}")
        if self.options.insecure:
            diagnostics = [*diagnostics, _INSECURE]
        prepared = Prepared(program, given, diagnostics, secret_names)
        prepared.secrets.add([*self._access.secrets(), *self._network.secrets])
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

    async def execute(
        self, prepared: Prepared, *, observe: Observe | None = None, interruption: Interruption | None = None
    ) -> Outcome:
        """Run what was prepared; an interruption ends it with status `cancelled`."""
        self._check_usable()
        run = Run(prepared.program, prepared.inputs, self._limits, secrets=prepared.secrets)
        history = History()

        notice = observe or _ignore

        async def append(records: list[Record]) -> None:
            for record in records:
                history.add(record)
                notice(record)

        def authorize(effect: SendHttp, send: Send) -> Send:
            return self._access.authorize(effect, send, prepared.secrets)

        exchange = self._network.of_run(prepared.program.workflow_id, prepared.secrets)
        http = Http(exchange, self._clock, notice, prepared.secrets, authorize)
        if interruption is not None:
            interruption.attach()
        try:
            await drive(run, http, append, self._clock, timeout=self.options.timeout)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if interruption is None or interruption.reason is None or task is None:
                raise
            task.uncancel()
            await append(run.stop("cancelled", interrupted(run, interruption.reason, error), self._clock.now()))
        except Departed as departure:
            await append(run.stop("failed", departed(run, departure), self._clock.now()))
        else:
            await append(self._network.left_over(exchange))
        return Outcome(run, history, prepared.diagnostics, prepared.secrets)

    def _check_usable(self) -> None:
        loop = asyncio.get_running_loop()
        if self._loop not in (None, loop):
            raise RunRefused("a Runner belongs to the event loop that it was first used on", hint="make one for each")
        if self._closed:
            raise RunRefused("this Runner is closed", hint="make a new one, and run inside its `async with`")
        self._loop = loop


def load(source: str | Path) -> LoadedDocument:
    """Load an Arazzo document from a path, an http(s) URL, or a bundled name such as `dataiku`.

    Raises:
        DocumentInvalid: it is not there or not valid; `diagnostics` says why, each with its place.
    """
    return _blocking(_with_runner(lambda runner: runner.load(source), Options()))


def check(
    source: str | Path | LoadedDocument, /, *more: str | Path | LoadedDocument, offline: bool = False, **options: Any
) -> list[Diagnostic]:
    """Load documents, compile all their workflows, and give every diagnostic, most of them with a place and a hint.

    Documents that are checked together find each other by their `$self`. Nothing is sent to the described APIs; with
    `offline` nothing is fetched either, and what needs a source that is out of reach is not checked. Takes the options
    of `Options` as keywords (`strict`, `server`, `source`, `server_var`, `no_cache`).
    """

    async def checked(runner: Runner) -> list[Diagnostic]:
        documents = []
        found: dict[Diagnostic, None] = {_INSECURE: None} if runner.options.insecure else {}
        for one in (source, *more):
            if offline and isinstance(one, str) and one.startswith(("http://", "https://")):
                message = f"{one} is not fetched when offline"
                found[Diagnostic("offline", Severity.ERROR, message, None, "give a file")] = None
                continue
            try:
                documents.append(await runner.loaded(one))
            except DocumentInvalid as error:
                found |= dict.fromkeys(error.diagnostics)
        for document in documents:
            found |= dict.fromkeys(await runner.check_all(document, offline=offline))
        return list(found)

    return _blocking(_with_runner(checked, _options(options)))


async def run_async(
    document: LoadedDocument | str | Path,
    workflow_id: str | None = None,
    inputs: Mapping[str, Any] | None = None,
    *,
    observe: Observe | None = None,
    **options: Any,
) -> Outcome:
    """Run a workflow on the running event loop.

    Args:
        document: a loaded document, or what `load` takes.
        workflow_id: the workflow; may be left out where the document has one.
        inputs: the workflow's inputs by name.
        observe: is shown each record of the run as it happens.
        options: those of `Options`.

    Raises:
        DocumentInvalid: the document or a source cannot be used.
        InputsInvalid: the inputs do not fit.
        RunRefused: there is no such workflow, or an option makes no sense.
    """
    return await _with_runner(
        lambda runner: runner.run(document, workflow_id, inputs, observe=observe), _options(options)
    )


def run(
    document: LoadedDocument | str | Path,
    workflow_id: str | None = None,
    inputs: Mapping[str, Any] | None = None,
    *,
    observe: Observe | None = None,
    **options: Any,
) -> Outcome:
    """Run a workflow and wait for its end, with or without a running event loop. Takes and raises as `run_async`."""
    return _blocking(run_async(document, workflow_id, inputs, observe=observe, **options))


async def _with_runner(use: Callable[[Runner], Awaitable[_T]], options: Options) -> _T:
    async with Runner(options=options) as runner:
        return await use(runner)


def _options(given: Mapping[str, Any]) -> Options:
    known = Options.__struct_fields__
    for name in given:
        if name not in known:
            raise TypeError(f"there is no option '{name}'; there are {', '.join(known)}")
    if given.get("profile") is not None:
        from treadle.drivers.config import read_profile  # noqa: PLC0415 - most runs have no config file

        profile = read_profile(given["profile"], known)
        given = {**(profile.options if profile else {}), **given}
    try:
        return msgspec.convert(dict(given), Options)
    except msgspec.ValidationError as error:
        message, _, place = str(error).partition(" - at `$.")
        name = place.rstrip("`") or "options"
        raise RunRefused(f"option '{name}': {message[0].lower()}{message[1:]}") from error


def _only_workflow(loaded: LoadedDocument) -> str:
    ids = loaded.workflow_ids
    for bundle in BUNDLES.values():
        if loaded.name == str(bundle.document):
            return bundle.workflow
    if len(ids) != 1:
        raise RunRefused(f"{loaded.name} has {len(ids)} workflows; say which", hint=f"there are {', '.join(ids)}")
    return ids[0]


def _blocking(work: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine to its end; where a loop is running in this thread, in a thread of its own."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    result: list[_T] = []
    error: list[BaseException] = []
    started: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any] | None]] = []

    async def supervised() -> _T:
        started.append((asyncio.get_running_loop(), asyncio.current_task()))
        return await work

    def target() -> None:
        try:
            result.append(asyncio.run(supervised()))
        except BaseException as raised:  # noqa: BLE001 - handed on to the caller's thread, whatever it is
            error.append(raised)

    thread = threading.Thread(target=target, name="treadle-run")
    thread.start()
    try:
        thread.join()
    except BaseException:
        # Ctrl-C reaches this thread only; the run in the other one ends with it.
        for loop, task in started:
            if task is not None:
                loop.call_soon_threadsafe(task.cancel)
        thread.join()
        raise
    if error:
        raise error[0]
    return result[0]


__all__ = [
    "Diagnostic", "LoadedDocument", "Options", "Outcome", "Runner", "Severity", "check", "load", "run", "run_async",
]  # fmt: skip
