"""Calls of a model: what is sent, and what comes back."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest
from conftest import USAGE, Provider

import motet

LETTER = "Who signed?\n\nAda Brook signed on 3 May 2026."


async def test_an_answer_has_its_text_usage_cost_and_ids(provider: Provider) -> None:
    response = await motet.complete("Say hi", model="custom:say:hi there", base_url=provider.base_url)
    assert (response.text, response.finish_reason, response.raw_finish_reason) == ("hi there", "stop", "stop")
    assert (response.model, response.provider, response.served_model) == ("custom:say:hi there", "custom", "served-1")
    assert (response.response_id, response.request_id) == ("chat_1", "req_1")
    assert (response.reasoning, response.refusal, response.tool_calls) == (None, None, [])
    assert response.json is None
    usage = response.usage
    assert usage is not None
    assert (usage.input, usage.output, usage.total) == (12, 5, USAGE["total_tokens"])
    assert (usage.cached_input, usage.reasoning, usage.cache_write) == (4, 2, 0)
    # Nobody knows the price of a model of one's own.
    assert (response.cost, response.cost_nanos) == (None, None)
    assert response.message == {"role": "assistant", "parts": [{"type": "text", "text": "hi there"}]}


async def test_a_known_price_gives_a_cost(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    response = await motet.complete("Hi", model="openai:gpt-4o-mini", base_url=provider.base_url)
    assert response.cost_nanos == 8 * 150 + 4 * 75 + 5 * 600
    assert response.cost == pytest.approx(response.cost_nanos / 1e9)


def test_the_blocking_call_gives_the_same(provider: Provider) -> None:
    options: Any = {"model": "custom:say:hi", "base_url": provider.base_url}
    plain = motet.complete_sync("Hi", **options)
    assert plain == asyncio.run(motet.complete("Hi", **options))
    assert plain != motet.complete_sync("Hi", **(options | {"model": "custom:say:ho"}))


def test_every_option_is_sent(provider: Provider) -> None:
    tool = {"name": "add", "description": "Adds.", "parameters": {"type": "object", "properties": {}}}
    motet.complete_sync(
        "Hi",
        model="custom:say:hi",
        base_url=provider.base_url,
        system="Be short.",
        tools=[tool],
        tool_choice="required",
        parallel_tool_calls=False,
        temperature=0.5,
        top_p=0.9,
        seed=7,
        frequency_penalty=0.1,
        presence_penalty=0.2,
        max_tokens=50,
        stop="END",
        extra={"user": "u1", "big": 2**63},
    )
    sent = provider.requests[0]
    assert sent["messages"] == [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Hi"}]
    assert sent["tools"][0]["function"]["name"] == "add"
    assert (sent["tool_choice"], sent["parallel_tool_calls"]) == ("required", False)
    assert (sent["temperature"], sent["top_p"], sent["seed"]) == (0.5, 0.9, 7)
    assert (sent["frequency_penalty"], sent["presence_penalty"]) == (0.1, 0.2)
    assert 50 in (sent.get("max_tokens"), sent.get("max_completion_tokens"))
    assert (sent["stop"], sent["user"], sent["big"]) == (["END"], "u1", 2**63)


def test_a_conversation_goes_on_with_the_answer_before(provider: Provider) -> None:
    options: Any = {"base_url": provider.base_url}
    first = motet.complete_sync("My name is Ada.", model="custom:tools", **options)
    conversation = [
        {"role": "user", "content": "My name is Ada."},
        first.message,
        {"role": "tool", "tool_call_id": "c1", "content": "3"},
        {"role": "tool", "tool_call_id": "c2", "content": "not JSON"},
        {"role": "user", "content": [{"type": "text", "text": "And?"}]},
    ]
    assert motet.complete_sync(conversation, model="custom:say:Ada", **options).text == "Ada"
    roles = [message["role"] for message in provider.requests[1]["messages"]]
    assert roles == ["user", "assistant", "tool", "tool", "user"]
    assert provider.requests[1]["messages"][1]["tool_calls"][0]["function"]["name"] == "add"


@pytest.mark.parametrize("stream", [False, True])
def test_tool_calls_have_their_arguments_read_or_raw(provider: Provider, stream: bool) -> None:
    options: Any = {"model": "custom:tools", "base_url": provider.base_url}
    if stream:
        *_, last = motet.stream_complete_sync("Add", **options)
        response = last.response
    else:
        response = motet.complete_sync("Add", **options)
    assert response is not None
    good, bad = response.tool_calls
    assert (good.id, good.name, good.arguments) == ("c1", "add", {"a": 1, "b": [2]})
    assert (bad.arguments, bad.arguments_raw) == (None, '{"a": ')
    assert response.finish_reason == "tool_calls"


SCHEMA = {
    "type": "object",
    "required": ["people", "count"],
    "properties": {"people": {"type": "array", "items": {"type": "string"}}, "count": {"type": "integer"}},
}


async def test_a_schema_gives_a_checked_value_of_native_objects(provider: Provider) -> None:
    options: Any = {"base_url": provider.base_url, "schema": SCHEMA}
    value = {"people": ["Ada", "Björn"], "count": 2, "deep": [None, True, 1.5, {"a": []}]}
    model = f"custom:say:{json.dumps(value)}"
    response = await motet.complete("Extract", model=model, **options)
    assert response.json == value
    assert [type(item) for item in response.json["deep"]] == [type(None), bool, float, dict]
    assert provider.requests[0]["response_format"]["type"] == "json_schema"
    *_, last = [chunk async for chunk in motet.stream_complete("Extract", model=model, **options)]
    assert last.response is not None and last.response.json == value


def test_an_answer_that_never_fits_its_schema_is_an_error(provider: Provider) -> None:
    with pytest.raises(motet.InvalidOutputError, match="count"):
        motet.complete_sync("?", model='custom:say:{"people": []}', base_url=provider.base_url, schema=SCHEMA)
    assert len(provider.requests) == 3, "two repair turns follow the first answer"


def test_models_of_the_current_directory_are_found(place: Path) -> None:
    (place / "script.json").write_text('{"answers": [{"text": "one"}, {"text": "two"}], "on_exhausted": "cycle"}')
    assert [motet.complete_sync("?", model="scripted:script.json").text for _ in range(2)] == ["one", "two"]
    other = place / "other"
    other.mkdir()
    (other / "script.json").write_text('{"answers": [{"text": "elsewhere"}]}')
    os.chdir(other)
    assert motet.complete_sync("?", model="scripted:script.json").text == "elsewhere"


def test_settings_follow_the_environment_and_reset_reads_files_anew(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(motet.ConfigurationError, match="no model") as caught:
        motet.complete_sync(LETTER)
    assert "offline:extract" in (caught.value.hint or "")
    monkeypatch.setenv("MOTET_MODEL", "offline:extract")
    assert "Ada Brook" in motet.complete_sync(LETTER).text
    monkeypatch.delenv("MOTET_MODEL")
    (place / "motet.toml").write_text('model = "offline:extract"')
    with pytest.raises(motet.ConfigurationError, match="no model"):
        motet.complete_sync(LETTER)
    motet.reset()
    assert "Ada Brook" in motet.complete_sync(LETTER).text


@pytest.mark.parametrize(
    ("prompt", "options", "error", "reason"),
    [
        (" ", {}, motet.InvalidRequestError, "there is no prompt"),
        (3, {}, TypeError, "a text or a list of messages, not int"),
        ([{"role": "user"}], {}, motet.InvalidRequestError, "message 1 cannot be read: it has no `content`"),
        ([{"role": "user", "content": {1}}], {}, TypeError, r"messages\[0\].content` is of type set"),
        ("x", {"temprature": 1}, TypeError, "no option `temprature`"),
        ("x", {"temprature": None}, TypeError, "no option `temprature`"),
        ("x", {"temperature": "hot"}, TypeError, "`temperature` must be a number, not str"),
        ("x", {"temperature": float("nan")}, ValueError, "`temperature` must be a finite number"),
        ("x", {"max_tokens": -1}, ValueError, "`max_tokens` must be from 0 to 4294967295, not -1"),
        ("x", {"timeout": 0}, ValueError, "`timeout` must be seconds above 0"),
        ("x", {"reasoning_effort": "huge"}, ValueError, "none, minimal, low"),
        ("x", {"schema": []}, TypeError, "`schema` must be a dict, not list"),
        ("x", {"tools": [{"description": "?"}]}, motet.InvalidRequestError, "tool 1 cannot be read: missing field `name`"),
        ("x", {"extra": {"n": 2**64}}, ValueError, "`extra.n` does not fit into 64 bits"),
        ("x", {"extra": {"n": float("inf")}}, ValueError, "`extra.n` is not a finite number"),
        ("x", {"extra": {1: 2}}, TypeError, "`extra` has a key of type int"),
        ("x", {"model": "nonsense"}, motet.ConfigurationError, "`nonsense` is not a model id"),
        ("x", {"model": "nobody:x"}, motet.ConfigurationError, "no provider `nobody`"),
    ],
)
def test_a_wrong_argument_says_what_is_wrong(
    prompt: Any, options: Any, error: type[Exception], reason: str
) -> None:
    with pytest.raises(error, match=reason):
        motet.complete_sync(prompt, **({"model": "offline:extract"} | options))


def test_a_dictionary_that_holds_itself_is_refused() -> None:
    endless: dict[str, Any] = {}
    endless["again"] = endless
    with pytest.raises(ValueError, match="nested more than 128 deep"):
        motet.complete_sync("x", model="offline:extract", metadata=endless)
