"""Hooks and guardrails that are Python functions."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from conftest import calls

import motet

Script = Any

STAGES = [
    "before_run",
    "after_run",
    "before_iteration",
    "after_iteration",
    "before_model_call",
    "after_model_call",
    "before_tool",
    "after_tool",
    "before_guardrail",
    "after_guardrail",
    "validation",
]


def greet(name: str) -> str:
    """Greets."""
    return f"Hello {name}"


def test_hooks_see_every_stage_in_order(script: Script) -> None:
    seen: list[dict[str, Any]] = []
    watch = motet.hook(*STAGES)(seen.append)
    schema = {"type": "object", "required": ["n"]}
    model = script(calls(("greet", {"name": "Ada"})), {"json": {"m": 1}}, {"json": {"n": 1}})
    agent = motet.Agent(
        "a", model=model, tools=[greet], hooks=[watch], output=schema, guardrails=[{"length": {"max_chars": 999}}]
    )
    agent.run("go")
    stages = [payload["stage"] for payload in seen]
    assert set(stages) == set(STAGES)
    assert stages[0] == "before_run" and stages[-1] == "after_run"
    assert stages.index("before_tool") < stages.index("after_tool")
    by_stage = {payload["stage"]: payload for payload in reversed(seen)}
    assert by_stage["before_tool"]["arguments"] == {"name": "Ada"}
    assert by_stage["after_tool"]["output"]["content"][0]["text"] == "Hello Ada"
    assert by_stage["after_run"]["result"]["value"] == {"n": 1}
    assert by_stage["validation"]["attempt"] == 1


@motet.hook("retry")
def stop_retries(payload: dict[str, Any]) -> motet.Stop:
    return motet.Stop(f"attempt {payload['attempt']}")


def test_a_hook_sees_retries_and_may_stop_them(script: Script) -> None:
    model = script({"error": {"kind": "rate_limit", "message": "busy", "retry_after": 1}})
    agent = motet.Agent("a", model=model, hooks=[stop_retries])
    with pytest.raises(motet.BlockedError, match="stop_retries.*attempt 2"):
        agent.run("go")


def test_hooks_change_what_happens(script: Script) -> None:
    @motet.hook("before_tool")
    def polite(payload: dict[str, Any]) -> dict[str, Any]:
        return {"arguments": {"name": f"Dr {payload['arguments']['name']}"}}

    @motet.hook("after_tool")
    async def louder(payload: dict[str, Any]) -> dict[str, Any]:
        payload["output"]["content"][0]["text"] += "!"
        return payload

    @motet.hook("after_run")
    def shout(payload: dict[str, Any]) -> dict[str, Any]:
        payload["result"]["text"] = payload["result"]["text"].upper()
        return payload

    @motet.hook("before_tool")
    def forgets_to_return(payload: dict[str, Any]) -> None:
        payload["arguments"]["name"] = "nobody"

    model = script(calls(("greet", {"name": "Ada"})), "done")
    agent = motet.Agent("a", model=model, tools=[greet], hooks=[polite, louder, shout, forgets_to_return])
    result = agent.run("go")
    assert (result.tool_history[0].result, result.text) == ("Hello Dr Ada!", "DONE")


async def test_async_hooks_run_in_the_loop_of_the_run(script: Script) -> None:
    loops = []

    @motet.hook("before_run")
    async def where(payload: dict[str, Any]) -> None:
        loops.append(asyncio.get_running_loop())

    await motet.Agent("a", model=script("done"), hooks=[where]).run_async("go")
    assert loops == [asyncio.get_running_loop()]


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("raises", [False, True])
def test_hooks_stop_the_run(script: Script, is_async: bool, raises: bool) -> None:
    def stop(payload: dict[str, Any]) -> motet.Stop:
        if raises:
            raise motet.Stop("not at night")
        return motet.Stop("not at night")

    async def stop_async(payload: dict[str, Any]) -> motet.Stop:
        return stop(payload)

    hook = motet.Hook(stop_async if is_async else stop, "before_model_call", name="hours")
    with pytest.raises(motet.BlockedError, match="the hook `hours` stopped the run: not at night") as caught:
        motet.Agent("a", model=script("done"), hooks=[hook]).run("go")
    assert caught.value.result is not None and caught.value.result.outcome == "blocked"


def broken(payload: dict[str, Any]) -> dict[str, Any]:
    raise RuntimeError("broken")


def test_the_failure_of_a_hook_means_what_was_said(script: Script) -> None:
    def run(**options: Any) -> list[motet.AgentEvent[None]]:
        hook = motet.Hook(broken, "after_run", **options)
        return list(motet.Agent("a", model=script("fine"), hooks=[hook]).stream("go"))

    skipped = run()
    assert skipped[-1].result is not None and skipped[-1].result.text == "fine"
    with pytest.raises(motet.ToolFailedError, match="broken"):
        run(on_error="abort")
    text = run(on_error="fallback", fallback="instead")[-1].result
    assert text is not None and text.text == "instead"

    def mend(payload: dict[str, Any]) -> dict[str, Any]:
        payload["result"]["text"] = "mended"
        return payload

    mended = run(on_error="fallback", fallback=mend)[-1].result
    assert mended is not None and mended.text == "mended"
    with pytest.raises(motet.ConfigurationError, match="fallback"):
        motet.Hook(broken, "after_run", on_error="fallback")


@pytest.mark.parametrize(
    "function",
    [lambda payload: 3, lambda payload: {"messages": 3}, lambda payload: {"messages": [object()]}, lambda: None],
    ids=["number", "no messages", "no JSON", "no parameter"],
)
def test_bad_answers_of_a_hook_are_its_failure(script: Script, function: Any) -> None:
    agent = motet.Agent("a", model=script("fine"), hooks=[motet.Hook(function, "before_run", name="bad")])
    assert agent.run("go").text == "fine"
    strict = motet.Hook(function, "before_run", name="bad", on_error="abort")
    with pytest.raises(motet.ToolFailedError):
        motet.Agent("a", model=script("fine"), hooks=[strict]).run("go")


def test_a_hook_that_takes_too_long_fails(script: Script) -> None:
    free = threading.Event()
    slow = motet.Hook(lambda payload: free.wait(20), "before_run", name="slow", on_error="abort", timeout=0.05)
    with pytest.raises(motet.InternalError, match="it took longer than 50ms"):
        motet.Agent("a", model=script("fine"), hooks=[slow]).run("go")
    free.set()


def test_named_hooks_and_functions_keep_their_order(script: Script) -> None:
    @motet.hook("after_run")
    def add_mail(payload: dict[str, Any]) -> dict[str, Any]:
        payload["result"]["text"] += " ada@example.org"
        return payload

    redact = {"name": "remove_emails", "stages": ["after_run"], "options": {"replacement": "X"}}
    for hooks, text in [([add_mail, redact], "fine X"), ([redact, add_mail], "fine ada@example.org"), ([redact], "fine")]:
        assert motet.Agent("a", model=script("fine"), hooks=hooks).run("go").text == text  # type: ignore[arg-type]


def test_files_name_registered_hooks_and_guardrails(script: Script, place: Path) -> None:
    def mark(payload: dict[str, Any], sign: str = "!") -> dict[str, Any]:
        payload["result"]["text"] += sign
        return payload

    def no_secrets(text: str, place: str) -> motet.Finding | None:
        return motet.Redact(text.index("secret"), text.index("secret") + 6) if "secret" in text else None

    write = f"model: {script('a secret')}\nhooks:\n  - {{name: mark, stages: [after_run], options: {{OPTIONS}}}}\n"
    write += "guardrails:\n  - custom: {name: house}\n"
    (place / "agent.yaml").write_text(write.replace("OPTIONS", "sign: '?'"))
    (place / "wrong.yaml").write_text(write.replace("OPTIONS", "colour: red"))
    with pytest.raises(motet.ConfigurationError, match="no hook is registered as `mark`"):
        motet.Agent.from_file("agent.yaml")
    motet.register_hook("mark", lambda payload, needed: None)
    with pytest.raises(motet.ConfigurationError, match="the options do not fit: `needed` is missing"):
        motet.Agent.from_file("agent.yaml")
    motet.register_hook("mark", mark)
    motet.register_guardrail("house", no_secrets)
    assert motet.Agent.from_file("agent.yaml").run("go").text == "a [REDACTED]?"
    with motet.Client(store="memory:") as client:
        assert motet.Agent.from_file("agent.yaml", client=client).run("go").text == "a [REDACTED]?"
    with pytest.raises(motet.ConfigurationError, match="the options do not fit: there is no `colour`"):
        motet.Agent.from_file("wrong.yaml")


def test_guardrails_redact_block_and_ask_again(script: Script) -> None:
    @motet.guardrail("input", "output", "tool_result")
    def stars(text: str, place: str) -> list[motet.Finding]:
        return [motet.Redact(at, at + 1, "*") for at, letter in enumerate(text) if letter == "é"]

    @motet.guardrail()
    async def polite(text: str, place: str) -> motet.Finding | None:
        return motet.AskAgain("it is impolite") if "damn" in text else None

    @motet.guardrail("input")
    def closed(text: str, place: str) -> motet.Block | None:
        return motet.Block("we are closed") if text == "now" else None

    model = script("damn", "café né")
    agent = motet.Agent("a", model=model, guardrails=[stars, polite, closed])
    events = list(agent.stream("à l'été"))
    result = events[-1].result
    assert result is not None and (result.text, result.model_calls) == ("caf* n*", 2)
    assert {event.data["action"] for event in events if event.kind == "guardrail_hit"} == {"redact", "ask_again"}
    assert result.messages[0]["parts"][0]["text"] == "à l'*t*"
    with pytest.raises(motet.BlockedError, match="closed"):
        agent.run("now")


def test_a_guardrail_that_fails_blocks_unless_it_is_open(script: Script) -> None:
    def fails(text: str, place: str) -> Any:
        raise RuntimeError("broken")

    with pytest.raises(motet.BlockedError):
        motet.Agent("a", model=script("fine"), guardrails=[motet.Guardrail(fails)]).run("go")
    opened = motet.Guardrail(fails, on_failure="open")
    assert motet.Agent("a", model=script("fine"), guardrails=[opened]).run("go").text == "fine"
    wrong = motet.Guardrail(lambda text, place: "no finding")
    with pytest.raises(motet.BlockedError):
        motet.Agent("a", model=script("fine"), guardrails=[wrong]).run("go")
    outside = motet.Guardrail(lambda text, place: motet.Redact(2, 99))
    with pytest.raises(motet.BlockedError):
        motet.Agent("a", model=script("fine"), guardrails=[outside]).run("go")
