"""The package as such: what is visible, what importing does, and whether its types are true."""

import ast
import importlib.util
import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import motet
from motet import _motet

PACKAGE = Path(motet.__file__).parent


def test_all_names_are_listed_and_all_listed_names_exist() -> None:
    visible = {name for name in dir(motet) if not name.startswith("_")} | {"__version__"}
    modules = {name for name in visible if inspect.ismodule(getattr(motet, name))}
    assert sorted(motet.__all__) == sorted(visible - modules)
    assert list(motet.__all__) == sorted(motet.__all__)
    assert modules == set()


def test_everything_public_is_documented() -> None:
    for name in motet.__all__:
        public = getattr(motet, name)
        assert inspect.getdoc(public), name
        if inspect.isclass(public):
            for member, value in vars(public).items():
                if not member.startswith("_") and (callable(value) or inspect.isdatadescriptor(value)):
                    assert value.__doc__, f"{name}.{member}"


HIDDEN = ("AgentCore", "AgentStream", "Conversation", "Engine", "Reply", "Stream", "Toolbox")
"""Classes that Python classes stand before."""


def test_the_stub_repeats_the_documentation_of_the_native_half() -> None:
    stub = ast.parse((PACKAGE / "_motet.pyi").read_text())
    compared = 0
    for node in stub.body:
        if isinstance(node, ast.ClassDef) and node.name not in HIDDEN:
            native = getattr(_motet, node.name)
            assert ast.get_docstring(node) == inspect.cleandoc(native.__doc__)
            for member in node.body:
                if isinstance(member, ast.FunctionDef) and not member.name.startswith("__"):
                    assert ast.get_docstring(member) == getattr(native, member.name).__doc__, member.name
                    compared += 1
    assert compared > 50


def test_the_options_are_the_same_in_types_in_the_native_half_and_in_the_documentation() -> None:
    with pytest.raises(TypeError) as caught:
        motet.complete_sync("?", model="offline:extract", nothing=1)  # type: ignore[call-arg]
    native = str(caught.value).partition("options are ")[2].split(", ")
    assert list(motet.CompletionOptions.__annotations__) == native
    assert all(f"`{name}`" in (motet.complete.__doc__ or "") for name in native)


IMPORT = """
import json, os, sys, threading
before = set(sys.modules)
files = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
import motet
print(json.dumps({
    "modules": sorted(set(sys.modules) - before),
    "files": (len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0) - files,
    "threads": len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else threading.active_count(),
    "here": os.listdir("."),
}))
"""


def test_importing_starts_nothing_and_loads_little() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORT], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert (found["files"], found["threads"], found["here"]) == (0, 1, [])
    heavy = {"asyncio", "dataclasses", "inspect", "json", "logging", "socket", "ssl", "threading", "enum", "datetime"}
    assert heavy.isdisjoint(found["modules"])


SAMPLE = '''
import asyncio
import typing
from typing import assert_type

import motet


class Answered(typing.TypedDict):
    number: int


def double(number: int) -> int:
    return 2 * number


@motet.tool(effect="pure", timeout=3)
def counted(number: int) -> int:
    return number


@motet.hook("before_tool", on_error="abort")
def watch(payload: dict[str, typing.Any]) -> None: ...


async def main() -> None:
    response = await motet.complete("hi", model="offline:extract", temperature=0.5, timeout=3)
    assert_type(response, motet.Response)
    assert_type(response.usage, motet.Usage | None)
    async for chunk in motet.stream_complete([{"role": "user", "content": "hi"}]):
        assert_type(chunk.content, str)
        assert_type(chunk.response, motet.Response | None)
    async with motet.Client(model="offline:extract", request__timeout=3) as client:
        assert_type(await client.chat("hi"), str)
        run = await client.run_workflow("a.yaml", inputs={"x": 1})
        assert_type(run, motet.WorkflowRun)
        assert_type(run["a"], motet.TaskResult)
        assert_type(await client.check_workflow({"name": "x"}), list[motet.Problem])
        assert_type(client.list_workflows_sync(), list[motet.RunSummary])
    try:
        motet.complete_sync("hi")
    except motet.RateLimitError as error:
        assert_type(error.retry_after, float | None)
    agent = motet.Agent("a", tools=[double, motet.tool(double)], output=dict[str, int], hooks=[watch], temperature=1)
    assert_type((await agent.run_async("hi")).value, dict[str, int])
    answers = motet.Agent("a", output=Answered)
    assert_type(answers.run("hi").value, Answered)
    async for event in answers.stream("hi"):
        assert_type(event.result, motet.AgentResult[Answered] | None)
    assert_type(motet.Agent("a").conversation().send("hi").value, None)
    assert_type(counted(2), int)
    motet.Agent("a", temprature=1)  # type: ignore[call-overload]
    await motet.complete("hi", temprature=1)  # type: ignore[call-arg]
    await motet.complete(3)  # type: ignore[arg-type]


asyncio.run(main())
'''

needs_mypy = pytest.mark.skipif(importlib.util.find_spec("mypy") is None, reason="mypy is not installed")


def mypy(module: str, *arguments: str) -> None:
    environment = os.environ | {"MYPY_CACHE_DIR": "cache", "MYPYPATH": str(PACKAGE.parent)}
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_mypy
def test_a_strict_type_checker_accepts_the_package_and_its_use(place: Path) -> None:
    (place / "sample.py").write_text(SAMPLE)
    mypy("mypy", "--strict", "sample.py", str(PACKAGE))


@needs_mypy
def test_the_stub_fits_the_native_half() -> None:
    mypy("mypy.stubtest", "motet", "--ignore-missing-stub")
