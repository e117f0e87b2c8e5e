"""The native half of `motet`; public names are in `motet` itself."""

from collections.abc import Awaitable
from datetime import datetime
from typing import Any, Literal, final, overload

from motet._errors import Error
from motet._options import CompletionOptions, Prompt, Workflow

__version__: str
ERROR_KINDS: tuple[str, ...]

@final
class Response:
    """A whole answer."""

    @property
    def text(self) -> str:
        """All visible text."""

    @property
    def reasoning(self) -> str | None:
        """What the model showed of its reasoning; `None` when it showed nothing."""

    @property
    def refusal(self) -> str | None:
        """The model's words when it declined."""

    @property
    def tool_calls(self) -> list[ToolCall]:
        """The tools that the model asks for, in its order."""

    @property
    def finish_reason(self) -> str:
        """Why the model stopped: `stop`, `length`, `tool_calls`, `content_filter`, `other`, or `unknown`."""

    @property
    def raw_finish_reason(self) -> str | None:
        """The reason in the provider's own word."""

    @property
    def usage(self) -> Usage | None:
        """Tokens used; `None` when the provider did not say."""

    @property
    def cost(self) -> float | None:
        """US dollars; `None` when the price is not known."""

    @property
    def cost_nanos(self) -> int | None:
        """The cost exactly, in nano-dollars."""

    @property
    def model(self) -> str:
        """The model that was asked, as `provider:model`."""

    @property
    def served_model(self) -> str | None:
        """The model that answered, in the provider's words."""

    @property
    def provider(self) -> str:
        """The provider."""

    @property
    def response_id(self) -> str | None:
        """The provider's id of the answer."""

    @property
    def request_id(self) -> str | None:
        """The provider's id of the request, which its support asks for."""

    @property
    def json(self) -> Any:
        """The value that satisfies the schema; `None` without a schema."""

    @property
    def metadata(self) -> dict[str, Any]:
        """Further facts about the answer."""

    @property
    def message(self) -> dict[str, Any]:
        """The answer as a message, to be put into the next conversation."""

    def __eq__(self, value: object, /) -> bool: ...
    def __ne__(self, value: object, /) -> bool: ...

@final
class ToolCall:
    """A call of a tool that the model asks for."""

    @property
    def id(self) -> str:
        """Name of the call within the conversation; its result carries the same."""

    @property
    def name(self) -> str:
        """Name of the tool."""

    @property
    def arguments(self) -> dict[str, Any] | None:
        """The arguments; `None` when the model did not write a JSON object."""

    @property
    def arguments_raw(self) -> str:
        """The arguments exactly as the model wrote them."""

    def __eq__(self, value: object, /) -> bool: ...
    def __ne__(self, value: object, /) -> bool: ...

@final
class Usage:
    """Tokens used."""

    @property
    def input(self) -> int:
        """Tokens read by the model, cached ones and cache writes included."""

    @property
    def output(self) -> int:
        """Tokens written by the model, reasoning included."""

    @property
    def cached_input(self) -> int:
        """Part of `input` that was read from the provider's cache."""

    @property
    def cache_write(self) -> int:
        """Part of `input` that was written to the provider's cache."""

    @property
    def reasoning(self) -> int:
        """Part of `output` that was spent on reasoning."""

    @property
    def audio_input(self) -> int:
        """Part of `input` that is audio."""

    @property
    def audio_output(self) -> int:
        """Part of `output` that is audio."""

    @property
    def total(self) -> int:
        """Input plus output."""

    def __eq__(self, value: object, /) -> bool: ...
    def __ne__(self, value: object, /) -> bool: ...

@final
class StreamingChunk:
    """A piece of an answer, or its end."""

    @property
    def content(self) -> str:
        """More visible text; empty where the chunk tells something else."""

    @property
    def reasoning(self) -> str:
        """More reasoning text."""

    @property
    def refusal(self) -> str:
        """More of the model's words when it declines."""

    @property
    def discarded(self) -> bool:
        """True when everything before is void and the answer begins anew."""

    @property
    def done(self) -> bool:
        """True for the last chunk."""

    @property
    def response(self) -> Response | None:
        """The whole answer, in the last chunk."""

@final
class Problem:
    """One thing that is wrong with a workflow."""

    @property
    def message(self) -> str:
        """What is wrong."""

    @property
    def line(self) -> int | None:
        """The line, from 1; `None` for a dictionary."""

    @property
    def column(self) -> int | None:
        """The column, from 1, in characters; `None` for a dictionary."""

    @property
    def path(self) -> str | None:
        """The path in a dictionary, such as `tasks[2].params.model`; `None` for a file."""

    @property
    def hint(self) -> str | None:
        """What to do about it."""

    def __eq__(self, value: object, /) -> bool: ...
    def __ne__(self, value: object, /) -> bool: ...

@final
class TaskResult:
    """How one task of a run stands."""

    @property
    def name(self) -> str:
        """Name of the task."""

    @property
    def status(self) -> str:
        """`blocked`, `ready`, `running`, `waiting`, `done`, `failed`, or `skipped`."""

    @property
    def result(self) -> Any:
        """What the task gave; `None` when it gave nothing."""

    @property
    def error(self) -> Error | None:
        """Why it failed or was skipped."""

    @property
    def attempts(self) -> int:
        """Attempts made."""

@final
class Report:
    """How a run stands, as the Python half builds its `WorkflowRun` of it."""

    @property
    def id(self) -> str:
        """Id of the run."""

    @property
    def name(self) -> str:
        """Name of the workflow."""

    @property
    def state(self) -> str:
        """How it stands."""

    @property
    def outputs(self) -> dict[str, Any]:
        """The workflow's outputs."""

    @property
    def tasks(self) -> list[TaskResult]:
        """Its tasks, in the order written."""

    @property
    def model_calls(self) -> int:
        """Recorded model calls."""

    @property
    def cached_calls(self) -> int:
        """Those of them that were answered from the cache."""

    @property
    def usage(self) -> Usage:
        """Tokens of all model calls."""

    @property
    def cost(self) -> float | None:
        """US dollars of all model calls."""

    @property
    def cost_nanos(self) -> int | None:
        """The same in nano-dollars."""

    @property
    def seconds(self) -> float:
        """From the start to the end, or to now."""

@final
class RunSummary:
    """A run in brief."""

    @property
    def id(self) -> str:
        """Id of the run."""

    @property
    def name(self) -> str:
        """Name of the workflow."""

    @property
    def kind(self) -> str:
        """What kind of work it is, such as `workflow`."""

    @property
    def state(self) -> str:
        """`running`, `failing`, `cancelling`, `completed`, `failed`, `cancelled`, or `waiting`."""

    @property
    def created_at(self) -> datetime:
        """When it was stored, in UTC."""

    @property
    def ended_at(self) -> datetime | None:
        """When it ended; `None` while it goes on."""

    @property
    def tasks(self) -> int:
        """How many tasks it has, items of `for_each` included."""

    @property
    def done(self) -> int:
        """How many are done."""

    @property
    def failed(self) -> int:
        """How many failed."""

    @property
    def skipped(self) -> int:
        """How many were skipped."""

@final
class Stream:
    """One answer, read in batches."""

    def next(self) -> Awaitable[list[StreamingChunk]]:
        """Gives the chunks that are ready, waiting for the first; an empty list is the end."""

    def next_sync(self) -> list[StreamingChunk]:
        """Gives the chunks that are ready and blocks until there is one; an empty list is the end."""

    def close(self) -> None:
        """Ends the call if it goes on."""

@final
class Engine:
    """Settings and the runtimes made of them."""

    def __new__(cls, settings: dict[str, Any] | None) -> Engine: ...
    def complete(self, prompt: Prompt, options: CompletionOptions) -> Awaitable[Response]:
        """Asks a model."""

    def complete_sync(self, prompt: Prompt, options: CompletionOptions) -> Response:
        """Asks a model and blocks until it has answered."""

    def stream(self, prompt: Prompt, options: CompletionOptions) -> Stream:
        """Gives the stream of an answer; nothing is sent before it is read."""

    @overload
    def run_workflow(self, workflow: Workflow, inputs: dict[str, Any] | None, model: str | None, *, blocking: Literal[True]) -> Report:
        """Runs a workflow to its end."""

    @overload
    def run_workflow(self, workflow: Workflow, inputs: dict[str, Any] | None, model: str | None, *, blocking: Literal[False]) -> Awaitable[Report]:
        """Runs a workflow to its end."""

    @overload
    def resume_workflow(self, run: str, *, blocking: Literal[True]) -> Report:
        """Goes on with a run."""

    @overload
    def resume_workflow(self, run: str, *, blocking: Literal[False]) -> Awaitable[Report]:
        """Goes on with a run."""

    @overload
    def workflow_status(self, run: str, *, blocking: Literal[True]) -> Report | None:
        """Tells how a run stands."""

    @overload
    def workflow_status(self, run: str, *, blocking: Literal[False]) -> Awaitable[Report | None]:
        """Tells how a run stands."""

    @overload
    def list_workflows(self, limit: int, *, blocking: Literal[True]) -> list[RunSummary]:
        """Lists the newest runs."""

    @overload
    def list_workflows(self, limit: int, *, blocking: Literal[False]) -> Awaitable[list[RunSummary]]:
        """Lists the newest runs."""

    @overload
    def check_workflow(self, workflow: Workflow, *, blocking: Literal[True]) -> list[Problem]:
        """Finds what is wrong with a workflow."""

    @overload
    def check_workflow(self, workflow: Workflow, *, blocking: Literal[False]) -> Awaitable[list[Problem]]:
        """Finds what is wrong with a workflow."""

    @overload
    def open_store(self, *, blocking: Literal[True]) -> None:
        """Opens the store if it is not open."""

    @overload
    def open_store(self, *, blocking: Literal[False]) -> Awaitable[None]:
        """Opens the store if it is not open."""
