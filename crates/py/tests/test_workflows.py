"""Workflows through `motet.Client`: running, failing, checking, resuming, listing."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from conftest import Provider

import motet

LETTER = """
name: letter
model: offline:extract
inputs:
  letter: The contract ends on 30 June 2026. Ada Brook signed it.
tasks:
  - id: facts
    method: llm/chat
    params:
      prompt: "Extract people.\\n\\n${inputs.letter}"
      schema:
        type: object
        required: [people]
        properties:
          people: {type: array, items: {type: string}}
  - id: count
    method: python/execute
    params:
      context: {facts: "${facts.json}"}
      code: |
        result = {"people": len(context["facts"]["people"]), "exact": 2**53}
outputs:
  people: ${count.result.people}
"""


def chat(name: str, prompt: str, **more: Any) -> dict[str, Any]:
    return {"id": name, "method": "llm/chat", "params": {"prompt": prompt} | more}


def flow(*tasks: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": "flow", "tasks": list(tasks)} | more


def scripted(place: Path, *answers: dict[str, Any]) -> str:
    (place / "script.json").write_text(json.dumps({"answers": answers}))
    return "scripted:script.json"


@pytest.fixture
def client() -> motet.Client:
    return motet.Client(store="memory:", model="offline:extract")


async def test_a_file_runs_and_gives_the_results_of_its_tasks(place: Path) -> None:
    (place / "letter.yaml").write_text(LETTER)
    async with motet.Client(store="memory:") as client:
        results = await client.run_workflow("letter.yaml")
        other = await client.run_workflow(place / "letter.yaml", inputs={"letter": "Nobody signed."})
    assert list(results) == ["facts", "count"]
    assert results["facts"].result["json"] == {"people": ["Ada Brook"]}
    assert (results["count"].status, results["count"].error, results["count"].attempts) == ("done", None, 1)
    assert results["count"].result["result"] == {"people": 1, "exact": 2**53}
    assert (results.state, results.name, results.outputs) == ("completed", "letter", {"people": 1})
    assert (results.model_calls, results.cost, results.cost_nanos, results.failures) == (1, 0.0, 0, [])
    assert results.usage.total > 0 and results.seconds > 0
    assert other.outputs == {"people": 0} and other.run_id != results.run_id


def test_a_dictionary_runs_like_a_file(client: motet.Client) -> None:
    ask = chat("ask", "Who signed?\n\n${inputs.text}")
    show = {"id": "show", "method": "python/execute", "params": {"code": "result = context['a']", "context": {"a": "${ask.response}"}}}
    results = client.run_workflow_sync(flow(ask, show, inputs={"text": None}), inputs={"text": "Ada Brook signed."})
    assert results["ask"].result["response"] == "Ada Brook signed."
    assert results["show"].result["result"] == "Ada Brook signed."


def test_the_model_of_the_call_stands_in_for_the_default(place: Path, client: motet.Client) -> None:
    model = scripted(place, {"text": "from the script"})
    assert client.run_workflow_sync(flow(chat("a", "?")), model=model)["a"].result["response"] == "from the script"


async def test_a_failing_run_raises_with_all_that_is_known(place: Path) -> None:
    model = scripted(place, {"text": "fine"}, {"error": {"kind": "authentication", "message": "no such key"}})
    client = motet.Client(store="memory:", model=model)
    tasks = [chat("good", "?"), chat("bad", "? ${good.response}"), chat("after", "${bad.response}")]
    with pytest.raises(motet.WorkflowFailedError, match="workflow `flow` ended failed; task `bad`: .*no such key") as caught:
        await client.run_workflow(flow(*tasks))
    error = caught.value
    assert error.results["good"].result["response"] == "fine"
    assert [task.name for task in error.failures] == ["bad"]
    assert isinstance(error.failures[0].error, motet.AuthenticationError)
    assert error.results["bad"].status == "failed" and error.results["after"].status != "done"
    assert error.run_id in (error.hint or "")
    assert (await client.get_workflow_status(error.run_id)) is not None


async def test_a_run_that_failed_goes_on_without_asking_again(place: Path) -> None:
    failing = {"error": {"kind": "authentication", "message": "no such key"}}
    model = scripted(place, {"text": "one"}, failing, {"text": "two"})
    store = f"sqlite:{place / 'runs.db'}"
    first = motet.Client(store=store, model=model)
    with pytest.raises(motet.WorkflowFailedError) as caught:
        await first.run_workflow(flow(chat("a", "?"), chat("b", "${a.response}")))
    results = await first.resume_workflow(caught.value.run_id)
    assert [results["a"].result["response"], results["b"].result["response"]] == ["one", "two"]
    with pytest.raises(motet.ConflictError, match="completed"):
        await first.resume_workflow(caught.value.run_id)


async def test_a_cancelled_run_goes_on_where_it_stopped(place: Path, provider: Provider) -> None:
    client = motet.Client(store="memory:", model="custom:silent-once:done", base_url=provider.base_url)
    task = asyncio.create_task(client.run_workflow(flow(chat("a", "?"))))
    assert await asyncio.to_thread(provider.asked.wait, 20)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(provider.hung_up.wait, 20)
    (run,) = await client.list_workflows()
    assert run.state == "running"
    assert (await client.resume_workflow(run.id))["a"].result["response"] == "done"
    assert len(provider.requests) == 2


async def test_all_problems_are_told_before_anything_runs(place: Path, client: motet.Client) -> None:
    (place / "bad.yaml").write_text("name: bad\ntasks:\n  - id: a\n    method: llm/chta\n    parms: {}\n")
    problems = await client.check_workflow("bad.yaml")
    assert len(problems) >= 2 and problems == client.check_workflow_sync("bad.yaml")
    method = next(problem for problem in problems if "llm/chta" in problem.message)
    assert (method.line, method.path) == (4, None) and "llm/chat" in (method.hint or "")
    assert str(method).startswith("4:")
    (problem,) = await client.check_workflow(flow({"id": "a", "method": "llm/chta"}))
    assert (problem.line, problem.column, problem.path) == (None, None, "tasks[0].method")
    assert await client.check_workflow(flow(chat("a", "?"))) == []
    with pytest.raises(motet.InvalidWorkflowError) as caught:
        await client.run_workflow("bad.yaml")
    assert caught.value.problems == problems and isinstance(caught.value, ValueError)
    assert await client.list_workflows() == []


def test_what_is_no_workflow_is_refused(place: Path, client: motet.Client) -> None:
    with pytest.raises(motet.NotFoundError, match="missing.yaml"):
        client.run_workflow_sync("missing.yaml")
    with pytest.raises(TypeError, match="the path of a file or a dict, not list"):
        client.run_workflow_sync([])  # type: ignore[arg-type]
    with pytest.raises(motet.InvalidRequestError, match="no input `x`"):
        client.run_workflow_sync(flow(chat("a", "?")), inputs={"x": 1})
    with pytest.raises(motet.InvalidRequestError, match="not a run id"):
        client.resume_workflow_sync("no such run!")
    with pytest.raises(motet.NotFoundError, match="no run"):
        client.resume_workflow_sync("0000")


async def test_runs_are_listed_newest_first(client: motet.Client) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    ran = [await client.run_workflow(flow(chat("a", "?"), name=f"flow{number}")) for number in range(3)]
    runs = await client.list_workflows()
    assert [run.id for run in runs] == [run.run_id for run in reversed(ran)]
    assert [run.name for run in client.list_workflows_sync(limit=1)] == ["flow2"]
    newest = runs[0]
    assert (newest.state, newest.kind, newest.tasks, newest.done, newest.failed) == ("completed", "workflow", 1, 1, 0)
    assert newest.created_at.tzinfo is UTC and newest.created_at >= before
    assert newest.ended_at is not None and newest.ended_at >= newest.created_at
    status = await client.get_workflow_status(newest.id)
    assert status is not None and status["a"].result == ran[-1]["a"].result
    assert await client.get_workflow_status("0000") is None
