"""A set of tools with what people want to know of them: what they are for, whether they are on, and how they do."""

from __future__ import annotations

from motet import _motet
from motet._tool import as_tool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any


class Toolbox:
    """Tools by name, each with a category and a version; an agent that is given the set may call those that are on.

    Calls are counted wherever they are made.
    """

    def __init__(self, *tools: Callable[..., Any]) -> None:
        """Makes a set of functions and tools."""
        self._native = _motet.Toolbox()
        for tool in tools:
            self.add(tool)

    def add(self, tool: Callable[..., Any], *, category: str = "", version: str = "") -> None:
        """Adds a tool, switched on; two of one name are an error."""
        self._native.add(as_tool(tool), category, version)

    def enable(self, name: str) -> None:
        """Switches a tool on."""
        self._native.enable(name)

    def disable(self, name: str) -> None:
        """Switches a tool off: it is not given out any more, and refuses to be called by those who have it."""
        self._native.disable(name)

    def info(self) -> list[dict[str, Any]]:
        """Tells what is known of every tool, switched on or off: name, description, category, version, and counts."""
        return self._native.list()

    def names(self, names: Sequence[str] = (), categories: Sequence[str] = ()) -> list[str]:
        """Gives the names of those that are on and fit patterns such as `git_*`."""
        return self._native.names([*names], [*categories])

    def metrics(self, name: str) -> dict[str, Any]:
        """Tells how the calls of a tool went: `calls`, `failures`, `total_seconds`, and `max_seconds`."""
        return self._native.metrics(name)

    async def call_async(self, name: str, arguments: dict[str, Any] | None = None) -> str:
        """Calls a tool outside of any agent and gives the text that a model would read; a failure raises."""
        return await self._native.call(name, arguments or {}, blocking=False)

    def call(self, name: str, arguments: dict[str, Any] | None = None) -> str:
        """Calls a tool as `call_async` does, and waits."""
        return self._native.call(name, arguments or {}, blocking=True)
