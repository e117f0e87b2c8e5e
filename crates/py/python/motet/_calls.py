"""Runs functions for the native half: plain ones in threads, `async` ones in an event loop.

Knows nothing of what a function is for. Loaded when the first function is called.
"""

from __future__ import annotations

import asyncio
import atexit
import contextvars
import inspect
import os
import queue
import threading

from motet import _context, _motet

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any

    from motet._motet import Reply, ToolContext

IDLE = 10.0
"""Seconds after which a thread without work ends."""


def submit(
    work: tuple[Callable[..., Any], tuple[Any, ...], bool],
    reply: Reply,
    event_loop: asyncio.AbstractEventLoop | None,
    variables: contextvars.Context | None,
    call: ToolContext | None,
) -> Callable[[], None] | None:
    """Begins a call, whose end is told to `reply`; gives what cancels it, where that can be done."""
    function, arguments, is_async = work
    # A context can be entered once at a time, and calls run side by side.
    context = contextvars.Context() if variables is None else variables.copy()
    context.run(_context.call.set, call)
    running = _Running(reply, event_loop, context)
    if is_async:
        running.begin(lambda: function(*arguments))
    else:
        _threads.run(lambda: running.run(function, arguments))
    return running.cancel


class _Running:
    """One call on its way."""

    def __init__(
        self, reply: Reply, event_loop: asyncio.AbstractEventLoop | None, context: contextvars.Context
    ) -> None:
        self._reply = reply
        self._loop = event_loop
        self._context = context
        self._task: asyncio.Future[Any] | None = None
        self._cancelled = False

    def run(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        """Calls a plain function in this thread."""
        if not self._reply.is_awaited():
            return
        try:
            result = self._context.run(function, *arguments)
            if inspect.isawaitable(result):
                self.begin(lambda: result)
                return
        except BaseException as error:
            self._fail(error)
        else:
            self._reply.answer(result)

    def begin(self, make: Callable[[], Awaitable[Any]]) -> None:
        """Awaits what is made, in the event loop of whoever began the run, or in one of our own."""
        if self._loop is None or self._loop.is_closed():
            self._loop = _background()
        self._loop.call_soon_threadsafe(self._start, make, context=self._context)

    def _start(self, make: Callable[[], Awaitable[Any]]) -> None:
        if self._cancelled:
            return
        try:
            self._task = asyncio.ensure_future(make())
        except BaseException as error:
            self._fail(error)
        else:
            self._task.add_done_callback(self._end)

    def _end(self, task: asyncio.Future[Any]) -> None:
        if task.cancelled():
            self._reply.fail(asyncio.CancelledError())
        elif (error := task.exception()) is not None:
            self._fail(error)
        else:
            self._reply.answer(task.result())

    def _fail(self, error: BaseException) -> None:
        import logging

        logging.getLogger("motet").debug("a function called by a run failed", exc_info=error)
        self._reply.fail(error)

    def cancel(self) -> None:
        """Cancels what is awaited; a function in a thread cannot be stopped, and runs on unheard."""
        self._cancelled = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop)

    def _stop(self) -> None:
        if self._task is not None:
            self._task.cancel()


class _Threads:
    """Threads for plain functions: as many as there are calls, kept for the next ones, and never waited for at exit."""

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._idle = 0

    def run(self, job: Callable[[], None]) -> None:
        """Has a thread do a job."""
        with self._lock:
            is_idle = self._idle > 0
            self._idle -= is_idle
        self._work.put(job)
        if not is_idle:
            threading.Thread(target=self._serve, name="motet-python", daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                job = self._work.get(timeout=IDLE)
            except queue.Empty:
                with self._lock:
                    # Otherwise a job was given to this thread just now.
                    if self._idle > 0:
                        self._idle -= 1
                        return
                continue
            job()
            del job
            with self._lock:
                self._idle += 1


_threads = _Threads()
_lock = threading.Lock()
_own_loop: asyncio.AbstractEventLoop | None = None
_own_thread: threading.Thread | None = None


def _background() -> asyncio.AbstractEventLoop:
    """Gives the event loop of the process for `async` functions of runs that were begun outside of any."""
    global _own_loop, _own_thread
    with _lock:
        if _own_loop is None or _own_loop.is_closed():
            _own_loop = asyncio.new_event_loop()
            _own_thread = threading.Thread(target=_serve, args=(_own_loop,), name="motet-asyncio", daemon=True)
            _own_thread.start()
        return _own_loop


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    _motet.runs_functions()
    loop.run_forever()


@atexit.register
def _end() -> None:
    """Cancels what still runs in the process's own event loop, so that nothing is destroyed half-way."""
    loop, thread = _own_loop, _own_thread
    if loop is None or thread is None or loop.is_closed():
        return

    async def cancel_all() -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=0.5) if tasks else None
        loop.stop()

    asyncio.run_coroutine_threadsafe(cancel_all(), loop)
    thread.join(1.0)


def _forget() -> None:
    """Leaves behind what a fork did not copy: threads."""
    global _threads, _lock, _own_loop, _own_thread
    _threads, _lock, _own_loop, _own_thread = _Threads(), threading.Lock(), None, None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
