"""The tree of exceptions: one class for each kind of failure, all below `Error`.

Knows nothing of how a failure is found; the native half calls `make`.
"""

from __future__ import annotations

import builtins

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, ClassVar

    from motet._motet import AgentResult, Problem, TaskResult
    from motet._workflow import WorkflowRun


class Error(Exception):
    """Something that Motet could not do.

    `str(error)` is the message. What the user can do about it is in `hint`, and shown below tracebacks.
    """

    kind: ClassVar[str] = "error"
    """What went wrong, in one word; the same words as in JSON output."""

    message: str
    """What happened, with its context."""

    hint: str | None
    """What the user can do about it."""

    status: int | None
    """HTTP status of the answer, if there was one."""

    result: AgentResult[Any] | None = None
    """What there is of a run of an agent that did not complete."""

    retry_after: float | None
    """Seconds to wait that the provider named."""

    provider: str | None
    """Provider concerned."""

    request_id: str | None
    """The provider's id of the request, which its support asks for."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        # Tracebacks then show the name that users import; their own subclasses stay theirs.
        if cls.__module__ == __name__:
            cls.__module__ = "motet"

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        status: int | None = None,
        retry_after: float | None = None,
        provider: str | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.status = status
        self.retry_after = retry_after
        self.provider = provider
        self.request_id = request_id
        if hint:
            self.add_note(f"hint: {hint}")

    def __str__(self) -> str:
        return self.message


Error.__module__ = "motet"


class TokenLimitError(Error):
    """The input and the wished output do not fit into the model's context window."""

    kind = "token_limit"


class RateLimitError(Error):
    """The provider asks to slow down; waiting helps."""

    kind = "rate_limit"


class QuotaExceededError(Error):
    """The account or key has no quota left; waiting does not help."""

    kind = "quota_exceeded"


class ConnectionError(Error, builtins.ConnectionError):
    """The connection could not be made or broke before the answer began."""

    kind = "connection"


class TimeoutError(Error, builtins.TimeoutError):
    """A deadline passed."""

    kind = "timeout"


class OverloadedError(Error):
    """The provider is out of capacity or failed on its side."""

    kind = "overloaded"


class InvalidRequestError(Error, ValueError):
    """The request is malformed, or the provider refused it as such."""

    kind = "invalid_request"


class InvalidWorkflowError(InvalidRequestError):
    """A workflow has problems; nothing of it was run."""

    problems: list[Problem]
    """All of them, in the order of the file."""


class AuthenticationError(Error):
    """The key is missing, wrong, or revoked."""

    kind = "authentication"


class PermissionError(Error, builtins.PermissionError):
    """The key is known but may not do this."""

    kind = "permission"


class NotFoundError(Error, LookupError):
    """The model, run, file, or address does not exist."""

    kind = "not_found"


class ContentFilterError(Error):
    """The provider's content policy stopped the request or the answer."""

    kind = "content_filter"


class InvalidOutputError(Error):
    """The answer does not have the shape that was asked for."""

    kind = "invalid_output"


class TruncatedError(Error):
    """The answer broke off before its end; what came before it is incomplete."""

    kind = "truncated"


class ToolFailedError(Error):
    """A tool or a task's method failed."""

    kind = "tool_failed"


class LimitReachedError(Error):
    """An iteration or size limit ended the run."""

    kind = "limit_reached"


class BudgetExceededError(Error):
    """The next call would cost more than the budget allows."""

    kind = "budget_exceeded"


class BlockedError(Error):
    """A guardrail blocked the content."""

    kind = "blocked"


class CancelledError(Error):
    """The work was cancelled by somebody else; a cancelled asyncio task raises `asyncio.CancelledError` instead."""

    kind = "cancelled"


class ConflictError(Error):
    """The state changed underneath: a stale lease, a changed definition, a name already taken."""

    kind = "conflict"


class ConfigurationError(Error, ValueError):
    """A setting is missing or wrong."""

    kind = "configuration"


class UnsupportedError(Error):
    """The provider, model, or backend cannot do what was asked."""

    kind = "unsupported"


class StoreError(Error):
    """The store failed to read or write."""

    kind = "store"


class InternalError(Error):
    """A defect of Motet itself."""

    kind = "internal"


class WorkflowFailedError(Error):
    """A run did not complete. What is done is kept: `client.resume_workflow(error.run_id)` goes on with the rest."""

    kind = "tool_failed"

    results: WorkflowRun
    """The run with all its tasks, those that are done included."""

    run_id: str
    """Id of the run."""

    failures: list[TaskResult]
    """The tasks that failed."""

    def __init__(self, results: WorkflowRun) -> None:
        reasons = [f"task `{task.name}`: {task.error}" for task in results.failures]
        super().__init__(
            "; ".join([f"workflow `{results.name}` ended {results.state}", *reasons]),
            hint=f"`client.resume_workflow({results.run_id!r})` does what is missing",
        )
        self.results = results
        self.run_id = results.run_id
        self.failures = results.failures


BY_KIND: dict[str, type[Error]] = {
    error.kind: error
    for error in (
        TokenLimitError,
        RateLimitError,
        QuotaExceededError,
        ConnectionError,
        TimeoutError,
        OverloadedError,
        InvalidRequestError,
        AuthenticationError,
        PermissionError,
        NotFoundError,
        ContentFilterError,
        InvalidOutputError,
        TruncatedError,
        ToolFailedError,
        LimitReachedError,
        BudgetExceededError,
        BlockedError,
        CancelledError,
        ConflictError,
        ConfigurationError,
        UnsupportedError,
        StoreError,
        InternalError,
    )
}
"""The class of each kind."""


def make(message: str, *, kind: str, problems: list[Problem] | None = None, **facts: Any) -> Error:
    """Makes the exception for a kind; called by the native half."""
    if problems is not None:
        invalid = InvalidWorkflowError(message, **facts)
        invalid.problems = problems
        return invalid
    return BY_KIND[kind](message, **facts)
