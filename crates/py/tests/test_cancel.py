"""Cancellation, Ctrl-C, forks, and threads."""

import asyncio
import signal
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from conftest import Provider

import motet

PATIENCE = 20


def options(provider: Provider) -> Any:
    return {"model": "custom:silent", "base_url": provider.base_url}


async def asked(provider: Provider) -> None:
    assert await asyncio.to_thread(provider.asked.wait, PATIENCE)


async def hung_up(provider: Provider) -> None:
    assert await asyncio.to_thread(provider.hung_up.wait, PATIENCE)


async def test_cancelling_the_task_ends_the_call(provider: Provider) -> None:
    task = asyncio.create_task(motet.complete("?", **options(provider)))
    await asked(provider)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await hung_up(provider)


async def test_cancelling_the_task_ends_the_stream(provider: Provider) -> None:
    async def read() -> None:
        async for _ in motet.stream_complete("?", **options(provider)):
            pass

    task = asyncio.create_task(read())
    await asked(provider)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await hung_up(provider)


async def test_a_timeout_of_asyncio_ends_the_call(provider: Provider) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(None) as limit:
            call = asyncio.create_task(motet.complete("?", **options(provider)))
            await asked(provider)
            limit.reschedule(asyncio.get_running_loop().time())
            await call
    await hung_up(provider)


def test_a_loop_that_goes_away_ends_its_calls(provider: Provider) -> None:
    loop = asyncio.new_event_loop()
    task = loop.create_task(motet.complete("?", **options(provider)))
    loop.run_until_complete(asked(provider))
    task.cancel()
    loop.run_until_complete(asyncio.wait([task]))
    loop.close()
    assert provider.hung_up.wait(PATIENCE)


@pytest.mark.parametrize(
    "call",
    [
        "motet.complete_sync('?', model=MODEL, base_url=URL)",
        "list(motet.stream_complete_sync('?', model=MODEL, base_url=URL))",
        "asyncio.run(motet.complete('?', model=MODEL, base_url=URL))",
        "motet.Client(model=MODEL, base_url=URL, store='memory:').run_workflow_sync(FLOW)",
    ],
)
def test_ctrl_c_interrupts_a_call_that_waits(provider: Provider, call: str) -> None:
    program = f"""
        import asyncio, motet
        MODEL, URL = "custom:silent", {provider.base_url!r}
        FLOW = {{"name": "f", "tasks": [{{"id": "a", "method": "llm/chat", "params": {{"prompt": "?"}}}}]}}
        try:
            {call}
        except KeyboardInterrupt:
            print("interrupted")
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert provider.asked.wait(PATIENCE)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=PATIENCE)
    assert (output, process.returncode) == ("interrupted\n", 0)
    assert provider.hung_up.wait(PATIENCE)


def test_a_forked_child_makes_calls_of_its_own(provider: Provider) -> None:
    program = f"""
        import os, motet
        ask = dict(model="custom:say:hi", base_url={provider.base_url!r})
        client = motet.Client(store="memory:", **ask)
        closed = motet.Client(store="sqlite:runs.db", **ask)
        closed.list_workflows_sync()
        flow = {{"name": "f", "tasks": [{{"id": "a", "method": "llm/chat", "params": {{"prompt": "?"}}}}]}}
        def use():
            return motet.complete_sync("?", **ask).text, client.run_workflow_sync(flow)["a"].result["content"]
        before = use()
        child = os.fork()
        if child == 0:
            closed.close()
            os._exit(0 if use() == before else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        print(*use())
    """
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr, done.returncode) == ("hi hi\n", "", 0)


def test_a_process_ends_while_a_call_goes_on(provider: Provider) -> None:
    program = f"""
        import asyncio, threading, motet
        url = {provider.base_url!r}
        call = lambda: motet.complete_sync("?", model="custom:silent", base_url=url)
        threading.Thread(target=call, daemon=True).start()
        asyncio.run(motet.complete("?", model="custom:silent", base_url=url, timeout=0.2))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=60
    )
    assert done.stderr.splitlines()[-1].startswith("motet.TimeoutError: ")
    assert "Thread" not in done.stderr and done.returncode == 1


def test_threads_call_side_by_side(provider: Provider) -> None:
    def call(number: int) -> str:
        return motet.complete_sync("?", model=f"custom:say:{number}", base_url=provider.base_url).text

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(call, range(40))) == [str(number) for number in range(40)]
