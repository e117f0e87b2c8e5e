"""A server of the Model Context Protocol for tests: it does what its first argument says, by the standard library alone."""

import json
import os
import sys
import time

MODE = sys.argv[1] if len(sys.argv) > 1 else "plain"
TOOLS = ["echo", "fail", "refuse", "slow", "die", "large", "grow", "environment", "ask", "heard", "process"]
grown = []
heard = []
asked = {}
waiting = {}


def send(**message):
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def text(value, **more):
    return {"content": [{"type": "text", "text": value}], **more}


def nested(levels):
    return '{"properties":{"a":' * levels + "{}" + "}}" * levels


def tool(name, **more):
    schema = {"type": "object", "properties": {"text": {"type": "string"}}}
    return {"name": name, "description": f"Does {name}.", "inputSchema": schema, **more}


def listed(params):
    if MODE == "pages":
        page = int(params.get("cursor") or 0)
        more = {"nextCursor": str(page + 1)} if page < 4 else {}
        return {"tools": [tool(f"t{page}")], **more}
    if MODE == "circle":
        return {"tools": [tool("t")], "nextCursor": "same"}
    tools = [tool(name) for name in TOOLS + grown]
    tools[0]["annotations"] = {"readOnlyHint": True}
    if MODE == "hostile":
        circle = {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}
        outside = {"properties": {"a": {"$ref": "https://example.com/a.json"}}}
        tools.append(tool("circle", inputSchema={"properties": {"a": {"$ref": "#/$defs/a"}}, "$defs": circle}))
        tools.append(tool("outside", inputSchema=outside))
        tools.append(tool("huge", inputSchema={"type": "object", "description": "x" * 300_000}))
        tools.append(tool("text", inputSchema="nothing"))
        tools.append(tool("deep", inputSchema="DEEP"))
        tools.append({"name": 7})
    return {"tools": tools}


def call(identity, name, arguments):
    if name == "echo":
        return text(arguments.get("text", ""))
    if name == "fail":
        return text("it went wrong", isError=True)
    if name == "slow":
        waiting[identity] = True
        return None
    if name == "die":
        sys.stderr.write("about to die of " + os.environ.get("TOKEN", "nothing") + "\n")
        sys.stderr.flush()
        os._exit(3)
    if name == "large":
        return text("x" * int(arguments["text"]))
    if name == "grow":
        grown.append(f"grown{len(grown)}")
        send(method="notifications/tools/list_changed")
        return text("grown")
    if name == "environment":
        return text(json.dumps(dict(os.environ)))
    if name == "heard":
        return text(json.dumps(heard))
    if name == "process":
        return text(str(os.getpid()))
    if name == "ask":
        for number, method in enumerate(["sampling/createMessage", "roots/list", "elicitation/create", "ping", "x/y"]):
            asked[f"q{number}"] = None
            params = {"messages": [], "maxTokens": 5} if number == 0 else {}
            if number == 2:
                params = {"message": "?", "requestedSchema": {"type": "object", "properties": {}}}
            send(id=f"q{number}", method=method, params=params)
        waiting["ask"] = identity
        return None
    raise KeyError(name)


def answered(message):
    asked[message["id"]] = message.get("error", {}).get("code", message.get("result"))
    if None not in asked.values():
        send(id=waiting.pop("ask"), result=text(json.dumps(asked)))


def initialized(message):
    server = {"name": "scripted", "version": "1"}
    capabilities = {"tools": {"listChanged": True}}
    version = message["params"]["protocolVersion"]
    return {"protocolVersion": version, "capabilities": capabilities, "serverInfo": server}


def respond(message):
    identity, method = message["id"], message["method"]
    if method == "initialize":
        return send(id=identity, result=initialized(message))
    if method == "tools/list":
        line = json.dumps({"jsonrpc": "2.0", "id": identity, "result": listed(message.get("params") or {})})
        sys.stdout.write(line.replace('"DEEP"', nested(3000)) + "\n")
        return sys.stdout.flush()
    if method == "tools/call":
        try:
            result = call(identity, message["params"]["name"], message["params"].get("arguments") or {})
        except KeyError:
            return send(id=identity, error={"code": -32602, "message": "no such tool"})
        if result is not None:
            send(id=identity, result=result)
        return None
    return send(id=identity, error={"code": -32601, "message": "no such method"})


def main():
    if MODE == "mute":
        time.sleep(600)
    if MODE == "broken":
        sys.stderr.write("no configuration found\n")
        sys.exit(4)
    if MODE == "garbage":
        print("Welcome to the server!", "\x1b[31mred\x1b[0m", sep="\n", flush=True)
    if MODE == "endless":
        while True:
            sys.stdout.write("x" * (1 << 20))
    for line in sys.stdin:
        message = json.loads(line)
        heard.append(" ".join(filter(None, [message.get("method"), (message.get("params") or {}).get("name")])))
        if MODE == "garbage":
            print("debug: got", message.get("method"), flush=True)
        if MODE == "tease" and message.get("method") == "initialize":
            continue
        if "method" not in message:
            answered(message)
        elif "id" in message:
            respond(message)


main()
