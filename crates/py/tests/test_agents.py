"""Agents: running, streaming, values, failures, and agents within tools."""

import asyncio
import dataclasses
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import calls

import motet

Script = Any


@motet.tool(effect="pure")
def add(a: int, b: int = 2) -> int:
    """Adds two numbers."""
    return a + b


@motet.tool(effect="pure")
async def slowly_add(a: int, b: int) -> int:
    """Adds two numbers after a while."""
    await asyncio.sleep(0)
    return a + b


def test_a_run_calls_tools_and_gives_everything_about_it(script: Script) -> None:
    model = script(calls(("add", {"a": 40}), ("slowly_add", {"a": 1, "b": 1})), "done")
    agent = motet.Agent("clerk", model=model, instructions="Add.", tools=[add, slowly_add])
    result = agent.run("go")
    assert (result.outcome, result.text, result.value, result.json, result.error) == ("completed", "done", None, None, None)
    assert [(use.name, use.result, use.is_error, use.round) for use in result.tool_history] == [
        ("add", "42", False, 0),
        ("slowly_add", "2", False, 0),
    ]
    assert [message["role"] for message in result.messages] == ["system", "user", "assistant", "tool", "assistant"]
    assert len(result.new_messages) == 3
    assert (result.model_calls, result.cost, result.model) == (2, 0.0, model)
    assert result.usage.total > 0 and result.questions == [] and result.finish_reason == "stop"


async def test_a_run_in_asyncio_awaits_async_tools_in_the_same_loop(script: Script) -> None:
    loops: list[asyncio.AbstractEventLoop] = []

    async def where() -> str:
        loops.append(asyncio.get_running_loop())
        return threading.current_thread().name

    def thread() -> str:
        return threading.current_thread().name

    agent = motet.Agent("a", model=script(calls(("where", {}), ("thread", {})), "done"), tools=[where, thread])
    result = await agent.run_async("go")
    assert loops == [asyncio.get_running_loop()]
    assert [use.result for use in result.tool_history][0] == threading.current_thread().name
    assert result.tool_history[1].result != threading.current_thread().name


def test_a_conversation_goes_on_with_the_messages_of_a_run(script: Script) -> None:
    agent = motet.Agent("a", model=script("one", "two"), instructions="Be brief.")
    first = agent.run("1")
    second = agent.run([*first.messages, {"role": "user", "content": "2"}])
    assert [message["role"] for message in second.messages] == ["system", "user", "assistant", "user", "assistant"]


def test_events_come_as_they_happen(script: Script) -> None:
    agent = motet.Agent("a", model=script(calls(("add", {"a": 1})), "three"), tools=[add])
    events = list(agent.stream("go"))
    kinds = [event.kind for event in events]
    assert kinds.index("tool_started") < kinds.index("tool_ended") < kinds.index("text_delta") < kinds.index("result")
    assert "".join(event.text for event in events) == "three"
    ended = next(event for event in events if event.kind == "tool_ended")
    assert (ended.tool, ended.data["is_error"]) == ("add", False)
    assert events[-1].result is not None and events[-1].result.text == "three"


async def test_events_come_in_asyncio_too(script: Script) -> None:
    agent = motet.Agent("a", model=script(calls(("slowly_add", {"a": 1, "b": 1})), "two"), tools=[slowly_add])
    events = [event async for event in agent.stream("go")]
    assert events[-1].result is not None
    assert events[-1].result.tool_history[0].result == "2"
    assert [event.kind for event in events].count("result") == 1


async def test_a_failing_stream_tells_what_came_before_and_raises(script: Script) -> None:
    failing = {"error": {"kind": "authentication", "message": "no such key"}}
    agent = motet.Agent("a", model=script(calls(("add", {"a": 1})), failing), tools=[add])
    seen = []
    with pytest.raises(motet.AuthenticationError, match="no such key") as caught:
        async for event in agent.stream("go"):
            seen.append(event.kind)
    assert "tool_ended" in seen
    assert caught.value.result is not None and caught.value.result.outcome == "failed"
    with pytest.raises(motet.AuthenticationError):
        list(agent.stream("go"))


def test_leaving_the_loop_ends_the_run_and_its_tool(script: Script) -> None:
    begun, ended = threading.Event(), threading.Event()

    async def wait() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    agent = motet.Agent("a", model=script(calls(("wait", {})), "done"), tools=[wait])
    for event in agent.stream("go"):
        if event.kind == "tool_started":
            assert begun.wait(20)
            break
    assert ended.wait(20)
    stream = agent.stream("go")
    stream.close()
    assert list(stream) == []


def test_what_does_not_complete_raises_with_the_result_or_gives_it(script: Script) -> None:
    model = script(calls(("add", {"a": 1})))
    agent = motet.Agent("a", model=model, tools=[add], max_iterations=2)
    with pytest.raises(motet.LimitReachedError) as caught:
        agent.run("go")
    assert caught.value.result is not None and len(caught.value.result.tool_history) == 2
    result = agent.run("go", check=False)
    assert result.outcome == "limit_reached" and isinstance(result.error, motet.LimitReachedError)


@dataclasses.dataclass
class Boat:
    name: str
    length: float = dataclasses.field(metadata={"description": "Metres from bow to stern."})
    crew: list[str] = dataclasses.field(default_factory=list)


def test_a_value_is_of_the_type_that_was_given(script: Script) -> None:
    answer = {"json": {"name": "Lapwing", "length": 7, "crew": ["Ada"]}}
    agent = motet.Agent("a", model=script(answer), output=Boat)
    result = agent.run("Which boat?")
    assert result.value == Boat("Lapwing", 7.0, ["Ada"]) and isinstance(result.value.length, float)
    assert result.json == {"name": "Lapwing", "length": 7, "crew": ["Ada"]}


def test_a_value_by_a_schema_is_json_and_asked_for_again_where_it_does_not_fit(script: Script) -> None:
    schema = {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}
    agent = motet.Agent("a", model=script({"json": {"m": 1}}, {"json": {"n": 1}}), output=schema)
    result = agent.run("?")
    assert (result.value, result.model_calls) == ({"n": 1}, 2)
    never = motet.Agent("a", model=script({"json": {"m": 1}}), output=schema, max_repairs=0)
    with pytest.raises(motet.InvalidOutputError):
        never.run("?")


def test_a_value_is_a_pydantic_model(script: Script) -> None:
    pydantic = pytest.importorskip("pydantic", reason="pydantic is not installed")

    class Person(pydantic.BaseModel):  # type: ignore[name-defined,misc]
        name: str
        age: int = pydantic.Field(ge=0)
        friends: list["Person"] = []

        @pydantic.field_validator("name")
        @classmethod
        def capital(cls, name: str) -> str:
            if name != name.title():
                raise ValueError("names begin with a capital")
            return name

    good = {"json": {"name": "Ada", "age": 36, "friends": [{"name": "Tom", "age": 40}]}}
    result = motet.Agent("a", model=script({"json": {"name": "Ada", "age": -1}}, good), output=Person).run("?")
    assert result.model_calls == 2
    assert isinstance(result.value, Person) and result.value.friends[0].name == "Tom"
    bad = motet.Agent("a", model=script({"json": {"name": "ada", "age": 3}}), output=Person)
    with pytest.raises(motet.InvalidOutputError, match="capital") as caught:
        bad.run("?")
    assert caught.value.result is not None and caught.value.result.json == {"name": "ada", "age": 3}


def test_agents_are_tools_and_take_over(script: Script) -> None:
    critic = motet.Agent("critic", model=script("too long"), description="Finds what is wrong.")
    writer = motet.Agent("writer", model=script(calls(("critic", {"input": "A story"})), "shorter"), tools=[critic])
    result = writer.run("Write")
    assert (result.tool_history[0].result, result.text) == ("too long", "shorter")
    boss = motet.Agent("boss", model=script(calls(("transfer_to_critic", {}))), handoffs=[critic])
    assert boss.run("Judge").text == "too long"


def test_a_function_may_run_an_agent_as_part_of_the_run(script: Script) -> None:
    inner = motet.Agent("inner", model=script("inner says"))
    runs: list[str] = []

    def consult(question: str, context: motet.ToolContext) -> str:
        """Asks another agent."""
        result = inner.run(question)
        runs.extend([result.run_id, context.run_id])
        return result.text

    async def consult_async(question: str) -> str:
        return (await inner.run_async(question)).text

    model = script(calls(("consult", {"question": "?"}), ("consult_async", {"question": "?"})), "done")
    result = motet.Agent("outer", model=model, tools=[consult, consult_async]).run("go")
    assert [use.result for use in result.tool_history] == ["inner says", "inner says"]
    assert runs == [result.run_id, result.run_id]


def test_agents_that_run_each_other_come_to_an_end(script: Script) -> None:
    depth = 0

    def deeper() -> str:
        nonlocal depth
        depth += 1
        return agent.run("go").text

    agent = motet.Agent("deep", model=script(calls(("deeper", {}))), tools=[deeper], max_iterations=2)
    with pytest.raises(motet.LimitReachedError) as caught:
        agent.run("go")
    assert caught.value.result is not None
    assert "the tool `deeper` failed" in caught.value.result.tool_history[0].result
    # One call of two is made at each of eight depths, and one more is refused below.
    assert depth == 9


def test_the_interpreter_is_free_while_a_run_waits(script: Script) -> None:
    agent = motet.Agent("a", model=script({"text": "late", "delay_ms": 300}))
    counted = 0
    thread = threading.Thread(target=agent.run, args=("go",))
    thread.start()
    while thread.is_alive():
        counted += 1
        time.sleep(0.001)
    assert counted > 20


def test_runs_go_on_side_by_side(script: Script) -> None:
    barrier = threading.Barrier(4, timeout=20)

    def meet() -> str:
        barrier.wait()
        return "met"

    agent = motet.Agent("a", model=script(calls(*[("meet", {})] * 4), "done"), tools=[meet])
    assert [use.result for use in agent.run("go").tool_history] == ["met"] * 4


async def test_cancelling_the_task_ends_the_run_and_its_tool(script: Script) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    agent = motet.Agent("a", model=script(calls(("wait", {})), "done"), tools=[wait])
    task = asyncio.create_task(agent.run_async("go"))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(ended.wait(), 20)


@pytest.mark.parametrize(
    "tool",
    ["def wait():\n    print('begun', flush=True); time.sleep(60)", "async def wait():\n    print('begun', flush=True); await asyncio.sleep(60)"],
)
@pytest.mark.parametrize("call", ["agent.run('go')", "list(agent.stream('go'))", "asyncio.run(agent.run_async('go'))"])
def test_ctrl_c_ends_a_run_while_a_tool_works(script: Script, tool: str, call: str) -> None:
    model = script(calls(("wait", {})), "done")
    program = textwrap.dedent(
        """
        import asyncio, time, motet
        {tool}
        agent = motet.Agent("a", model={model!r}, tools=[wait])
        try:
            {call}
        except KeyboardInterrupt:
            print("interrupted")
        """
    ).replace("{tool}", tool).replace("{model!r}", repr(model)).replace("{call}", call)
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=20)
    assert (output, errors, process.returncode) == ("interrupted\n", "", 0)


def test_options_take_effect_and_unknown_ones_are_refused(script: Script) -> None:
    model = script("fine")
    requests: list[dict[str, Any]] = []
    watch = motet.Hook(lambda payload: requests.append(payload["request"]), "before_model_call")
    options: Any = {"temperature": 0.5, "max_tokens": 7, "stop": "END", "tool_choice": "add", "metadata": {"a": 1}}
    motet.Agent("a", model=model, tools=[add], hooks=[watch], **options).run("go")
    (request,) = requests
    assert request["sampling"]["temperature"] == 0.5 and request["max_tokens"] == 7
    assert request["stop"] == ["END"] and request["metadata"] == {"a": 1}
    assert request["tool_choice"] == {"tool": "add"}
    assert [tool["name"] for tool in request["tools"]] == ["add"]
    with pytest.raises(TypeError, match="there is no option `nothing`"):
        motet.Agent("a", model=model, nothing=1)  # type: ignore[call-overload]
    with pytest.raises(motet.InvalidWorkflowError, match="max_iterations"):
        motet.Agent("a", model=model, max_iterations="many")  # type: ignore[arg-type]
    with pytest.raises(motet.ConfigurationError, match="`max_iterations` is zero"):
        motet.Agent("a", model=model, max_iterations=0).run("go")
    slow = motet.Agent("a", model=script({"text": "late", "delay_ms": 60000}), timeout=0.05)
    with pytest.raises(motet.TimeoutError):
        slow.run("go")
    with pytest.raises(motet.TimeoutError):
        motet.Agent("a", model=script({"text": "late", "delay_ms": 60000})).run("go", timeout=0.05)


def test_an_agent_is_read_from_a_file_and_given_functions(script: Script, place: Path) -> None:
    model = script(calls(("add", {"a": 1})), {"json": {"name": "x", "length": 1}})
    (place / "agent.yaml").write_text(
        f"model: {model}\ninstructions: Add.\noutput: {{type: object}}\nlimits: {{max_iterations: 3}}\n"
    )
    agent = motet.Agent.from_file("agent.yaml", tools=[add], output=Boat)
    result = agent.run("go")
    assert agent.name == "agent" and result.value == Boat("x", 1.0)
    (place / "bad.yaml").write_text("modell: x\nlimits: {max_iteration: 3}\n")
    with pytest.raises(motet.InvalidWorkflowError) as caught:
        motet.Agent.from_file("bad.yaml")
    assert len(caught.value.problems) == 2 and caught.value.problems[0].line == 1
    with pytest.raises(motet.NotFoundError):
        motet.Agent.from_file("missing.yaml")


def test_programs_are_tools_as_in_files(script: Script) -> None:
    echo = {"command": {"name": "echo", "description": "Echoes.", "run": ["echo", "hi"], "effect": "pure"}}
    agent = motet.Agent("a", model=script(calls(("echo", {}), ("add", {"a": 1})), "done"), tools=[echo, add])
    assert [use.result.strip() for use in agent.run("go").tool_history] == ["hi", "3"]
