"""A client: one set of settings, one pool of connections, and one store for everything done with it."""

from __future__ import annotations

from motet._api import chunks, chunks_sync
from motet._decision import written
from motet._errors import ConfigurationError, ConflictError
from motet._motet import Engine
from motet._workflow import WorkflowRun, completed

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import AsyncGenerator, Generator
    from types import TracebackType
    from typing import Any, Self, Unpack

    from motet._decision import _Decision
    from motet._motet import Problem, Question, Response, RunSummary, StreamingChunk
    from motet._options import CompletionOptions, Prompt, Workflow


class Client:
    """Calls models and runs workflows with settings of its own.

    Settings are read once, when the client is made: from `motet.toml`, `.env`, and the environment of the current
    directory, and above them from the arguments. Any option of the settings is an argument, with `__` for the dots in its
    name: `Client(request__timeout=30, max_parallel_tasks=4)`.

    Use it as a context manager, asynchronous or plain, or call `close` at the end. The store is opened when it is first
    needed. `async` methods have a blocking twin whose name ends in `_sync`.
    """

    def __init__(
        self,
        *,
        model: str | None = None,
        store: str | None = None,
        base_url: str | None = None,
        api_key: str | None = None,
        persistence: str | None = None,
        db_path: str | os.PathLike[str] | None = None,
        ollama_url: str | None = None,
        **settings: Any,
    ) -> None:
        """Reads the settings.

        `model` is the model of calls and tasks that name none; `base_url` and `api_key` belong to its provider. `store` says
        where runs are kept: `sqlite:PATH` or `memory:`; `persistence` (`sqlite` or `memory`) and `db_path` say the same
        in two words. `ollama_url` is the address of an Ollama server.
        """
        if store is None:
            store = _store(persistence, db_path)
        elif persistence is not None or db_path is not None:
            raise ConfigurationError("the store is named twice", hint="give `store` alone")
        if ollama_url is not None:
            address = ollama_url.rstrip("/").removesuffix("/v1").removesuffix("/api")
            settings["providers.ollama.base_url"] = address
        given = {"model": model, "store": store, "base_url": base_url, "api_key": api_key, **settings}
        self._open: Engine | None = Engine(given)

    @property
    def _engine(self) -> Engine:
        if self._open is None:
            raise ConflictError("the client is closed", hint="make a new one")
        return self._open

    async def complete(self, prompt: Prompt, **options: Unpack[CompletionOptions]) -> Response:
        """Asks a model and gives its whole answer; see `motet.complete`."""
        return await self._engine.complete(prompt, options)

    def complete_sync(self, prompt: Prompt, **options: Unpack[CompletionOptions]) -> Response:
        """Asks a model and waits for its whole answer."""
        return self._engine.complete_sync(prompt, options)

    def stream_complete(
        self, prompt: Prompt, **options: Unpack[CompletionOptions]
    ) -> AsyncGenerator[StreamingChunk, None]:
        """Asks a model and gives its answer as it comes; see `motet.stream_complete`."""
        return chunks(self._engine.stream(prompt, options))

    def stream_complete_sync(
        self, prompt: Prompt, **options: Unpack[CompletionOptions]
    ) -> Generator[StreamingChunk, None, None]:
        """Asks a model and gives its answer as it comes, with a plain iterator."""
        return chunks_sync(self._engine.stream(prompt, options))

    async def chat(
        self,
        prompt: str,
        model: str | None = None,
        system: str | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
    ) -> str:
        """Asks a model and gives the text of its answer."""
        response = await self.complete(
            prompt, model=model, system=system, temperature=temperature, max_tokens=max_tokens
        )
        return response.text

    def chat_sync(
        self,
        prompt: str,
        model: str | None = None,
        system: str | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
    ) -> str:
        """Asks a model and waits for the text of its answer."""
        response = self.complete_sync(
            prompt, model=model, system=system, temperature=temperature, max_tokens=max_tokens
        )
        return response.text

    async def run_workflow(
        self, workflow: Workflow, inputs: dict[str, Any] | None = None, model: str | None = None
    ) -> WorkflowRun:
        """Runs a workflow, a file or a dictionary, to its end and gives its tasks' results by name.

        `model` stands in for the workflow's own default. Relative paths start in the file's directory, or in the current one
        for a dictionary. Cancelling the task that awaits it stops the run in good order; `resume_workflow` goes on with it.

        Raises `InvalidWorkflowError` with all problems before anything runs, and `WorkflowFailedError` when a task failed.
        """
        return completed(await self._engine.run_workflow(workflow, inputs, model, blocking=False))

    def run_workflow_sync(
        self, workflow: Workflow, inputs: dict[str, Any] | None = None, model: str | None = None
    ) -> WorkflowRun:
        """Runs a workflow to its end and waits for it; Ctrl-C stops the run in good order."""
        return completed(self._engine.run_workflow(workflow, inputs, model, blocking=True))

    async def resume_workflow(self, run_id: str) -> WorkflowRun:
        """Goes on with a run that failed or was interrupted: what is done stays, the rest is done now."""
        return completed(await self._engine.resume_workflow(run_id, blocking=False))

    def resume_workflow_sync(self, run_id: str) -> WorkflowRun:
        """Goes on with a run that failed or was interrupted, and waits for its end."""
        return completed(self._engine.resume_workflow(run_id, blocking=True))

    async def check_workflow(self, workflow: Workflow) -> list[Problem]:
        """Finds everything that is wrong with a workflow, without running any of it."""
        return await self._engine.check_workflow(workflow, blocking=False)

    def check_workflow_sync(self, workflow: Workflow) -> list[Problem]:
        """Finds everything that is wrong with a workflow, without running any of it."""
        return self._engine.check_workflow(workflow, blocking=True)

    async def list_workflows(self, limit: int = 20) -> list[RunSummary]:
        """Lists the newest runs of the store; `0` lists all."""
        return await self._engine.list_workflows(limit, blocking=False)

    def list_workflows_sync(self, limit: int = 20) -> list[RunSummary]:
        """Lists the newest runs of the store; `0` lists all."""
        return self._engine.list_workflows(limit, blocking=True)

    async def get_workflow_status(self, run_id: str) -> WorkflowRun | None:
        """Tells how a run stands, with the results that are there; `None` when the store has no such run."""
        report = await self._engine.workflow_status(run_id, blocking=False)
        return None if report is None else WorkflowRun(report)

    def get_workflow_status_sync(self, run_id: str) -> WorkflowRun | None:
        """Tells how a run stands, with the results that are there; `None` when the store has no such run."""
        report = self._engine.workflow_status(run_id, blocking=True)
        return None if report is None else WorkflowRun(report)

    async def questions(self, run_id: str | None = None) -> list[Question]:
        """Gives what kept runs of agents ask people, answered or not, of one run or of all."""
        return await self._engine.questions(run_id, blocking=False)

    def questions_sync(self, run_id: str | None = None) -> list[Question]:
        """Gives what kept runs of agents ask people, answered or not, of one run or of all."""
        return self._engine.questions(run_id, blocking=True)

    async def decide(self, run_id: str, decision: _Decision, *, step: str | None = None) -> Question:
        """Answers a question of a kept run; `step` may be left out where only one is open."""
        return await self._engine.decide(run_id, written(decision), step, blocking=False)

    def decide_sync(self, run_id: str, decision: _Decision, *, step: str | None = None) -> Question:
        """Answers a question of a kept run; `step` may be left out where only one is open."""
        return self._engine.decide(run_id, written(decision), step, blocking=True)

    async def initialize(self) -> None:
        """Opens the store now rather than when it is first needed, so that a wrong one is found early."""
        await self._engine.open_store(blocking=False)

    async def shutdown(self) -> None:
        """Closes the client."""
        self.close()

    def close(self) -> None:
        """Lets go of connections and the store; calls that run end by themselves, new ones raise `ConflictError`."""
        self._open = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _store(persistence: str | None, db_path: str | os.PathLike[str] | None) -> str | None:
    """Gives the URL of a store that is named by its kind and its file."""
    if persistence == "memory" and db_path is None:
        return "memory:"
    if persistence in (None, "sqlite"):
        return None if db_path is None else f"sqlite:{db_path}"
    if persistence == "memory":
        raise ConfigurationError("a store in memory has no `db_path`", hint="leave it out, or use `sqlite`")
    raise ConfigurationError(f"there is no persistence `{persistence}`", hint="use `sqlite` or `memory`")
