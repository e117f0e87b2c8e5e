"""Which call of a tool the running code answers, so that agents it runs are part of that call's run."""

from __future__ import annotations

from contextvars import ContextVar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from motet._motet import ToolContext

call: ContextVar[ToolContext | None] = ContextVar("motet_call", default=None)
"""The call; `None` outside of tools."""
