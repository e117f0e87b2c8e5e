"""Tools: Python functions that a model may call."""

from __future__ import annotations

from typing import Generic, ParamSpec, TypeVar, overload

from motet import _context
from motet._errors import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from inspect import Parameter
    from typing import Any, Literal, TypeAlias

    _Effect: TypeAlias = Literal["pure", "idempotent", "at_most_once"]

P = ParamSpec("P")
R = TypeVar("R")


class Tool(Generic[P, R]):
    """A function with all that a model is told of it; called, it is the function."""

    name: str
    """Name that the model calls it by."""

    effect: _Effect
    """What happens when a call runs twice: `pure`, `idempotent`, or `at_most_once`."""

    timeout: float | None
    """Longest time of a call in seconds; the agent's `tool_timeout` where `None`."""

    needs_approval: bool | Callable[[dict[str, Any]], bool]
    """Whether a person must agree to a call, or a function of its arguments that tells."""

    is_async: bool
    """Whether the function is `async`."""

    def __init__(
        self,
        function: Callable[P, R],
        *,
        name: str | None = None,
        description: str | None = None,
        parameters: dict[str, Any] | None = None,
        effect: _Effect = "at_most_once",
        timeout: float | None = None,
        needs_approval: bool | Callable[[dict[str, Any]], bool] = False,
    ) -> None:
        """Makes a tool of a function; see `motet.tool`."""
        if not callable(function):
            raise ConfigurationError(f"a tool is a function, not {type(function).__name__}")
        self.name = name or name_of(function)
        self.effect = effect
        self.timeout = timeout
        self.needs_approval = needs_approval
        self.is_async = is_coroutine_function(function)
        self._function = function
        self._description = description
        self._parameters = parameters
        self._signature: Signature | None = None
        for copied in ("__doc__", "__module__", "__qualname__", "__wrapped__"):
            if hasattr(function, copied):
                setattr(self, copied, getattr(function, copied))
        self.__wrapped__ = function

    @property
    def description(self) -> str:
        """What the model reads about it: that given, or that of the docstring."""
        return self._read().description if self._description is None else self._description

    @property
    def parameters(self) -> dict[str, Any]:
        """JSON schema of its arguments: that given, or that of the type hints."""
        return self._read().schema if self._parameters is None else self._parameters

    def _read(self) -> Signature:
        # When it is first needed, so that hints may name what is defined later.
        if self._signature is None:
            self._signature = Signature(self._function, self.name)
        return self._signature

    def call(self, arguments: dict[str, Any]) -> Any:
        """Answers a call of a model: reads the arguments, calls the function, and gives what it returns as JSON."""
        from motet._schema import to_json

        positional, named = self._read().read(arguments)
        result = self._function(*positional, **named)
        return _awaited(result) if hasattr(result, "__await__") else to_json(result)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._function(*args, **kwargs)

    def __get__(self, instance: object, owner: type | None = None) -> Tool[..., R]:
        if instance is None:
            return self
        bound = self._function.__get__(instance, owner)
        return Tool(
            bound,
            name=self.name,
            description=self._description,
            parameters=self._parameters,
            effect=self.effect,
            timeout=self.timeout,
            needs_approval=self.needs_approval,
        )

    def __repr__(self) -> str:
        return f"Tool(name={self.name!r}, effect={self.effect!r})"


async def _awaited(result: Awaitable[Any]) -> Any:
    from motet._schema import to_json

    return to_json(await result)


@overload
def tool(function: Callable[P, R], /) -> Tool[P, R]: ...


@overload
def tool(
    function: None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    parameters: dict[str, Any] | None = None,
    effect: _Effect = "at_most_once",
    timeout: float | None = None,
    needs_approval: bool | Callable[[dict[str, Any]], bool] = False,
) -> Callable[[Callable[P, R]], Tool[P, R]]: ...


def tool(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Makes a tool of a function, plain or `async`: `@motet.tool`, or `@motet.tool(effect="pure", …)`.

    Name and description are those of the function and its docstring, the JSON schema of the arguments is that of its type
    hints, and what the docstring says of parameters stands in it. What is given by keyword takes their place: `name`,
    `description`, `parameters` (a JSON schema), `effect` (`pure`, `idempotent`, or `at_most_once`), `timeout` in seconds,
    and `needs_approval`. A parameter annotated with `motet.ToolContext` is told about the call and is no argument.

    Plain functions may be given to an agent as they are; they are tools with the defaults.
    """
    if function is not None:
        return Tool(function, **options)
    return lambda function: Tool(function, **options)


def name_of(function: Any) -> str:
    """Gives the name of a function, or that of its class where it has none."""
    return str(getattr(function, "__name__", type(function).__name__))


def is_coroutine_function(function: Any) -> bool:
    """Tells whether calling gives something to await."""
    from inspect import iscoroutinefunction

    while hasattr(function, "func") and not hasattr(function, "__code__"):
        function = function.func
    return iscoroutinefunction(function) or iscoroutinefunction(getattr(function, "__call__", None))


class Signature:
    """What the type hints and the docstring of a function say."""

    description: str
    schema: dict[str, Any]

    def __init__(self, function: Callable[..., Any], name: str) -> None:
        from motet import _docstring
        from motet._motet import ToolContext
        from motet._schema import Builder, record, with_default

        documented = function if hasattr(function, "__code__") or hasattr(function, "__func__") else None
        text = getattr(documented or function, "__doc__", None)
        if documented is None and hasattr(function, "func"):
            text = function.func.__doc__
        self.description, descriptions = _docstring.read(text)
        self._readers: dict[str, Callable[[Any], Any]] = {}
        self._positional: list[str] = []
        self._context: str | None = None
        builder, properties, required = Builder(), {}, []
        for parameter, hint in _parameters(function, name):
            if hint is ToolContext:
                self._context = parameter.name
                continue
            if parameter.kind is parameter.POSITIONAL_ONLY:
                self._positional.append(parameter.name)
            try:
                schema, self._readers[parameter.name] = builder.shape(hint)
            except ConfigurationError as error:
                message = f"the parameter `{parameter.name}` of the tool `{name}` cannot be used: {error.message}"
                raise ConfigurationError(message, hint=error.hint) from error
            if parameter.name in descriptions:
                schema = {"description": descriptions[parameter.name], **schema}
            if parameter.default is parameter.empty:
                required.append(parameter.name)
            else:
                schema = with_default(schema, parameter.default)
            properties[parameter.name] = schema
        self.schema = builder.whole(record(properties, required))

    def read(self, arguments: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """Makes the values that the function takes of those that the model gave."""
        values = {name: self._readers.get(name, _same)(value) for name, value in arguments.items()}
        if self._context is not None:
            values[self._context] = _context.call.get()
        positional = [values.pop(name) for name in self._positional if name in values]
        return positional, values


def _same(value: Any) -> Any:
    return value


def _parameters(function: Callable[..., Any], name: str) -> Iterator[tuple[Parameter, Any]]:
    """Gives the parameters with their types, those without a hint as any."""
    import inspect
    import typing

    hinted: Any = function
    while hasattr(hinted, "func") and not hasattr(hinted, "__code__"):
        hinted = hinted.func
    if not inspect.isroutine(hinted):
        hinted = type(hinted).__call__
    try:
        hints = typing.get_type_hints(hinted, include_extras=True)
    except NameError as error:
        message = f"a type hint of the tool `{name}` cannot be found: {error}"
        raise ConfigurationError(message, hint="define it before the agent is made, outside of functions") from error
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            message = f"the tool `{name}` takes any arguments at `{parameter}`, which no model can be told"
            raise ConfigurationError(message, hint="name each parameter, or take one `dict`")
        yield parameter, hints.get(parameter.name, typing.Any)


def as_tool(given: Any) -> Any:
    """Takes what an agent may call as it is, and makes a tool of a plain function."""
    return given if isinstance(given, Tool) else Tool(given)
