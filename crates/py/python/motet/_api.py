"""Calls of a model by functions; they follow the current directory and environment.

Everything is done by the native half; this is where it gets signatures and documentation.
"""

from __future__ import annotations

from motet._motet import Engine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator
    from typing import Unpack

    from motet._motet import Response, Stream, StreamingChunk
    from motet._options import CompletionOptions, Prompt

_engine = Engine(None)


async def complete(prompt: Prompt, **options: Unpack[CompletionOptions]) -> Response:
    """Asks a model and gives its whole answer.

    `prompt` is a text or a list of messages. Options, all by keyword: `model`, `system`, `schema`, `tools`, `tool_choice`,
    `parallel_tool_calls`, `temperature`, `top_p`, `top_k`, `seed`, `frequency_penalty`, `presence_penalty`, `max_tokens`,
    `stop`, `reasoning_effort`, `base_url`, `timeout`, `metadata`, `extra`; see `CompletionOptions`.

    Cancelling the task that awaits it ends the call at once. Raises a subclass of `motet.Error`.
    """
    return await _engine.complete(prompt, options)


def complete_sync(prompt: Prompt, **options: Unpack[CompletionOptions]) -> Response:
    """Asks a model and waits for its whole answer, as `complete` does; Ctrl-C ends the call at once."""
    return _engine.complete_sync(prompt, options)


def stream_complete(
    prompt: Prompt, **options: Unpack[CompletionOptions]
) -> AsyncGenerator[StreamingChunk, None]:
    """Asks a model and gives its answer as it comes; the last chunk has `done` and the whole `response`.

    Takes what `complete` takes. Leaving the loop ends the call.
    """
    return chunks(_engine.stream(prompt, options))


def stream_complete_sync(
    prompt: Prompt, **options: Unpack[CompletionOptions]
) -> Generator[StreamingChunk, None, None]:
    """Asks a model and gives its answer as it comes, as `stream_complete` does, with a plain iterator."""
    return chunks_sync(_engine.stream(prompt, options))


def engine() -> Engine:
    """Gives the engine of the functions, which agents without a client use too."""
    return _engine


def reset() -> None:
    """Forgets settings and connections, so that the next call of a function reads them anew. Clients keep theirs."""
    global _engine
    _engine = Engine(None)


async def chunks(stream: Stream) -> AsyncGenerator[StreamingChunk, None]:
    """Gives the chunks of a stream one by one, waiting once for each batch."""
    try:
        while batch := await stream.next():
            for chunk in batch:
                yield chunk
    finally:
        stream.close()


def chunks_sync(stream: Stream) -> Generator[StreamingChunk, None, None]:
    """Gives the chunks of a stream one by one."""
    try:
        while batch := stream.next_sync():
            yield from batch
    finally:
        stream.close()
