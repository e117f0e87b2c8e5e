"""Runs that are kept: decisions of people, resuming, and conversations."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from conftest import calls

import motet

Script = Any


@pytest.fixture
def client(place: Path) -> motet.Client:
    return motet.Client(store=f"sqlite:{place / 'runs.db'}")


PAID: list[int] = []


@motet.tool(needs_approval=True)
def pay(amount: int) -> str:
    """Pays."""
    PAID.append(amount)
    return f"paid {amount}"


@pytest.fixture(autouse=True)
def unpaid() -> None:
    PAID.clear()


def till(script: Script, client: motet.Client | None = None, **options: Any) -> motet.Agent[None]:
    turns = [{"when": {"turn": 0}, **calls(("pay", {"amount": 7}))}, {"when": {"turn": 1}, "text": "done"}]
    return motet.Agent("till", model=script(*turns), tools=[pay], client=client, **options)


def test_a_run_waits_is_decided_and_goes_on(script: Script, client: motet.Client) -> None:
    agent = till(script, client)
    parked = agent.run("Pay", keep=True, run_id="bill")
    assert (parked.outcome, parked.run_id, PAID) == ("waiting", "bill", [])
    (question,) = parked.questions
    assert (question.tool, question.arguments, question.reason) == ("pay", {"amount": 7}, "approval")
    assert [asked.step for asked in agent.questions("bill")] == [question.step]
    with pytest.raises(motet.ConflictError, match="waits for a decision"):
        agent.resume("bill")
    with pytest.raises(motet.InvalidRequestError, match="do not match the schema"):
        agent.decide("bill", motet.Approve({"amount": "much"}))
    decided = agent.decide("bill", motet.Approve({"amount": 5}), step=question.step)
    assert not decided.is_open and agent.questions()[0].is_open is False
    result = agent.resume("bill")
    assert (result.text, result.tool_history[0].result, PAID) == ("done", "paid 5", [5])
    assert agent.resume("bill").text == "done" and PAID == [5]


async def test_decisions_in_asyncio(script: Script, client: motet.Client) -> None:
    agent = till(script, client)
    parked = await agent.run_async("Pay", keep=True)
    (question,) = await client.questions(parked.run_id)
    await client.decide(parked.run_id, motet.Deny("too dear"), step=question.step)
    result = await agent.resume_async(parked.run_id)
    assert result.tool_history[0].result == "not run: a person did not allow this call: too dear"
    assert PAID == []
    other = await agent.run_async("Pay", keep=True)
    await agent.decide_async(other.run_id, motet.Answer({"paid": "by hand"}))
    assert (await agent.resume_async(other.run_id)).tool_history[0].result == '{"paid":"by hand"}'
    assert len(await agent.questions_async()) == 2


def test_somebody_may_decide_at_once(script: Script) -> None:
    asked: list[motet.Question] = []

    def rule(question: motet.Question) -> bool | None:
        asked.append(question)
        return None if question.arguments["amount"] > 5 else True

    async def agree(question: motet.Question) -> motet.Approve:
        return motet.Approve({"amount": 6})

    agent = till(script)
    assert agent.run("Pay", decide=rule).outcome == "waiting" and asked[0].tool == "pay"
    assert agent.run("Pay", decide=agree).tool_history[0].result == "paid 6"
    assert agent.run("Pay", decide=True).tool_history[0].result == "paid 7"
    assert agent.run("Pay", decide=False).tool_history[0].is_error
    with pytest.raises(TypeError, match="a decision is"):
        agent.run("Pay", decide="yes")  # type: ignore[arg-type]
    broken = agent.run("Pay", decide=lambda question: 3, check=False)  # type: ignore[arg-type,return-value]
    assert broken.outcome == "failed" and broken.error is not None and "a decision is" in str(broken.error)


def test_approvals_may_depend_on_arguments_or_on_the_agent(script: Script) -> None:
    def free(amount: int) -> str:
        return "free"

    model = script(calls(("free", {"amount": 3})), "done")

    def outcome(needs: Any, **options: Any) -> str:
        tool = motet.tool(needs_approval=needs)(free)
        return motet.Agent("a", model=model, tools=[tool], **options).run("go").outcome

    def broken(arguments: dict[str, Any]) -> bool:
        raise RuntimeError("broken")

    assert outcome(False) == "completed"
    assert outcome(lambda arguments: arguments["amount"] > 2) == "waiting"
    model = script(calls(("free", {"amount": 3})), "done")
    assert outcome(lambda arguments: arguments["amount"] > 5) == "completed"
    assert outcome(broken) == "waiting"
    model = script(calls(("free", {"amount": 3})), "done")
    assert outcome(False, approvals="always") == "waiting"
    model = script(calls(("free", {"amount": 3})), "done")
    assert outcome(True, approvals="never") == "completed"
    assert outcome(False, approvals=["free"]) == "waiting"


def test_an_agent_within_a_tool_that_waits_parks_the_run_around_it(script: Script, client: motet.Client) -> None:
    inner = till(script, client)

    @motet.tool(effect="idempotent")
    def delegate() -> str:
        """Has the bill paid."""
        return inner.run("Pay").tool_history[0].result

    turns = [{"when": {"turn": 0}, **calls(("delegate", {}))}, {"when": {"turn": 1}, "text": "all done"}]
    outer = motet.Agent("outer", model=script(*turns), tools=[delegate], client=client)
    parked = outer.run("go", keep=True)
    assert (parked.outcome, [question.tool for question in parked.questions]) == ("waiting", ["pay"])
    outer.decide(parked.run_id, True)
    result = outer.resume(parked.run_id)
    assert (result.tool_history[0].result, result.text, PAID) == ("paid 7", "all done", [7])


def test_a_run_is_resumed_with_the_same_functions_only(script: Script, client: motet.Client) -> None:
    agent = till(script, client)
    agent.run("Pay", keep=True, run_id="bill")
    agent.decide("bill", True)
    without = motet.Agent("till", model="offline:extract", client=client)
    with pytest.raises(motet.UnsupportedError, match="began with `tool pay` of a program"):
        without.resume("bill")
    assert agent.resume("bill").text == "done"
    with pytest.raises(motet.ConflictError):
        agent.run("Pay", keep=True, run_id="bill")
    with pytest.raises(motet.NotFoundError):
        agent.resume("nothing")


def test_a_killed_process_leaves_a_run_that_goes_on(script: Script, place: Path) -> None:
    turns = [
        {"when": {"turn": 0}, **calls(("first", {}))},
        {"when": {"turn": 1}, **calls(("second", {}))},
        {"when": {"turn": 2}, "text": "done"},
    ]
    program = textwrap.dedent(
        f"""
        import os, sys, motet
        def note(text):
            with open("notes", "a") as file: file.write(text)
        @motet.tool(effect="pure")
        def first() -> str:
            note("1"); return "one"
        @motet.tool(effect="idempotent")
        def second() -> str:
            note("2")
            if len(open("notes").read()) < 3: os._exit(9)
            return "two"
        client = motet.Client(store="sqlite:runs.db", worker__lease="1s")
        agent = motet.Agent("a", model={script(*turns)!r}, tools=[first, second], client=client)
        result = agent.resume("r") if "resume" in sys.argv else agent.run("go", keep=True, run_id="r")
        print(result.text, [use.result for use in result.tool_history])
        """
    )
    killed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert killed.returncode == 9
    done = subprocess.run([sys.executable, "-c", program, "resume"], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("done ['one', 'two']\n", "")
    assert (place / "notes").read_text() == "122"


def test_a_conversation_is_saved_opened_forked_and_taken_back(script: Script, client: motet.Client) -> None:
    agent = motet.Agent("guide", model=script("one", "two", "three"), instructions="Be brief.", client=client)
    talk = agent.conversation()
    assert talk.send("1").text == "one"
    talk.save("trip")
    assert [event.text for event in talk.stream("2") if event.text] and talk.head()["turns"] == 2
    other = agent.open_conversation("trip")
    assert [message["role"] for message in other.messages()] == ["user", "assistant"] * 2
    fork = other.fork("trip-2", keep=2)
    assert fork.send("3").text == "three"
    assert (fork.head()["id"], fork.head()["messages"], other.head()["messages"]) == ("trip-2", 4, 4)
    other.take_back(2)
    assert other.head()["messages"] == 2
    assert '"1"' in other.export() and "one" in other.export("markdown")
    with pytest.raises(ValueError, match="`format` must be"):
        other.export("html")
    with pytest.raises(motet.NotFoundError):
        agent.open_conversation("nowhere").messages()
    with pytest.raises(motet.ConflictError):
        agent.conversation().save("trip")


async def test_a_turn_that_waits_leaves_the_conversation_and_goes_on(script: Script) -> None:
    talk = till(script).conversation()
    parked = await talk.send_async("Pay")
    assert parked.outcome == "waiting" and (await talk.head_async())["turns"] == 0
    result = await talk.resume_async(decide=True)
    assert (result.text, PAID, result.run_id) == ("done", [7], parked.run_id)
    assert (await talk.head_async())["turns"] == 1
    with pytest.raises(motet.NotFoundError, match="no turn of the conversation waits"):
        await talk.resume_async(decide=True)
    copy = await talk.fork_async()
    assert len(await copy.messages_async()) == 4


def test_a_forked_child_runs_agents_of_its_own(script: Script) -> None:
    program = textwrap.dedent(
        f"""
        import os, motet
        async def later(): return "later"
        def now(): return "now"
        agent = motet.Agent("a", model={script(calls(("later", {}), ("now", {})), "done")!r}, tools=[later, now])
        def use(): return [use.result for use in agent.run("go").tool_history]
        before = use()
        child = os.fork()
        if child == 0:
            os._exit(0 if use() == before else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        print(use())
        """
    )
    command = [sys.executable, "-W", "ignore", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("['later', 'now']\n", "")
    assert os.getpid()
