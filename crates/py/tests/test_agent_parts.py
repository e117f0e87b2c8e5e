"""Agents within tools, runs that are left, turns that wait, and what files and defaults may say."""

import asyncio
import math
import threading
from pathlib import Path
from typing import Any

import pytest
from conftest import calls

import motet

Script = Any


@pytest.fixture
def client(place: Path) -> motet.Client:
    return motet.Client(store=f"sqlite:{place / 'runs.db'}")


def test_a_function_that_is_given_up_is_told_and_agents_that_it_runs_end(script: Script) -> None:
    ended = threading.Event()
    seen: list[Any] = []
    inner = motet.Agent("inner", model=script({"text": "late", "delay_ms": 60_000}))

    @motet.tool(timeout=0.05)
    def consult(context: motet.ToolContext) -> str:
        seen.append(context.cancelled)
        try:
            return inner.run("?").text
        except motet.CancelledError as error:
            seen.append(error)
            raise
        finally:
            seen.append(context.cancelled)
            ended.set()

    result = motet.Agent("outer", model=script(calls(("consult", {})), "done"), tools=[consult]).run("go")
    assert "gave no answer within 50ms" in result.tool_history[0].result
    assert ended.wait(20)
    assert seen[0] is False and isinstance(seen[1], motet.CancelledError) and seen[2] is True


def test_what_an_agent_within_a_function_used_is_counted(script: Script) -> None:
    inner = motet.Agent("inner", model=script("inner says"))
    used: list[int] = []

    def consult() -> str:
        result = inner.run("?")
        used.append(result.usage.total)
        return result.text

    def nothing() -> str:
        return "inner says"

    def total(tool: Any) -> int:
        model = script(calls((tool.__name__, {})), "done")
        return motet.Agent("outer", model=model, tools=[tool]).run("go").usage.total

    alone, together = total(nothing), total(consult)
    # The names of the tools are of one length, or nearly so, for the tokens that are estimated.
    assert used[0] > 0 and abs(together - alone - used[0]) <= 2


def test_an_async_function_that_waits_without_await_is_refused(script: Script) -> None:
    inner = motet.Agent("inner", model=script("inner says"))

    async def blocks() -> str:
        return inner.run("?").text

    async def reads() -> str:
        return "".join(event.text for event in inner.stream("?"))

    async def waits() -> str:
        return (await inner.run_async("?")).text + "".join([event.text async for event in inner.stream("?")])

    model = script(calls(("blocks", {}), ("reads", {}), ("waits", {})), "done")
    agent = motet.Agent("outer", model=model, tools=[blocks, reads, waits])
    told = [use.result for use in agent.run("go").tool_history]
    for refused in told[:2]:
        assert "waits without `await`" in refused and "await `run_async`" in refused
    assert told[2] == "inner saysinner says"


async def test_a_programs_own_loop_may_be_blocked(script: Script) -> None:
    async def now() -> str:
        return "noon"

    agent = motet.Agent("a", model=script(calls(("now", {})), "done"), tools=[now])
    assert agent.run("go").tool_history[0].result == "noon"


def test_a_run_within_a_tool_is_not_kept_apart(script: Script, client: motet.Client) -> None:
    inner = motet.Agent("inner", model=script("inner says"), client=client)

    def keep() -> str:
        return inner.run("?", keep=True).text

    def name() -> str:
        return inner.run("?", run_id="mine").text

    def stream() -> str:
        return "".join(event.text for event in inner.stream("?", keep=True))

    model = script(calls(("keep", {}), ("name", {}), ("stream", {})), "done")
    result = motet.Agent("outer", model=model, tools=[keep, name, stream], client=client).run("go")
    for use in result.tool_history:
        assert "of no use to a run within a tool" in use.result
        assert "the run around it is kept with all its parts" in use.result


def test_a_kept_run_whose_events_are_left_can_be_resumed_at_once(script: Script, client: motet.Client) -> None:
    def look() -> str:
        return "red"

    turns = [{"when": {"turn": 0}, **calls(("look", {}))}, {"when": {"turn": 1}, "text": "done"}]
    agent = motet.Agent("a", model=script(*turns), tools=[motet.tool(effect="pure")(look)], client=client)
    for event in agent.stream("go", keep=True, run_id="left"):
        if event.kind == "tool_ended":
            break
    assert agent.resume("left").text == "done"


def stopped(begun: threading.Event, ended: threading.Event) -> Any:
    """A tool that goes on until its run ends."""

    async def wait() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    return wait


@pytest.mark.parametrize("way", ["break", "with", "close"])
def test_a_stream_that_a_variable_holds_ends_with_its_loop_its_block_or_by_hand(script: Script, way: str) -> None:
    begun, ended = threading.Event(), threading.Event()
    agent = motet.Agent("a", model=script(calls(("wait", {})), "done"), tools=[stopped(begun, ended)])
    stream = agent.stream("go")
    if way == "break":
        for event in stream:
            if event.kind == "tool_started":
                assert begun.wait(20)
                break
    else:
        events = iter(stream)
        while next(events).kind != "tool_started":
            pass
        assert begun.wait(20) and not ended.is_set()
        if way == "close":
            stream.close()
        else:
            with stream as same:
                assert same is stream
    assert ended.wait(20)
    assert list(stream) == []


async def test_an_async_block_over_events_ends_the_run(script: Script) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    agent = motet.Agent("a", model=script(calls(("wait", {}))), tools=[wait])
    async with agent.stream("go") as stream:
        events = aiter(stream)
        while (await anext(events)).kind != "tool_started":
            pass
        await asyncio.wait_for(begun.wait(), 20)
    await asyncio.wait_for(ended.wait(), 20)
    begun.clear()
    ended.clear()
    held = agent.stream("go")
    async for event in held:
        if event.kind == "tool_started":
            await asyncio.wait_for(begun.wait(), 20)
            break
    await asyncio.wait_for(ended.wait(), 20)


PAID: list[int] = []
LOOKED: list[int] = []


@motet.tool(needs_approval=True)
def pay(amount: int) -> str:
    """Pays."""
    PAID.append(amount)
    return f"paid {amount}"


@motet.tool
def look() -> str:
    """Looks."""
    LOOKED.append(1)
    return "seen"


@pytest.fixture(autouse=True)
def nothing_done() -> None:
    PAID.clear()
    LOOKED.clear()


def till(script: Script, **options: Any) -> motet.Agent[None]:
    turns = [
        {"when": {"turn": 0, "contains": "Pay"}, **calls(("look", {}), ("pay", {"amount": 7}))},
        {"when": {"turn": 1}, "text": "done"},
        {"when": {"contains": "Fail"}, "error": {"kind": "invalid_request", "message": "no"}},
    ]
    return motet.Agent("till", model=script(*turns), tools=[look, pay], **options)


@pytest.mark.parametrize("streamed", [False, True])
def test_a_turn_that_waits_goes_on_from_its_own_log_whatever_came_after_it(script: Script, streamed: bool) -> None:
    talk = till(script).conversation()
    if streamed:
        first = [event.result for event in talk.stream("Pay")][-1]
    else:
        first = talk.send("Pay")
    assert first is not None and (first.outcome, LOOKED, PAID) == ("waiting", [1], [])
    assert talk.send("Fail", check=False).outcome == "failed"
    asked: list[motet.Question] = []

    def agree(question: motet.Question) -> bool:
        asked.append(question)
        return True

    result = talk.resume(decide=agree)
    assert (result.text, result.run_id, LOOKED, PAID) == ("done", first.run_id, [1], [7])
    assert [question.run_id for question in asked] == [first.run_id]


def test_who_decides_is_told_the_run_that_asks(script: Script, client: motet.Client) -> None:
    agent = till(script, client=client)
    assert agent.run("Pay", keep=True, run_id="bill").outcome == "waiting"
    asked: list[str] = []

    def agree(question: motet.Question) -> bool:
        asked.append(question.run_id)
        return True

    assert agent.resume("bill", decide=agree).text == "done"
    assert asked == ["bill"]


def test_agents_of_files_have_the_names_of_their_files_within_others(script: Script, place: Path) -> None:
    for name in ("first", "second"):
        (place / f"{name}.yaml").write_text(f"model: {script(f'{name} says')}\n")
    tools = [motet.Agent.from_file(f"{name}.yaml") for name in ("first", "second")]
    model = script(calls(("first", {"input": "?"}), ("second", {"input": "?"})), "done")
    result = motet.Agent("outer", model=model, tools=tools).run("go")
    assert [use.result for use in result.tool_history] == ["first says", "second says"]


def test_code_calls_functions_and_files_may_name_them(script: Script, place: Path) -> None:
    def price(article: str) -> int:
        """Tells a price."""
        return len(article)

    code = {"code": "int(price(article='ab')) + int(price(article='abc'))"}
    model = script(calls(("run_python", code)), "done")
    agent = motet.Agent("a", model=model, tools=[price, {"code": {}}])
    assert agent.run("go").tool_history[0].result == '{"result":5}'
    (place / "clerk.yaml").write_text(f"model: {script('done')}\noffered: {{only: [price]}}\n")
    assert motet.Agent.from_file("clerk.yaml", tools=[price]).run("go").text == "done"
    with pytest.raises(motet.ConfigurationError, match="no tool has the name `price`"):
        motet.Agent.from_file("clerk.yaml", tools=[look]).run("go")


SCHEMA = {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}


def test_a_file_without_an_output_takes_that_of_the_program(script: Script, place: Path) -> None:
    model = script({"json": {"m": 1}}, {"json": {"n": 1}})
    (place / "plain.yaml").write_text(f"model: {model}\n")
    result = motet.Agent.from_file("plain.yaml", output=SCHEMA).run("?")
    assert (result.value, result.model_calls) == ({"n": 1}, 2)
    (place / "typed.yaml").write_text(f"model: {script({'json': {'n': 1}})}\n")
    assert motet.Agent.from_file("typed.yaml", output=dict[str, int]).run("?").value == {"n": 1}
    (place / "own.yaml").write_text(f"model: {model}\noutput: {{type: object}}\n")
    with pytest.raises(motet.ConfigurationError, match="an `output` of its own"):
        motet.Agent.from_file("own.yaml", output=SCHEMA)


def test_defaults_that_json_cannot_hold_are_not_noted(script: Script) -> None:
    def find(most: float = math.inf, least: float = -math.inf, odd: float = math.nan, key: int = 2**64, low: int = -(2**63)) -> str:
        return f"{most} {key}"

    fields = motet.tool(find).parameters["properties"]
    assert [name for name, field in fields.items() if "default" in field] == ["low"]
    agent = motet.Agent("a", model=script(calls(("find", {})), "done"), tools=[find])
    assert agent.run("go").tool_history[0].result == f"inf {2**64}"
