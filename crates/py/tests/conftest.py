"""A provider on loopback that speaks chat completions and Ollama's chat, and a clean place for every test."""

import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

WORKSPACE = Path(__file__).resolve().parents[3]


class Provider(ThreadingHTTPServer):
    """Answers as the model's name says.

    `say:TEXT` answers TEXT; `pieces:N` answers N words, streamed one by one; `status:CODE` refuses; `silent` never answers;
    `silent-once:TEXT` does not answer its first request; `cut` breaks off its stream; `tools` asks for a tool.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[dict[str, Any]] = []
        self.asked = threading.Event()
        self.hung_up = threading.Event()
        self.base_url = f"http://127.0.0.1:{self.server_address[1]}/v1"
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are part of the tests."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Provider

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.requests.append(body)
        name, _, argument = body["model"].partition(":")
        first = len(self.server.requests) == 1
        if name == "silent" or (name == "silent-once" and first):
            self.server.asked.set()
            # Nothing more is sent by the client, so this returns when it hangs up.
            self.connection.recv(1)
            self.server.hung_up.set()
            self.close_connection = True
        elif name == "status":
            self.refuse(int(argument))
        elif self.path == "/api/chat":
            self.ollama(name, argument)
        elif body.get("stream"):
            self.stream(name, argument)
        else:
            self.plain(name, argument)

    def refuse(self, status: int) -> None:
        error = {"error": {"message": f"refused with {status}", "type": "test", "code": None}}
        self.send(status, json.dumps(error).encode(), {"retry-after": "7", "x-request-id": "req_1"})

    def plain(self, name: str, argument: str) -> None:
        message = {"role": "assistant", "content": "".join(words(name, argument)) or None}
        if name == "tools":
            message["tool_calls"] = CALLS
        choice = {"index": 0, "message": message, "finish_reason": finish(name)}
        answer = {"id": "chat_1", "model": "served-1", "choices": [choice], "usage": USAGE}
        self.send(200, json.dumps(answer).encode(), {"x-request-id": "req_1"})

    def ollama(self, name: str, argument: str) -> None:
        message = {"role": "assistant", "content": "".join(words(name, argument))}
        answer = {"model": "served-1", "message": message, "done": True, "done_reason": "stop"}
        self.send(200, json.dumps(answer | {"prompt_eval_count": 12, "eval_count": 5}).encode(), {})

    def stream(self, name: str, argument: str) -> None:
        deltas: list[dict[str, Any]] = [{"content": word} for word in words(name, argument)]
        if name == "tools":
            deltas.append({"tool_calls": [call | {"index": index} for index, call in enumerate(CALLS)]})
        choices = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
        choices.append({"index": 0, "delta": {}, "finish_reason": finish(name)})
        frames = [{"choices": [choice]} for choice in choices] + [{"choices": [], "usage": USAGE}]
        base = {"id": "chat_1", "model": "served-1", "object": "chat.completion.chunk"}
        lines = [f"data: {json.dumps(base | frame)}\n\n" for frame in frames] + ["data: [DONE]\n\n"]
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("x-request-id", "req_1")
        self.send_header("connection", "close")
        self.end_headers()
        self.close_connection = True
        for line in lines[:2] if name == "cut" else lines:
            self.wfile.write(line.encode())

    def send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in ({"content-type": "application/json", "content-length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


USAGE = {
    "prompt_tokens": 12,
    "completion_tokens": 5,
    "total_tokens": 17,
    "prompt_tokens_details": {"cached_tokens": 4},
    "completion_tokens_details": {"reasoning_tokens": 2},
}

CALLS: list[dict[str, Any]] = [
    {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1, "b": [2]}'}},
    {"id": "c2", "type": "function", "function": {"name": "add", "arguments": '{"a": '}},
]


def words(name: str, argument: str) -> list[str]:
    """The pieces of an answer's text."""
    if name == "pieces":
        return [f"word{number} " for number in range(int(argument))]
    if name == "cut":
        return ["only ", "half ", "of it"]
    return [] if name == "tools" else [argument]


def finish(name: str) -> str:
    return "tool_calls" if name == "tools" else "stop"


@pytest.fixture
def provider() -> Iterator[Provider]:
    """A running provider."""
    with Provider() as server:
        yield server
        server.shutdown()


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current directory, and no settings from outside."""
    for name in os.environ:
        if name.startswith(("MOTET_", "OPENAI_", "OLLAMA_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def script(place: Path) -> Any:
    """Makes scripted models: each call gives the name of a model that answers so, over and over."""
    made = 0

    def make(*answers: dict[str, Any] | str) -> str:
        nonlocal made
        made += 1
        file = place / f"script{made}.json"
        written = [{"text": answer} if isinstance(answer, str) else answer for answer in answers]
        file.write_text(json.dumps({"answers": written, "on_exhausted": "cycle"}))
        return f"scripted:{file.name}"

    return make


def calls(*named: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    """An answer that calls tools."""
    return {"tool_calls": [{"name": name, "arguments": arguments} for name, arguments in named]}
