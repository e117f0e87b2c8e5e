"""Conversations with an agent: turns one after the other, each kept as a whole or not at all."""

from __future__ import annotations

from typing import Generic, TypeVar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from motet import _motet
    from motet._agent import Agent, EventStream
    from motet._decision import _Decide, _Decision
    from motet._motet import AgentResult
    from motet._options import ConversationHead, Prompt

T = TypeVar("T")


class Conversation(Generic[T]):
    """A conversation with an agent, made by `Agent.conversation` and `Agent.open_conversation`.

    A turn that does not complete leaves it as it was. Methods that wait have a twin whose name ends in `_async`.
    """

    def __init__(self, agent: Agent[T], native: _motet.Conversation) -> None:
        self._agent = agent
        self._native = native

    def send(
        self,
        prompt: Prompt,
        *,
        timeout: float | None = None,
        decide: _Decide | _Decision | None = None,
        check: bool = True,
    ) -> AgentResult[T]:
        """Says something and waits for the answer; options are those of `Agent.run`."""
        return self._native.send(self._agent._engine, prompt, _options(timeout, decide, check), blocking=True)

    async def send_async(
        self,
        prompt: Prompt,
        *,
        timeout: float | None = None,
        decide: _Decide | _Decision | None = None,
        check: bool = True,
    ) -> AgentResult[T]:
        """Says something and gives the answer."""
        return await self._native.send(
            self._agent._engine, prompt, _options(timeout, decide, check), blocking=False
        )

    def stream(
        self,
        prompt: Prompt,
        *,
        timeout: float | None = None,
        decide: _Decide | _Decision | None = None,
        check: bool = True,
    ) -> EventStream[T]:
        """Says something and gives what happens as it happens, to `for` or `async for`."""
        from motet._agent import EventStream

        return EventStream(self._native.stream(self._agent._engine, prompt, _options(timeout, decide, check)))

    def resume(
        self, *, timeout: float | None = None, decide: _Decide | _Decision | None = None, check: bool = True
    ) -> AgentResult[T]:
        """Goes on with the turn that waits for a person; `decide` answers what it asks."""
        return self._native.resume(self._agent._engine, _options(timeout, decide, check), blocking=True)

    async def resume_async(
        self, *, timeout: float | None = None, decide: _Decide | _Decision | None = None, check: bool = True
    ) -> AgentResult[T]:
        """Goes on with the turn that waits for a person, as `resume` does."""
        return await self._native.resume(self._agent._engine, _options(timeout, decide, check), blocking=False)

    def head(self) -> ConversationHead:
        """Tells what is known of the whole: id, title, turns, messages, tokens, and cost."""
        return self._native.head(self._agent._engine, blocking=True)

    async def head_async(self) -> ConversationHead:
        """Tells what is known of the whole, as `head` does."""
        return await self._native.head(self._agent._engine, blocking=False)

    def messages(self) -> list[dict[str, Any]]:
        """Gives all messages; instructions are none of them."""
        return self._native.messages(self._agent._engine, blocking=True)

    async def messages_async(self) -> list[dict[str, Any]]:
        """Gives all messages, as `messages` does."""
        return await self._native.messages(self._agent._engine, blocking=False)

    def export(self, format: str = "json") -> str:
        """Writes the conversation as `json` or `markdown`."""
        return self._native.export(self._agent._engine, format, blocking=True)

    async def export_async(self, format: str = "json") -> str:
        """Writes the conversation, as `export` does."""
        return await self._native.export(self._agent._engine, format, blocking=False)

    def save(self, conversation_id: str) -> None:
        """Keeps the conversation in the store under a new id, from now on every turn."""
        self._native.save(self._agent._engine, conversation_id, blocking=True)

    async def save_async(self, conversation_id: str) -> None:
        """Keeps the conversation in the store, as `save` does."""
        await self._native.save(self._agent._engine, conversation_id, blocking=False)

    def take_back(self, keep: int) -> None:
        """Takes back what follows the first `keep` messages."""
        self._native.take_back(self._agent._engine, keep, blocking=True)

    async def take_back_async(self, keep: int) -> None:
        """Takes back what follows the first messages, as `take_back` does."""
        await self._native.take_back(self._agent._engine, keep, blocking=False)

    def fork(self, conversation_id: str | None = None, *, keep: int | None = None) -> Conversation[T]:
        """Gives a copy that goes its own way, of the first `keep` messages or of all; in the store where this one is."""
        native = self._native.fork(self._agent._engine, conversation_id, keep, blocking=True)
        return Conversation(self._agent, native)

    async def fork_async(
        self, conversation_id: str | None = None, *, keep: int | None = None
    ) -> Conversation[T]:
        """Gives a copy that goes its own way, as `fork` does."""
        native = await self._native.fork(self._agent._engine, conversation_id, keep, blocking=False)
        return Conversation(self._agent, native)


def _options(timeout: float | None, decide: Any, check: bool) -> dict[str, Any]:
    from motet._agent import run_options

    return run_options(timeout=timeout, decide=decide, check=check)
