"""The native half of `motet`; public names are in `motet` itself."""

from collections.abc import Awaitable
from datetime import datetime
from typing import Any, Generic, Literal, TypeAlias, TypeVar, final, overload

from motet._errors import Error
from motet._options import CompletionOptions, ConversationHead, Prompt, Workflow

__version__: str
ERROR_KINDS: tuple[str, ...]

_T = TypeVar("_T")
_list: TypeAlias = list

def runs_functions() -> None:
    """Takes down that the calling thread runs the package's own event loop."""

def register_hook(name: str, hook: Any) -> None:
    """Registers a hook by name."""

def register_guardrail(name: str, object: Any) -> None:
    """Registers a guardrail by name."""

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
class AgentResult(Generic[_T]):
    """How a run of an agent ended, and all it had by then."""

    @property
    def outcome(self) -> str:
        """How the run ended: `completed`, `tools_requested`, `limit_reached`, `deadline_passed`, `cancelled`, `waiting`,
        `stuck`, `budget_exceeded`, `blocked`, or `failed`."""

    @property
    def text(self) -> str:
        """The final text; of a run that did not complete, the last text that the model wrote."""

    @property
    def value(self) -> _T:
        """The value that the answer holds, of the type that the agent was given; `None` where it was given none."""

    @property
    def json(self) -> Any:
        """The value as JSON; `None` where no type or schema was given."""

    @property
    def error(self) -> Error | None:
        """The error of a run that did not complete; `None` of one that did."""

    @property
    def run_id(self) -> str:
        """Id of the run, by which a kept one is resumed."""

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The whole transcript, to go on with: instructions, input, and what the run added."""

    @property
    def new_messages(self) -> list[dict[str, Any]]:
        """The messages that the run added."""

    @property
    def tool_history(self) -> list[ToolUse]:
        """The tool calls that were answered, in the order asked."""

    @property
    def questions(self) -> list[Question]:
        """What a person must decide before the run can go on."""

    @property
    def usage(self) -> Usage:
        """Tokens of all model calls."""

    @property
    def cost(self) -> float | None:
        """US dollars of all model calls; `None` when a price is not known."""

    @property
    def cost_nanos(self) -> int | None:
        """The cost exactly, in nano-dollars."""

    @property
    def model_calls(self) -> int:
        """How often the model was called."""

    @property
    def model(self) -> str:
        """The model that was asked, as `provider:model`."""

    @property
    def finish_reason(self) -> str | None:
        """Why the last answer stopped; `None` when there was none."""

@final
class ToolUse:
    """One tool call of a run and its answer."""

    @property
    def round(self) -> int:
        """Number of the model call that asked for it, from 0."""

    @property
    def id(self) -> str:
        """Id of the call."""

    @property
    def name(self) -> str:
        """Name of the tool, as the model wrote it."""

    @property
    def arguments(self) -> str:
        """Arguments exactly as the model wrote them."""

    @property
    def result(self) -> str:
        """Text of the answer."""

    @property
    def is_error(self) -> bool:
        """True when the answer tells of a failure."""

    @property
    def executed(self) -> bool:
        """False when the call was refused, and no tool was given it."""

    def __eq__(self, value: object, /) -> bool: ...
    def __ne__(self, value: object, /) -> bool: ...

@final
class Question:
    """Something that a run cannot decide by itself."""

    @property
    def step(self) -> str:
        """Step at which the answer is recorded, by which the question is answered."""

    @property
    def run_id(self) -> str:
        """Id of the run that waits."""

    @property
    def reason(self) -> str:
        """Why it is asked: `approval`, or `unknown_outcome` of a call that began before a crash."""

    @property
    def agent(self) -> str | None:
        """The agent that wants to go on."""

    @property
    def tool(self) -> str:
        """The tool that is to be called."""

    @property
    def call_id(self) -> str:
        """Id of the call."""

    @property
    def arguments(self) -> Any:
        """Arguments of the call."""

    @property
    def schema(self) -> Any:
        """JSON schema that other arguments must satisfy."""

    @property
    def problem(self) -> str | None:
        """Why the last answer could not be used, where there was one."""

    @property
    def is_open(self) -> bool:
        """True while nobody has decided."""

@final
class ToolContext:
    """What a tool may know of the call that it answers."""

    @property
    def call_id(self) -> str:
        """Id of the call."""

    @property
    def idempotency_key(self) -> str:
        """A key that is the same for every attempt at this call, for other services to recognise repeats by."""

    @property
    def run_id(self) -> str:
        """Id of the run that the call belongs to."""

    @property
    def cancelled(self) -> bool:
        """True when the run or the call has ended or is about to, so that the function had better end too."""

@final
class AgentEvent(Generic[_T]):
    """Something that happened in a run."""

    @property
    def kind(self) -> str:
        """What happened: `text_delta`, `tool_started`, `tool_ended`, `model_call_ended`, `retrying`, `warning`, and others; the
        last one is `result`."""

    @property
    def text(self) -> str:
        """More visible text, of a `text_delta`; empty in others."""

    @property
    def tool(self) -> str | None:
        """Name of the tool, where the event is about one."""

    @property
    def data(self) -> dict[str, Any]:
        """All facts of the event."""

    @property
    def result(self) -> AgentResult[_T] | None:
        """The result of the run, in the last event."""

@final
class Reply:
    """Takes what a function came to."""

    def answer(self, value: Any) -> None:
        """Takes what it returned."""

    def fail(self, error: BaseException) -> None:
        """Takes what it raised."""

    def is_awaited(self) -> bool:
        """Tells whether the answer is still wanted."""

@final
class AgentStream:
    """One run, read in batches."""

    def next(self) -> Awaitable[tuple[list[AgentEvent[Any]], Error | None]]:
        """Gives the events that are ready, waiting for the first, and what ended the run; an empty list is the end."""

    def next_sync(self) -> tuple[list[AgentEvent[Any]], Error | None]:
        """Gives the events that are ready and blocks until there is one."""

    def close(self) -> None:
        """Ends the run if it goes on."""

@final
class Toolbox:
    """A set of tools."""

    def __new__(cls) -> Toolbox: ...
    def add(self, tool: Any, category: str, version: str) -> None:
        """Adds a tool."""

    def enable(self, name: str) -> None:
        """Switches a tool on."""

    def disable(self, name: str) -> None:
        """Switches a tool off."""

    def list(self) -> _list[dict[str, Any]]:
        """Tells what is known of every tool."""

    def names(self, names: _list[str], categories: _list[str]) -> _list[str]:
        """Gives the names that fit patterns."""

    def metrics(self, name: str) -> dict[str, Any]:
        """Tells how the calls of a tool went."""

    @overload
    def call(self, name: str, arguments: dict[str, Any], *, blocking: Literal[True]) -> str:
        """Calls a tool."""

    @overload
    def call(self, name: str, arguments: dict[str, Any], *, blocking: Literal[False]) -> Awaitable[str]:
        """Calls a tool."""

@final
class Conversation:
    """A conversation, opened when it is first used."""

    @overload
    def send(self, engine: Engine, prompt: Prompt, options: dict[str, Any], *, blocking: Literal[True]) -> AgentResult[Any]:
        """Says something."""

    @overload
    def send(self, engine: Engine, prompt: Prompt, options: dict[str, Any], *, blocking: Literal[False]) -> Awaitable[AgentResult[Any]]:
        """Says something."""

    def stream(self, engine: Engine, prompt: Prompt, options: dict[str, Any]) -> AgentStream:
        """Gives the stream of a turn; nothing is sent before it is read."""

    @overload
    def resume(self, engine: Engine, options: dict[str, Any], *, blocking: Literal[True]) -> AgentResult[Any]:
        """Goes on with a turn that waits."""

    @overload
    def resume(self, engine: Engine, options: dict[str, Any], *, blocking: Literal[False]) -> Awaitable[AgentResult[Any]]:
        """Goes on with a turn that waits."""

    @overload
    def head(self, engine: Engine, *, blocking: Literal[True]) -> ConversationHead:
        """Tells what is known of the whole."""

    @overload
    def head(self, engine: Engine, *, blocking: Literal[False]) -> Awaitable[ConversationHead]:
        """Tells what is known of the whole."""

    @overload
    def messages(self, engine: Engine, *, blocking: Literal[True]) -> list[dict[str, Any]]:
        """Gives all messages."""

    @overload
    def messages(self, engine: Engine, *, blocking: Literal[False]) -> Awaitable[list[dict[str, Any]]]:
        """Gives all messages."""

    @overload
    def export(self, engine: Engine, format: str, *, blocking: Literal[True]) -> str:
        """Writes the conversation."""

    @overload
    def export(self, engine: Engine, format: str, *, blocking: Literal[False]) -> Awaitable[str]:
        """Writes the conversation."""

    @overload
    def save(self, engine: Engine, id: str, *, blocking: Literal[True]) -> None:
        """Keeps the conversation in the store."""

    @overload
    def save(self, engine: Engine, id: str, *, blocking: Literal[False]) -> Awaitable[None]:
        """Keeps the conversation in the store."""

    @overload
    def take_back(self, engine: Engine, keep: int, *, blocking: Literal[True]) -> None:
        """Takes back what follows the first messages."""

    @overload
    def take_back(self, engine: Engine, keep: int, *, blocking: Literal[False]) -> Awaitable[None]:
        """Takes back what follows the first messages."""

    @overload
    def fork(self, engine: Engine, id: str | None, keep: int | None, *, blocking: Literal[True]) -> Conversation:
        """Gives a copy."""

    @overload
    def fork(self, engine: Engine, id: str | None, keep: int | None, *, blocking: Literal[False]) -> Awaitable[Conversation]:
        """Gives a copy."""

@final
class AgentCore:
    """An agent: what is written of it, and what Python adds."""

    def __new__(cls, engine: Engine, source: Any, added: dict[str, Any]) -> AgentCore: ...
    @property
    def name(self) -> str:
        """Its name."""

    def stream(self, engine: Engine, prompt: Prompt, options: dict[str, Any]) -> AgentStream:
        """Gives the stream of a run; nothing is sent before it is read."""

    def conversation(self, id: str | None) -> Conversation:
        """Begins a conversation, or goes on with one of the store."""

    @overload
    def run(self, engine: Engine, prompt: Prompt, options: dict[str, Any], *, blocking: Literal[True]) -> AgentResult[Any]:
        """Runs the agent."""

    @overload
    def run(self, engine: Engine, prompt: Prompt, options: dict[str, Any], *, blocking: Literal[False]) -> Awaitable[AgentResult[Any]]:
        """Runs the agent."""

    @overload
    def resume(self, engine: Engine, run: str, options: dict[str, Any], *, blocking: Literal[True]) -> AgentResult[Any]:
        """Goes on with a kept run."""

    @overload
    def resume(self, engine: Engine, run: str, options: dict[str, Any], *, blocking: Literal[False]) -> Awaitable[AgentResult[Any]]:
        """Goes on with a kept run."""

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

    @overload
    def questions(self, run: str | None, *, blocking: Literal[True]) -> list[Question]:
        """Gives what runs ask people."""

    @overload
    def questions(self, run: str | None, *, blocking: Literal[False]) -> Awaitable[list[Question]]:
        """Gives what runs ask people."""

    @overload
    def decide(self, run: str, decided: dict[str, Any] | None, step: str | None, *, blocking: Literal[True]) -> Question:
        """Answers a question of a run."""

    @overload
    def decide(self, run: str, decided: dict[str, Any] | None, step: str | None, *, blocking: Literal[False]) -> Awaitable[Question]:
        """Answers a question of a run."""
