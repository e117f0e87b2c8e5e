"""What calls and runs are given."""

from collections.abc import Callable
from os import PathLike
from typing import Any, Literal, TypeAlias, TypedDict

Prompt: TypeAlias = str | list[dict[str, Any]]
"""A text, or a conversation: dictionaries with `role` and `content`."""

Workflow: TypeAlias = str | PathLike[str] | dict[str, Any]
"""The path of a workflow file, or what such a file says."""

Payload: TypeAlias = dict[str, Any]
"""What a hook is shown."""

HookFunction: TypeAlias = Callable[..., Any]
"""A function of a payload, and of the options that a file gives it."""

GuardrailFunction: TypeAlias = Callable[[str, str], Any]
"""A function of a text and its place."""


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


class Budget(TypedDict, total=False):
    """What a run may spend, its resumptions included."""

    usd: float | str
    """US dollars."""

    tokens: int
    """Tokens of input and output together."""


class AgentOptions(TypedDict, total=False):
    """Further options of an agent, by keyword; `None` stands for one that is not given."""

    instructions_template: str | None
    """Instructions as a template of `variables`, and of `tools` with the name and description of each."""

    variables: dict[str, Any] | None
    """Values for the template."""

    max_iterations: int | None
    """Model calls of a run at most, 10 where not set."""

    max_parallel_tools: int | None
    """Tools that run at the same time at most, 8 where not set."""

    tool_timeout: float | str | None
    """Longest time of a call whose tool names no other, in seconds or as `90s`; 60 seconds where not set."""

    timeout: float | str | None
    """Longest time of a run, in seconds or as `5m`, counted anew when it is resumed."""

    max_tool_result_chars: int | None
    """Characters of a tool's result at most, 100,000 where not set; the rest is cut with a notice."""

    max_repairs: int | None
    """How often an answer that does not satisfy its schema is asked for again, 2 where not set."""

    max_rewrites: int | None
    """How often an answer that a guardrail sends back is asked for again, 3 where not set."""

    max_repeated_rounds: int | None
    """How often the same calls may give the same results, 5 where not set, 0 for no limit."""

    max_refused_rounds: int | None
    """Rounds in a row without a call that can be run, 5 where not set, 0 for no limit."""

    budget: float | Budget | None
    """What a run may spend: US dollars, or a dictionary of `usd` and `tokens`."""

    approvals: str | list[str] | None
    """Which calls a person must agree to: `tools` (those that say so), `always`, `never`, or names of tools."""

    condense: dict[str, int] | None
    """`keep_rounds` and `max_chars`: results of older rounds are shortened in requests."""

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
    """Upper limit of output tokens of each answer."""

    stop: str | list[str] | None
    """Texts that end an answer."""

    tool_choice: str | dict[str, Any] | None
    """`auto`, `none`, `required`, or the name of a tool; a forced choice holds for the first call only."""

    parallel_tool_calls: bool | None
    """Whether several tools may be called in one answer."""

    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None
    """How hard a reasoning model should think."""

    metadata: dict[str, Any] | None
    """Labels for the run log, and for providers that keep them."""

    extra: dict[str, Any] | None
    """Fields added to the provider's request body as they are."""


class ConversationHead(TypedDict):
    """What is known of a conversation as a whole."""

    id: str
    title: str
    turns: int
    messages: int
    input_tokens: int
    output_tokens: int
    cost: float | None
    cost_nanos: int | None
