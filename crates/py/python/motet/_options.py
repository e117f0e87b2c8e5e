"""What calls and runs are given."""

from os import PathLike
from typing import Any, Literal, TypeAlias, TypedDict

Prompt: TypeAlias = str | list[dict[str, Any]]
"""A text, or a conversation: dictionaries with `role` and `content`."""

Workflow: TypeAlias = str | PathLike[str] | dict[str, Any]
"""The path of a workflow file, or what such a file says."""


class CompletionOptions(TypedDict, total=False):
    """Options of a call, by keyword; `None` stands for one that is not given."""

    model: str | None
    """Model as `provider:model`; the setting `model` where it is left out."""

    system: str | None
    """Instructions that stand above the conversation."""

    schema: dict[str, Any] | None
    """JSON schema that the answer must satisfy; the checked value is `response.json`."""

    tools: list[dict[str, Any]] | None
    """Tools that the model may ask for: `name`, `description`, and `parameters`, a JSON schema. They are not run."""

    tool_choice: str | dict[str, Any] | None
    """`auto`, `none`, `required`, or the name of the tool that must be called."""

    parallel_tool_calls: bool | None
    """Whether several tools may be called in one answer."""

    temperature: float | None
    """Randomness, usually 0 to 2."""

    top_p: float | None
    """Nucleus sampling, 0 to 1."""

    top_k: int | None
    """Number of candidates for each token."""

    seed: int | None
    """Seed for repeatable answers, where the provider supports it."""

    frequency_penalty: float | None
    """Penalty on tokens by how often they occurred, -2 to 2."""

    presence_penalty: float | None
    """Penalty on tokens that occurred at all, -2 to 2."""

    max_tokens: int | None
    """Upper limit of output tokens, reasoning included."""

    stop: str | list[str] | None
    """Texts that end the answer."""

    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None
    """How hard a reasoning model should think."""

    base_url: str | None
    """Address that replaces the provider's own."""

    timeout: float | None
    """Longest time of the whole call, in seconds."""

    metadata: dict[str, Any] | None
    """Labels for the run log, and for providers that keep them."""

    extra: dict[str, Any] | None
    """Fields added to the provider's request body as they are."""
