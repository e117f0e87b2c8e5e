"""Guardrails: functions that look at what is said in a run, and redact it, block it, or have it written again."""

from __future__ import annotations

from motet import _motet
from motet._tool import is_coroutine_function, name_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from typing import Any, Literal, TypeAlias

    from motet._options import GuardrailFunction

    _OnFailure: TypeAlias = Literal["closed", "open"]

PLACES = ("input", "output", "tool_arguments", "tool_result")
"""Where texts stand that guardrails look at."""


class Finding:
    """Something that must not pass, from character `start` to `end` of the text; see `Redact`, `Block`, and `AskAgain`."""

    action: str = ""
    """What is done: `redact`, `block`, or `ask_again`."""

    def __init__(self, text: str, start: int = 0, end: int | None = None) -> None:
        self.text = text
        self.start = start
        self.end = end

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.text!r}, start={self.start}, end={self.end})"


class Redact(Finding):
    """The characters are replaced, and the rest passes."""

    action = "redact"

    def __init__(self, start: int = 0, end: int | None = None, replacement: str = "[REDACTED]") -> None:
        """Marks characters to replace; the whole text where none are named."""
        super().__init__(replacement, start, end)


class Block(Finding):
    """The run ends as blocked; the result of a tool is withheld from the model instead."""

    action = "block"

    def __init__(self, reason: str) -> None:
        """Gives the reason, which must not repeat the text."""
        super().__init__(reason)


class AskAgain(Finding):
    """The model is asked for another answer, and told the reason."""

    action = "ask_again"

    def __init__(self, reason: str) -> None:
        """Gives the reason, which must not repeat the text."""
        super().__init__(reason)


class Guardrail:
    """A function with the places at which it looks, and what its failure means."""

    name: str
    """Name in errors and events."""

    places: list[str]
    """Where the texts stand that it looks at."""

    on_failure: _OnFailure
    """What its failure means: the text is blocked (`closed`) or passes with a warning (`open`)."""

    timeout: float
    """Longest time of a look in seconds."""

    is_async: bool
    """Whether the function is `async`."""

    def __init__(
        self,
        function: GuardrailFunction,
        places: str | Iterable[str] = ("output",),
        *,
        name: str | None = None,
        on_failure: _OnFailure = "closed",
        timeout: float = 30.0,
    ) -> None:
        """Makes a guardrail of a function; see `motet.guardrail`."""
        self.name = name or name_of(function)
        self.places = [places] if isinstance(places, str) else list(places)
        self.on_failure = on_failure
        self.timeout = timeout
        self.is_async = is_coroutine_function(function)
        self._function = function

    def call(self, text: str, place: str) -> Any:
        """Answers the engine: a list of findings."""
        answer = self._function(text, place)
        return _awaited(answer) if hasattr(answer, "__await__") else _read(answer)

    def __call__(self, text: str, place: str = "output") -> Any:
        return self._function(text, place)

    def __repr__(self) -> str:
        return f"Guardrail(name={self.name!r}, places={self.places!r})"


def _read(answer: Any) -> list[tuple[str, int, int | None, str]]:
    if answer is None:
        return []
    findings = [answer] if isinstance(answer, Finding) else answer
    if not isinstance(findings, list | tuple) or not all(isinstance(one, Finding) for one in findings):
        raise TypeError("a guardrail returns motet.Redact, motet.Block, motet.AskAgain, a list of them, or nothing")
    return [(one.action, one.start, one.end, one.text) for one in findings]


async def _awaited(answer: Awaitable[Any]) -> Any:
    return _read(await answer)


def guardrail(
    *places: str, name: str | None = None, on_failure: _OnFailure = "closed", timeout: float = 30.0
) -> Callable[[GuardrailFunction], Guardrail]:
    """Makes a guardrail of a function, plain or `async`: `@motet.guardrail("input", "output")`; `output` where none is named.

    The function is given the text and its place, and returns `motet.Redact(start, end)`, `motet.Block(reason)`,
    `motet.AskAgain(reason)`, a list of them in the order of the text, or nothing. Its failure blocks the text (`closed`) or
    lets it pass with a warning (`open`).
    """
    return lambda function: Guardrail(
        function, places or ("output",), name=name, on_failure=on_failure, timeout=timeout
    )


def register_guardrail(name: str, function: GuardrailFunction, places: str | Iterable[str] = ("output",)) -> None:
    """Makes a guardrail known by name to files of agents, in all clients, which name it as `custom: {name: …}`."""
    if isinstance(function, Guardrail):
        made = Guardrail(function._function, function.places, name=name)
    else:
        made = Guardrail(function, places, name=name)
    _motet.register_guardrail(name, made)
