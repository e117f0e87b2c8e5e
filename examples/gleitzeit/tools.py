"""A server of two tools, for the examples that call one: the Model Context Protocol, one JSON message to a line."""

import json
import sys

ANY = {"type": "object"}
TOOLS = {
    "function_name": ("Tells how it was called.", lambda given: "called with " + json.dumps(given, sort_keys=True)),
    "external_api": ("Counts the characters of what it is given.", lambda given: f"{len(str(given.get('data', '')))} characters"),
}


def answer(method, params):
    if method == "initialize":
        version = params.get("protocolVersion", "2025-06-18")
        about = {"name": "example-tools", "version": "1"}
        return {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": about}
    if method == "tools/list":
        return {"tools": [{"name": name, "description": TOOLS[name][0], "inputSchema": ANY} for name in TOOLS]}
    if method == "tools/call" and params.get("name") in TOOLS:
        text = TOOLS[params["name"]][1](params.get("arguments") or {})
        return {"content": [{"type": "text", "text": text}]}
    if method == "ping":
        return {}
    return None


for line in sys.stdin:
    request = json.loads(line)
    if "id" not in request:
        continue
    result = answer(request["method"], request.get("params") or {})
    reply = {"jsonrpc": "2.0", "id": request["id"]}
    if result is None:
        reply["error"] = {"code": -32601, "message": f"no such method or tool: {request['method']}"}
    else:
        reply["result"] = result
    print(json.dumps(reply), flush=True)
