"""What people decide about calls of tools."""

from __future__ import annotations

from motet._tool import is_coroutine_function

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any, TypeAlias

    from motet._motet import Question

    _Decision: TypeAlias = "bool | Approve | Deny | Answer"
    _Decide: TypeAlias = Callable[[Question], "_Decision | None | Awaitable[_Decision | None]"]


class Approve:
    """The call is made, with other arguments where they are given."""

    def __init__(self, arguments: dict[str, Any] | None = None) -> None:
        """Agrees to the call."""
        self.arguments = arguments

    def __repr__(self) -> str:
        return f"Approve(arguments={self.arguments!r})"


class Deny:
    """The call is not made, and the model is told why."""

    def __init__(self, reason: str | None = None) -> None:
        """Refuses the call."""
        self.reason = reason

    def __repr__(self) -> str:
        return f"Deny(reason={self.reason!r})"


class Answer:
    """The call is not made, and the model is given this as its result."""

    def __init__(self, result: Any) -> None:
        """Answers in the place of the tool; anything but a text is shown as JSON."""
        self.result = result

    def __repr__(self) -> str:
        return f"Answer(result={self.result!r})"


def written(decision: Any) -> dict[str, Any] | None:
    """Writes a decision as the engine reads it; `None` where nobody knows yet."""
    if decision is None:
        return None
    if decision is True:
        return {"decision": "approve"}
    if decision is False:
        return {"decision": "deny"}
    if isinstance(decision, Approve):
        return {"decision": "approve", "arguments": decision.arguments}
    if isinstance(decision, Deny):
        return {"decision": "deny", "reason": decision.reason}
    if isinstance(decision, Answer):
        from motet._schema import to_json

        return {"decision": "answer", "result": to_json(decision.result)}
    found = type(decision).__name__
    raise TypeError(f"a decision is True, False, motet.Approve, motet.Deny, or motet.Answer, not {found}")


async def _awaited(decision: Awaitable[Any]) -> Any:
    return written(await decision)


class Decider:
    """A function that decides at once, or a decision for everything that is asked."""

    is_async: bool
    """Whether the function is `async`."""

    def __init__(self, decide: Any) -> None:
        self.is_async = is_coroutine_function(decide)
        self._decide = decide
        if not callable(decide):
            written(decide)

    def call(self, question: Question) -> Any:
        """Answers the engine."""
        decision = self._decide(question) if callable(self._decide) else self._decide
        return _awaited(decision) if hasattr(decision, "__await__") else written(decision)
