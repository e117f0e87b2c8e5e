"""Streams: the same answer as a plain call, piece by piece."""

import asyncio
import gc
import json
from pathlib import Path
from typing import Any

import pytest
from conftest import Provider

import motet
from motet import _motet


async def collect(prompt: str, **options: Any) -> list[motet.StreamingChunk]:
    return [chunk async for chunk in motet.stream_complete(prompt, **options)]


@pytest.mark.parametrize("model", ["custom:pieces:500", "custom:say:hi", "custom:tools", "offline:extract"])
async def test_a_stream_is_the_plain_answer_in_pieces(provider: Provider, model: str) -> None:
    options: Any = {"model": model}
    if model.startswith("custom"):
        options["base_url"] = provider.base_url
    plain = await motet.complete("Who signed? Ada signed.", **options)
    chunks = await collect("Who signed? Ada signed.", **options)
    assert "".join(chunk.content for chunk in chunks) == plain.text
    assert [chunk.done for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert chunks[-1].response == plain
    assert all(chunk.response is None for chunk in chunks[:-1])
    blocking = list(motet.stream_complete_sync("Who signed? Ada signed.", **options))
    assert [chunk.content for chunk in blocking] == [chunk.content for chunk in chunks]
    assert blocking[-1].response == plain


async def test_every_piece_is_a_chunk(provider: Provider) -> None:
    chunks = await collect("?", model="custom:pieces:500", base_url=provider.base_url)
    assert [chunk.content for chunk in chunks] == [f"word{number} " for number in range(500)] + [""]


async def test_all_that_is_ready_comes_with_one_awakening(place: Path) -> None:
    text = "a word " * 200
    (place / "script.json").write_text(json.dumps({"answers": [{"text": text}]}))
    stream = _motet.Engine(None).stream("?", {"model": "scripted:script.json"})
    batch = await stream.next()
    assert len(batch) > 300 and batch[-1].done
    assert "".join(chunk.content for chunk in batch) == text
    assert await stream.next() == []


async def test_a_stream_that_breaks_off_gives_what_came_and_then_the_error(provider: Provider) -> None:
    seen = []
    with pytest.raises(motet.TruncatedError):
        async for chunk in motet.stream_complete("?", model="custom:cut", base_url=provider.base_url):
            seen.append(chunk.content)
    assert seen == ["only ", "half "]


async def test_an_error_before_the_first_piece_is_raised(provider: Provider) -> None:
    with pytest.raises(motet.AuthenticationError):
        await collect("?", model="custom:status:401", base_url=provider.base_url)


def test_a_wrong_argument_is_raised_before_the_loop() -> None:
    with pytest.raises(TypeError, match="no option `modle`"):
        motet.stream_complete("?", modle="offline:extract")  # type: ignore[call-arg]


async def test_leaving_the_loop_ends_the_call(provider: Provider) -> None:
    chunks = motet.stream_complete("?", model="custom:pieces:5000", base_url=provider.base_url)
    async for chunk in chunks:
        assert chunk.content == "word0 "
        break
    await chunks.aclose()
    with pytest.raises(StopAsyncIteration):
        await anext(chunks)


async def test_many_streams_at_once_keep_their_own_pieces(provider: Provider) -> None:
    models = [f"custom:pieces:{count}" for count in range(1, 31)]
    streams = await asyncio.gather(*(collect("?", model=model, base_url=provider.base_url) for model in models))
    assert [len(chunks) for chunks in streams] == [count + 1 for count in range(1, 31)]


async def test_a_stream_that_is_never_read_sends_nothing(provider: Provider) -> None:
    unread = motet.stream_complete("?", model="custom:say:hi", base_url=provider.base_url)
    del unread
    gc.collect()
    assert provider.requests == []
