"""Tools of Python functions: schemas, arguments, results, failures, and sets."""

import asyncio
import dataclasses
import datetime
import enum
import functools
import threading
from typing import Annotated, Any, Literal, NotRequired, Optional, TypedDict, Union

import pytest
from conftest import calls

import motet

Script = Any


class Unit(enum.Enum):
    CELSIUS = "celsius"
    FAHRENHEIT = "fahrenheit"


@dataclasses.dataclass
class Node:
    name: str
    children: list["Node"] = dataclasses.field(default_factory=list)


class Options(TypedDict):
    depth: int
    mode: NotRequired[Literal["fast", "slow"]]


def properties(function: Any) -> Any:
    return motet.tool(function).parameters["properties"]


def test_type_hints_become_the_schema() -> None:
    def everything(
        text: str,
        number: float,
        flag: bool,
        items: list[int],
        fields: dict[str, float],
        maybe: Optional[str],
        either: Union[int, str],
        choice: Literal["a", "b"],
        unit: Unit,
        options: Options,
        pair: tuple[int, str],
        day: datetime.date,
        noted: Annotated[int, "How many."],
        anything: Any,
        bare,  # type: ignore[no-untyped-def]  # noqa: ANN001
        count: int = 3,
        unset: str | None = None,
        default_unit: Unit = Unit.CELSIUS,
    ) -> None: ...

    tool = motet.tool(everything)
    integer, string = {"type": "integer"}, {"type": "string"}
    assert tool.parameters["properties"] == {
        "text": string,
        "number": {"type": "number"},
        "flag": {"type": "boolean"},
        "items": {"type": "array", "items": integer},
        "fields": {"type": "object", "additionalProperties": {"type": "number"}},
        "maybe": {"type": ["string", "null"]},
        "either": {"type": ["integer", "string"]},
        "choice": {"type": "string", "enum": ["a", "b"]},
        "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
        "options": {
            "type": "object",
            "properties": {"depth": integer, "mode": {"type": "string", "enum": ["fast", "slow"]}},
            "required": ["depth"],
            "additionalProperties": False,
        },
        "pair": {"type": "array", "prefixItems": [integer, string], "items": False, "minItems": 2, "maxItems": 2},
        "day": {"type": "string", "format": "date"},
        "noted": {"type": "integer", "description": "How many."},
        "anything": {},
        "bare": {},
        "count": {"type": "integer", "default": 3},
        "unset": {"type": ["string", "null"], "default": None},
        "default_unit": {"type": "string", "enum": ["celsius", "fahrenheit"], "default": "celsius"},
    }
    assert tool.parameters["required"] == list(tool.parameters["properties"])[:-3]
    assert tool.parameters["additionalProperties"] is False


def test_types_that_hold_themselves_are_defined_once() -> None:
    def walk(node: Node) -> None: ...

    parameters = motet.tool(walk).parameters
    assert parameters["properties"]["node"] == {"$ref": "#/$defs/Node"}
    children = parameters["$defs"]["Node"]["properties"]["children"]
    assert children == {"type": "array", "items": {"$ref": "#/$defs/Node"}}


def google(city: str, unit: str = "c") -> None:
    """Tells the weather.

    Of one city only.

    Args:
        city: Name of the city,
            in English.
        unit (str): The unit.

    Returns:
        Nothing.
    """


def numpy(city: str, unit: str = "c") -> None:
    """Tells the weather.

    Of one city only.

    Parameters
    ----------
    city : str
        Name of the city,
        in English.
    unit : str, optional
        The unit.

    Returns
    -------
    None
    """


def rest(city: str, unit: str = "c") -> None:
    """Tells the weather.

    Of one city only.

    :param city: Name of the city,
        in English.
    :param str unit: The unit.
    :returns: Nothing.
    """


@pytest.mark.parametrize("function", [google, numpy, rest])
def test_docstrings_describe_tools_and_parameters(function: Any) -> None:
    tool = motet.tool(function)
    assert tool.description == "Tells the weather.\n\nOf one city only."
    found = [tool.parameters["properties"][name]["description"] for name in ("city", "unit")]
    assert found == ["Name of the city, in English.", "The unit."]


def test_arguments_are_values_of_their_types_and_results_become_json(script: Script) -> None:
    taken: list[Any] = []

    def take(
        unit: Unit, node: Node, day: datetime.date, number: float, pair: tuple[int, str], either: int | list[str]
    ) -> dict[str, Any]:
        taken.extend([unit, node, day, number, pair, either])
        return {"unit": unit, "node": node, "day": day, "set": {1}}

    arguments = {
        "unit": "celsius",
        "node": {"name": "a", "children": [{"name": "b"}]},
        "day": "2026-05-03",
        "number": 2,
        "pair": [1, "x"],
        "either": ["y"],
    }
    agent = motet.Agent("a", model=script(calls(("take", arguments)), "done"), tools=[take])
    (use,) = agent.run("go").tool_history
    node = Node("a", [Node("b", [])])
    assert taken == [Unit.CELSIUS, node, datetime.date(2026, 5, 3), 2.0, (1, "x"), ["y"]]
    assert use.result == (
        '{"unit":"celsius","node":{"name":"a","children":[{"name":"b","children":[]}]},"day":"2026-05-03","set":[1]}'
    )


def test_pydantic_models_are_arguments_and_results(script: Script) -> None:
    pydantic = pytest.importorskip("pydantic", reason="pydantic is not installed")

    class Order(pydantic.BaseModel):  # type: ignore[name-defined,misc]
        pieces: int = pydantic.Field(gt=0, description="How many.")

    def order(order: Order, limit: Annotated[int, pydantic.Field(le=5)] = 3) -> Order:
        return Order(pieces=order.pieces + limit)

    # What is not defined at the top of a module cannot be named by a text.
    order.__annotations__ |= {"order": Order, "return": Order}
    found = properties(order)
    assert found["order"]["properties"]["pieces"]["description"] == "How many."
    assert (found["limit"]["maximum"], found["limit"]["default"]) == (5, 3)
    model = script(calls(("order", {"order": {"pieces": 0}}), ("order", {"order": {"pieces": 2}})), "done")
    refused, made = motet.Agent("a", model=model, tools=[order]).run("go").tool_history
    assert (refused.is_error, refused.executed, made.result) == (True, False, '{"pieces":5}')


def test_what_goes_wrong_is_told_to_the_model(script: Script) -> None:
    def fail(how: str) -> Any:
        if how == "raise":
            raise ValueError("no such city")
        if how == "own":
            raise motet.NotFoundError("there is no file", hint="look elsewhere")
        return {"object": object(), "nan": float("nan"), "loop": None}[how]

    wrong = calls(*[("fail", {"how": how}) for how in ("raise", "own", "object", "nan", "missing")], ("fail", {}))
    agent = motet.Agent("a", model=script(wrong, "done"), tools=[fail])
    result = agent.run("go")
    assert result.outcome == "completed"
    assert all(use.is_error for use in result.tool_history)
    told = [use.result for use in result.tool_history]
    assert told[0] == "the tool `fail` failed: ValueError: no such city"
    assert told[1] == "the tool `fail` failed: there is no file; hint: look elsewhere"
    assert "is of type object" in told[2] and "not a finite number" in told[3] and "KeyError" in told[4]
    assert not result.tool_history[5].executed and "how" in told[5]


async def test_failures_of_async_tools_are_told_too(script: Script) -> None:
    async def fail() -> None:
        raise ValueError("not today")

    agent = motet.Agent("a", model=script(calls(("fail", {})), "done"), tools=[fail])
    assert "not today" in (await agent.run_async("go")).tool_history[0].result
    assert "not today" in (await asyncio.to_thread(agent.run, "go")).tool_history[0].result


def test_a_tool_that_exits_ends_the_run(script: Script) -> None:
    def leave() -> None:
        raise SystemExit("enough")

    agent = motet.Agent("a", model=script(calls(("leave", {})), "done"), tools=[leave])
    assert agent.run("go", check=False).outcome == "cancelled"


def test_a_call_that_takes_too_long_is_given_up(script: Script) -> None:
    free, cancelled = threading.Event(), threading.Event()

    @motet.tool(timeout=0.05)
    def slow() -> None:
        free.wait(20)

    @motet.tool(timeout=0.05)
    async def slow_async() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    agent = motet.Agent("a", model=script(calls(("slow", {}), ("slow_async", {})), "done"), tools=[slow, slow_async])
    told = [use.result for use in agent.run("go").tool_history]
    free.set()
    assert all("gave no answer within 50ms" in text for text in told)
    assert cancelled.wait(20)


def test_what_cannot_be_a_tool_is_refused() -> None:
    def any_arguments(*args: int) -> None: ...

    def odd(value: threading.Lock) -> None: ...

    with pytest.raises(motet.ConfigurationError, match="takes any arguments at `\\*args"):
        motet.Agent("a", tools=[any_arguments])
    with pytest.raises(motet.ConfigurationError, match="the parameter `value` of the tool `odd`"):
        motet.Agent("a", tools=[odd])
    with pytest.raises(ValueError, match="`effect` must be"):
        motet.Agent("a", tools=[motet.Tool(properties, effect="never", parameters={}, description="")])  # type: ignore[arg-type]
    with pytest.raises(motet.ConfigurationError, match="a tool is a function, not int"):
        motet.Agent("a", tools=[3])  # type: ignore[list-item]


class Shop:
    def __init__(self, price: int) -> None:
        self.price = price

    def plain(self, pieces: int) -> int:
        """Tells a price."""
        return self.price * pieces

    @motet.tool(name="decorated", effect="pure")
    def method(self, pieces: int) -> int:
        """Tells a price."""
        return self.price * pieces


class Callable:
    """Adds one."""

    def __call__(self, number: int) -> int:
        return number + 1


def test_methods_partial_functions_and_objects_are_tools(script: Script) -> None:
    shop = Shop(3)
    partial = functools.partial(Shop(5).plain, pieces=2)
    tools = [shop.plain, shop.method, motet.Tool(partial, name="partial"), motet.Tool(Callable(), name="one_more")]
    model = script(
        calls(("plain", {"pieces": 2}), ("decorated", {"pieces": 2}), ("partial", {}), ("one_more", {"number": 1})), "done"
    )
    told = [use.result for use in motet.Agent("a", model=model, tools=tools).run("go").tool_history]
    assert told == ["6", "6", "10", "2"]
    assert shop.method(4) == 12 and shop.method.name == "decorated"


def test_a_tool_knows_its_call(script: Script) -> None:
    seen: list[motet.ToolContext] = []

    def look(context: motet.ToolContext, at: str) -> None:
        seen.append(context)

    tool = motet.tool(look)
    assert list(tool.parameters["properties"]) == ["at"]
    result = motet.Agent("a", model=script(calls(("look", {"at": "x"})), "done"), tools=[tool]).run("go")
    (context,) = seen
    assert (context.run_id, context.call_id) == (result.run_id, result.tool_history[0].id)
    assert context.idempotency_key.startswith(result.run_id)


def test_a_set_of_tools_counts_and_switches(script: Script) -> None:
    def good() -> str:
        return "good"

    def bad() -> str:
        raise ValueError("bad")

    box = motet.Toolbox()
    box.add(good, category="fine", version="2")
    box.add(bad)
    with pytest.raises(motet.ConfigurationError, match="the tool `good` comes from"):
        box.add(good)
    agent = motet.Agent("a", model=script(calls(("good", {}), ("bad", {})), "done"), tools=[box])
    agent.run("go")
    assert (box.metrics("good")["calls"], box.metrics("bad")["failures"]) == (1, 1)
    assert box.names() == ["good", "bad"] and box.names(categories=["fi*"]) == ["good"]
    box.disable("bad")
    assert [use.executed for use in agent.run("go").tool_history] == [True, False]
    box.enable("bad")
    assert box.call("good") == "good"
    with pytest.raises(motet.ToolFailedError, match="ValueError: bad"):
        box.call("bad")
    with pytest.raises(motet.InvalidRequestError):
        box.call("good", {"x": 1})
    info = box.info()[0]
    assert (info["name"], info["category"], info["version"], info["metrics"]["calls"]) == ("good", "fine", "2", 3)


async def test_a_set_calls_tools_in_asyncio() -> None:
    async def where() -> bool:
        return loop is asyncio.get_running_loop()

    loop = asyncio.get_running_loop()
    assert await motet.Toolbox(where).call_async("where") == "true"
