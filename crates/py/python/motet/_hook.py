"""Hooks: functions that see, change, or stop what a run does at named stages."""

from __future__ import annotations

from motet import _motet
from motet._errors import ConfigurationError
from motet._tool import is_coroutine_function, name_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from typing import Any, Literal, TypeAlias

    from motet._options import HookFunction, Payload

    _OnError: TypeAlias = Literal["skip", "abort", "fallback"]


class Stop(Exception):
    """Raised, or returned, by a hook: the run ends as blocked, for this reason."""

    def __init__(self, reason: str = "no reason was given") -> None:
        super().__init__(reason)
        self.reason = reason


class Hook:
    """A function with the stages at which it is called, and what its failure means."""

    name: str
    """Name in errors and warnings."""

    stages: list[str]
    """Where in a run it is called."""

    on_error: _OnError
    """What its failure means: `skip`, `abort`, or `fallback`."""

    fallback: str | Callable[[Payload], Payload] | None
    """What takes its place when it fails and `on_error` is `fallback`."""

    timeout: float
    """Longest time of a call in seconds."""

    is_async: bool
    """Whether the function is `async`."""

    def __init__(
        self,
        function: HookFunction,
        stages: str | Iterable[str],
        *,
        name: str | None = None,
        on_error: _OnError = "skip",
        fallback: str | Callable[[Payload], Payload] | None = None,
        timeout: float = 30.0,
    ) -> None:
        """Makes a hook of a function; see `motet.hook`."""
        self.name = name or name_of(function)
        self.stages = [stages] if isinstance(stages, str) else list(stages)
        if not self.stages and name is None:
            raise ConfigurationError(f"the hook `{self.name}` has no stage", hint="name at least one, such as `before_run`")
        if (on_error == "fallback") != (fallback is not None):
            raise ConfigurationError(
                f"the hook `{self.name}` has `on_error={on_error!r}` and `fallback={fallback!r}`",
                hint="give both `on_error='fallback'` and `fallback`, or neither",
            )
        self.on_error = on_error
        self.fallback = fallback
        self.timeout = timeout
        self.is_async = is_coroutine_function(function)
        self._function = function

    def call(self, payload: Payload, options: dict[str, Any]) -> Any:
        """Answers the engine: the changed payload, why to stop, or nothing."""
        try:
            answer = self._function(payload, **options)
            return _awaited(answer) if hasattr(answer, "__await__") else _read(answer)
        except Stop as stop:
            return _awaited_reason(stop.reason) if self.is_async else stop.reason

    def takes(self) -> tuple[list[str] | None, list[str]]:
        """Gives the names of the options that the function takes, `None` for any, and of those that it must be given."""
        from inspect import signature

        # The first parameter is the payload.
        parameters = [*signature(self._function).parameters.values()][1:]
        named = [one for one in parameters if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)]
        takes_any = any(one.kind is one.VAR_KEYWORD for one in parameters)
        required = [one.name for one in named if one.default is one.empty]
        return None if takes_any else [one.name for one in named], required

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"Hook(name={self.name!r}, stages={self.stages!r}, on_error={self.on_error!r})"


def _read(answer: Any) -> Any:
    if isinstance(answer, Stop):
        return answer.reason
    if answer is None or isinstance(answer, dict):
        return answer
    raise TypeError(f"a hook returns the changed payload, motet.Stop, or nothing, not {type(answer).__name__}")


async def _awaited(answer: Awaitable[Any]) -> Any:
    try:
        return _read(await answer)
    except Stop as stop:
        return stop.reason


async def _awaited_reason(reason: str) -> str:
    return reason


def hook(
    *stages: str,
    name: str | None = None,
    on_error: _OnError = "skip",
    fallback: str | Callable[[Payload], Payload] | None = None,
    timeout: float = 30.0,
) -> Callable[[HookFunction], Hook]:
    """Makes a hook of a function, plain or `async`: `@motet.hook("before_tool", "after_tool")`.

    The function is given the payload of the stage, a dictionary, and returns nothing, the changed payload (what is left out
    stays), or `motet.Stop(reason)`, which may be raised too. It fails by any other exception, another result, or a call
    longer than `timeout` seconds; then the run goes on without it (`skip`), fails (`abort`), or goes on with what `fallback`
    makes of the payload: a text for every text of it, or a function.
    """
    return lambda function: Hook(
        function, stages, name=name, on_error=on_error, fallback=fallback, timeout=timeout
    )


def register_hook(name: str, function: HookFunction) -> None:
    """Makes a hook known by name to files of agents, in all clients; a later one of the same name takes its place.

    Stages, `on_error`, and `timeout` are what the file says; its `options` are given to the function by keyword.
    """
    made = Hook(function._function if isinstance(function, Hook) else function, (), name=name)
    _motet.register_hook(name, made)
