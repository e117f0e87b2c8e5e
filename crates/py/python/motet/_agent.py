"""Agents: a model with instructions, tools, and bounds, and their runs."""

from __future__ import annotations

from typing import Generic, TypeVar, overload

from motet import _api, _context, _motet
from motet._conversation import Conversation
from motet._decision import Decider, written
from motet._errors import ConfigurationError
from motet._tool import as_tool
from motet._toolbox import Toolbox

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import AsyncGenerator, Callable, Generator, Iterable
    from types import GenericAlias
    from typing import Any, Self, Unpack

    from motet._client import Client
    from motet._decision import _Decide, _Decision
    from motet._guardrail import Guardrail
    from motet._hook import Hook
    from motet._motet import AgentEvent, AgentResult, AgentStream, Engine, Question
    from motet._options import AgentOptions, Prompt

T = TypeVar("T")

LIMITS = (
    "max_iterations",
    "max_parallel_tools",
    "tool_timeout",
    "timeout",
    "max_tool_result_chars",
    "max_repairs",
    "max_rewrites",
    "max_repeated_rounds",
    "max_refused_rounds",
    "budget",
)
SAMPLING = ("temperature", "top_p", "top_k", "seed", "frequency_penalty", "presence_penalty")


class Agent(Generic[T]):
    """A model with instructions, tools, and bounds; never changed by a run."""

    _core: _motet.AgentCore
    _client: Client | None

    @overload
    def __init__(
        self: Agent[None],
        name: str,
        *,
        model: str | None = None,
        instructions: str | None = None,
        description: str = "",
        tools: Iterable[Callable[..., Any] | Agent[Any] | Toolbox | dict[str, Any]] = (),
        mcp: Iterable[str] | dict[str, dict[str, Any]] = (),
        handoffs: Iterable[Agent[Any]] = (),
        hooks: Iterable[Hook | dict[str, Any]] = (),
        guardrails: Iterable[Guardrail | dict[str, Any]] = (),
        client: Client | None = None,
        **options: Unpack[AgentOptions],
    ) -> None: ...

    @overload
    def __init__(
        self: Agent[T],
        name: str,
        *,
        output: type[T],
        model: str | None = None,
        instructions: str | None = None,
        description: str = "",
        tools: Iterable[Callable[..., Any] | Agent[Any] | Toolbox | dict[str, Any]] = (),
        mcp: Iterable[str] | dict[str, dict[str, Any]] = (),
        handoffs: Iterable[Agent[Any]] = (),
        hooks: Iterable[Hook | dict[str, Any]] = (),
        guardrails: Iterable[Guardrail | dict[str, Any]] = (),
        client: Client | None = None,
        **options: Unpack[AgentOptions],
    ) -> None: ...

    @overload
    def __init__(
        self: Agent[Any],
        name: str,
        *,
        output: dict[str, Any] | GenericAlias | None,
        model: str | None = None,
        instructions: str | None = None,
        description: str = "",
        tools: Iterable[Callable[..., Any] | Agent[Any] | Toolbox | dict[str, Any]] = (),
        mcp: Iterable[str] | dict[str, dict[str, Any]] = (),
        handoffs: Iterable[Agent[Any]] = (),
        hooks: Iterable[Hook | dict[str, Any]] = (),
        guardrails: Iterable[Guardrail | dict[str, Any]] = (),
        client: Client | None = None,
        **options: Unpack[AgentOptions],
    ) -> None: ...

    def __init__(
        self,
        name: str,
        *,
        model: str | None = None,
        instructions: str | None = None,
        description: str = "",
        tools: Iterable[Callable[..., Any] | Agent[Any] | Toolbox | dict[str, Any]] = (),
        output: Any = None,
        mcp: Iterable[str] | dict[str, dict[str, Any]] = (),
        handoffs: Iterable[Agent[Any]] = (),
        hooks: Iterable[Hook | dict[str, Any]] = (),
        guardrails: Iterable[Guardrail | dict[str, Any]] = (),
        client: Client | None = None,
        **options: Unpack[AgentOptions],
    ) -> None:
        """Defines an agent; nothing is asked and nothing connected to before it runs.

        `model` is `provider:model`, the setting `model` where it is left out. `tools` are functions, `motet.tool`s, other
        agents, a `motet.Toolbox`, and dictionaries as in files (`{"command": …}`, `{"mcp": …}`); `mcp` names servers of
        tools. `output` is a type (a pydantic model, data class, `TypedDict`, …) or a JSON schema that the answer must
        satisfy. `handoffs` are agents that it may give its run away to. `hooks` and `guardrails` are functions made by
        `motet.hook` and `motet.guardrail`, or dictionaries as in files. `client` has the settings and the store; without
        one they are those of the current directory. Further options are in `motet.AgentOptions`.
        """
        spec = _spec(dict(options))
        spec |= {"name": name, "model": model, "instructions": instructions, "description": description}
        schema, reader = _output(output)
        spec["output"] = schema
        written_tools, added_tools = _tools(tools, mcp)
        spec["tools"] = written_tools
        added: dict[str, Any] = {"tools": added_tools, "reader": reader}
        _sort("hooks", list(hooks), spec, added)
        _sort("guardrails", list(guardrails), spec, added)
        added["handoffs"] = [agent._core for agent in handoffs]
        self._client = client
        source = {key: value for key, value in spec.items() if value not in (None, "", [], {})}
        self._core = _motet.AgentCore(self._engine, source, added)

    @classmethod
    def from_file(
        cls,
        path: str | os.PathLike[str],
        *,
        tools: Iterable[Callable[..., Any] | Agent[Any] | Toolbox | dict[str, Any]] = (),
        handoffs: Iterable[Agent[Any]] = (),
        hooks: Iterable[Hook | dict[str, Any]] = (),
        guardrails: Iterable[Guardrail | dict[str, Any]] = (),
        output: Any = None,
        client: Client | None = None,
    ) -> Self:
        """Reads an agent from a YAML or JSON file, and adds what is given behind what the file has.

        `output` is a type or a JSON schema for a file that has none, or a type that reads what satisfies the file's own
        schema. Hooks and guardrails that the file names
        must be registered before; see `motet.register_hook` and `motet.register_guardrail`.
        """
        agent = cls.__new__(cls)
        agent._client = client
        added: dict[str, Any] = {"hooks": list(hooks), "guardrails": list(guardrails)}
        written_tools, added["tools"] = _tools(tools, ())
        if written_tools:
            raise ConfigurationError("programs and servers stand in the file", hint="give functions and agents as tools")
        added["handoffs"] = [other._core for other in handoffs]
        added["output"], added["reader"] = _output(output)
        agent._core = _motet.AgentCore(agent._engine, path, added)
        return agent

    @property
    def name(self) -> str:
        """Its name; that of its file where the file has none."""
        return self._core.name

    @property
    def _engine(self) -> Engine:
        return _api.engine() if self._client is None else self._client._engine

    def run(
        self,
        prompt: Prompt,
        *,
        keep: bool = False,
        run_id: str | None = None,
        timeout: float | None = None,
        decide: _Decide | _Decision | None = None,
        check: bool = True,
    ) -> AgentResult[T]:
        """Runs the agent to its end, or until a person must decide, and waits for the result; Ctrl-C ends the run.

        `prompt` is a text or a conversation, such as `result.messages` of a run before. With `keep` the run is kept in the
        store, under `run_id` if it is given, and can be resumed. `decide` answers questions at once: a function of a
        `motet.Question`, or one decision for all. A run that does not complete raises a `motet.Error` whose `result` holds
        what there is; with `check=False` it gives that result. One that waits for a person is no failure.

        Within a tool, the run is part of the run that called the tool, kept with it, and cannot be kept apart. An `async`
        tool must await `run_async` instead.
        """
        options = run_options(keep=keep, run_id=run_id, timeout=timeout, decide=decide, check=check)
        return self._core.run(self._engine, prompt, options, blocking=True)

    async def run_async(
        self,
        prompt: Prompt,
        *,
        keep: bool = False,
        run_id: str | None = None,
        timeout: float | None = None,
        decide: _Decide | _Decision | None = None,
        check: bool = True,
    ) -> AgentResult[T]:
        """Runs the agent as `run` does; cancelling the task that awaits it ends the run.

        `async` tools and hooks are awaited in the same event loop.
        """
        options = run_options(keep=keep, run_id=run_id, timeout=timeout, decide=decide, check=check)
        return await self._core.run(self._engine, prompt, options, blocking=False)

    def stream(
        self,
        prompt: Prompt,
        *,
        keep: bool = False,
        run_id: str | None = None,
        timeout: float | None = None,
        decide: _Decide | _Decision | None = None,
        check: bool = True,
    ) -> EventStream[T]:
        """Runs the agent and gives what happens as it happens, to `for` or `async for`; the last event has the `result`.

        Reading drives the run. Leaving the loop ends it, as do `close` and the end of a `with` block over the events.
        Otherwise as `run`.
        """
        options = run_options(keep=keep, run_id=run_id, timeout=timeout, decide=decide, check=check)
        return EventStream(self._core.stream(self._engine, prompt, options))

    def resume(
        self,
        run_id: str,
        *,
        timeout: float | None = None,
        decide: _Decide | _Decision | None = None,
        check: bool = True,
    ) -> AgentResult[T]:
        """Goes on with a kept run where it stopped: what is on record is not asked or done again.

        The agent must have the same functions as the one that began it; what else is written of it is what was stored.
        """
        options = run_options(timeout=timeout, decide=decide, check=check)
        return self._core.resume(self._engine, run_id, options, blocking=True)

    async def resume_async(
        self,
        run_id: str,
        *,
        timeout: float | None = None,
        decide: _Decide | _Decision | None = None,
        check: bool = True,
    ) -> AgentResult[T]:
        """Goes on with a kept run as `resume` does."""
        options = run_options(timeout=timeout, decide=decide, check=check)
        return await self._core.resume(self._engine, run_id, options, blocking=False)

    def questions(self, run_id: str | None = None) -> list[Question]:
        """Gives what kept runs ask people, answered or not, of one run or of all."""
        return self._engine.questions(run_id, blocking=True)

    async def questions_async(self, run_id: str | None = None) -> list[Question]:
        """Gives what kept runs ask people, as `questions` does."""
        return await self._engine.questions(run_id, blocking=False)

    def decide(self, run_id: str, decision: _Decision, *, step: str | None = None) -> Question:
        """Answers a question of a kept run; `step` may be left out where only one is open. `resume` goes on then."""
        return self._engine.decide(run_id, written(decision), step, blocking=True)

    async def decide_async(self, run_id: str, decision: _Decision, *, step: str | None = None) -> Question:
        """Answers a question of a kept run, as `decide` does."""
        return await self._engine.decide(run_id, written(decision), step, blocking=False)

    def conversation(self) -> Conversation[T]:
        """Begins a conversation, which lives as long as the object unless it is saved."""
        return Conversation(self, self._core.conversation(None))

    def open_conversation(self, conversation_id: str) -> Conversation[T]:
        """Goes on with a conversation that was saved in the store."""
        return Conversation(self, self._core.conversation(conversation_id))

    def __repr__(self) -> str:
        return f"Agent(name={self.name!r})"


class EventStream(Generic[T]):
    """The events of a run, for `for` or `async for`, once: leaving the loop ends the run.

    In a `with` or `async with` block, the end of the block ends it too.
    """

    def __init__(self, native: AgentStream) -> None:
        self._native = native

    def __iter__(self) -> Generator[AgentEvent[T], None, None]:
        return _events(self._native)

    def __aiter__(self) -> AsyncGenerator[AgentEvent[T], None]:
        return _events_async(self._native)

    def close(self) -> None:
        """Ends the run if it goes on."""
        self._native.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *raised: object) -> None:
        self.close()


# Generators apart from the stream, and known to it no more, so that nothing keeps them alive when the loop is left.
def _events(native: AgentStream) -> Generator[AgentEvent[Any], None, None]:
    try:
        while True:
            events, error = native.next_sync()
            yield from events
            if error is not None:
                raise error
            if not events:
                return
    finally:
        native.close()


async def _events_async(native: AgentStream) -> AsyncGenerator[AgentEvent[Any], None]:
    try:
        while True:
            events, error = await native.next()
            for event in events:
                yield event
            if error is not None:
                raise error
            if not events:
                return
    finally:
        native.close()


def run_options(*, decide: Any = None, **options: Any) -> dict[str, Any]:
    """Gives what a run is told beside its prompt, with the call of a tool that it is part of."""
    options["parent"] = _context.call.get()
    options["decide"] = None if decide is None else Decider(decide)
    return options


def _spec(options: dict[str, Any]) -> dict[str, Any]:
    """Sorts options as files have them."""
    from motet._options import AgentOptions

    if unknown := options.keys() - AgentOptions.__annotations__.keys():
        known = ", ".join(AgentOptions.__annotations__)
        raise TypeError(f"there is no option `{min(unknown)}`; options are {known}")
    given = {name: value for name, value in options.items() if value is not None}
    limits = {name: given.pop(name) for name in LIMITS if name in given}
    budget = limits.get("budget")
    if isinstance(budget, int | float):
        limits["budget"] = {"usd": budget}
    sampling = {name: given.pop(name) for name in SAMPLING if name in given}
    if isinstance(given.get("stop"), str):
        given["stop"] = [given["stop"]]
    choice = given.get("tool_choice")
    if isinstance(choice, str) and choice not in ("auto", "none", "required"):
        given["tool_choice"] = {"tool": choice}
    return {**given, "limits": limits, "sampling": sampling}


def _output(output: Any) -> tuple[dict[str, Any] | None, Any]:
    """Gives the JSON schema of the answer, and what makes the typed value of it."""
    if output is None or isinstance(output, dict):
        return output, None
    from motet._schema import of_type

    schema, reader = of_type(output)
    return {"title": getattr(output, "__name__", "answer"), **schema}, reader


def _tools(
    tools: Iterable[Callable[..., Any] | Agent[Any] | Toolbox | dict[str, Any]], mcp: Iterable[str] | dict[str, dict[str, Any]]
) -> tuple[list[dict[str, Any]], list[Any]]:
    """Sorts what an agent may call into what can be written down and what cannot."""
    servers = mcp if isinstance(mcp, dict) else {name: {} for name in ([mcp] if isinstance(mcp, str) else mcp)}
    entries = [{"mcp": name, **server} for name, server in servers.items()]
    added: list[Any] = []
    for tool in tools:
        if isinstance(tool, dict):
            entries.append(tool)
        elif isinstance(tool, Agent):
            added.append(tool._core)
        elif isinstance(tool, Toolbox):
            added.append(tool._native)
        else:
            added.append(as_tool(tool))
    return entries, added


def _sort(name: str, items: list[Any], spec: dict[str, Any], added: dict[str, Any]) -> None:
    """Puts a list into what is written, or as a whole into what is added, so that its order stays."""
    place = spec if all(isinstance(item, dict) for item in items) else added
    place[name] = items
