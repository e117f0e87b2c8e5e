"""Answers `count` and `shout` by JSON-RPC 2.0, one call a line."""

import json
import sys

METHODS = {"count": lambda text: len(text.split()), "shout": lambda text: text.upper()}

for line in sys.stdin:
    call = json.loads(line)
    answer = {"jsonrpc": "2.0", "id": call.get("id")}
    method = METHODS.get(call["method"])
    if method:
        answer["result"] = method(**call.get("params", {}))
    else:
        answer["error"] = {"code": -32601, "message": f"there is no method {call['method']!r}"}
    if "id" in call:
        print(json.dumps(answer), flush=True)
