"""Runs the code of one task and hands its `result` back through a file.

Starts as `python -I -u -X utf8 -c <this> fork|thread <aftermath.py>`, reads one request from standard input, and
compiles and imports as little as it can, because a task that finds none waiting pays for it. The request may come long
after the start. Standard input stays open for as long as the engine lives: its end means that the engine is gone, and
then this process ends, with everything that its task has started. With
`fork` a process of its own watches for that, which no code can hold up; `thread` is for systems without that call.
"""

import os
import sys

NAME = "task code"
WATCH, AFTERMATH = sys.argv[1:3]


def main():
    warm()
    if WATCH == "fork":
        worker = os.fork()
        if worker:
            supervise(worker)
    request = read_request()
    engine = os.dup(0)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.close(null)
    if WATCH == "fork":
        os.close(engine)
    else:
        import _thread

        _thread.start_new_thread(aftermath("await_end"), (engine,))
    # It may have been started before anybody knew where its task works.
    os.chdir(request["directory"])
    # Opened before the code runs, which may change its user, root, or limits.
    out = os.open(request["out"], os.O_WRONLY | os.O_TRUNC)
    try:
        # The engine has the file open too; without a name it cannot stay when the engine is killed.
        os.unlink(request["out"])
    except OSError:
        pass
    return run(request, out)


def warm():
    """Loads what every task needs while there may be time for it: nothing that a task would not find loaded anyway."""
    try:
        import _json
        import resource  # noqa: F401
    except ImportError:
        pass


def aftermath(name):
    """Gives a function of the part that is compiled only when it is needed."""
    functions = {}
    exec(compile(AFTERMATH, "<string>", "exec"), functions)
    return functions[name]


def supervise(worker):
    """Waits for the worker and ends as it ended, or kills everything when the engine is gone; never returns."""
    import select

    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 1)
    os.dup2(null, 2)
    poll, pause = select.poll(), None
    poll.register(0, 0)
    try:
        poll.register(os.pidfd_open(worker), select.POLLIN)
    except (AttributeError, OSError):
        pause = 20
    while True:
        events = poll.poll(pause)
        if any(descriptor == 0 for descriptor, _ in events):
            aftermath("destroy")()
        ended, status = os.waitpid(worker, os.WNOHANG)
        if not ended:
            continue
        if os.WIFSIGNALED(status):
            import signal

            number = os.WTERMSIG(status)
            limit("RLIMIT_CORE", 0, 0)
            if number != signal.SIGKILL:
                signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        os._exit(os.WEXITSTATUS(status))


def read_request():
    data = bytearray()
    length = None
    while length is None or len(data) < length:
        part = os.read(0, 1 << 20)
        if not part:
            os._exit(1)
        data += part
        if length is None and len(data) >= 20:
            length = int(data[:20])
            del data[:20]
    text = data.decode()
    try:
        # The two halves of `json` that are written in C, without the regular expressions that importing it loads:
        # a third of the time that a small task takes.
        from _json import make_scanner

        class Options:
            strict = True
            object_hook = object_pairs_hook = None
            parse_float, parse_int, parse_constant = float, int, float

        return make_scanner(Options)(text, 0)[0]
    except (ImportError, TypeError, AttributeError):
        import json

        return json.loads(text)


def encode(value):
    try:
        from _json import encode_basestring, make_encoder

        encoder = make_encoder({}, refuse, encode_basestring, None, ":", ",", False, False, False)
    except (ImportError, TypeError):
        import json

        return json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return "".join(encoder(value, 0))


def refuse(value):
    raise TypeError(type(value).__name__ + " is not JSON")


def limit(name, soft, hard):
    try:
        import resource

        which = getattr(resource, name)
        given = resource.getrlimit(which)[1]
        if given != resource.RLIM_INFINITY:
            soft, hard = min(soft, given), min(hard, given)
        resource.setrlimit(which, (soft, hard))
    except (ImportError, AttributeError, ValueError, OSError):
        # The system has no such limit; the engine watches what it can from outside.
        pass


def run(request, out):
    """Runs the code, writes the outcome, and gives the status to exit with."""
    limit("RLIMIT_CORE", 0, 0)
    # Linux counts what is written to privately as data; address space also counts what is merely reserved.
    memory = request["memory"]
    spare = memory + (32 << 20)
    kind = "RLIMIT_DATA" if sys.platform == "linux" else "RLIMIT_AS"
    limit(kind, memory, spare)
    if hasattr(os, "nice"):
        # Whatever the code does to the machine, the engine must get a turn to stop it.
        os.nice(5)
    worker = os.getpid()
    module = prepare(request)
    name = module.__dict__.get("__file__", NAME)
    status, outcome = 0, None
    try:
        if "file" in request:
            with open(name, "rb") as source:
                code = source.read()
        else:
            code = request["code"]
        exec(compile(code, name, "exec", dont_inherit=True), module.__dict__)
    except SystemExit as exit:
        status = exit.code if isinstance(exit.code, int) else int(exit.code is not None)
        if status:
            outcome = {"exit": status}
        if not isinstance(exit.code, int) and exit.code is not None:
            print(exit.code, file=sys.stderr)
    except BaseException as error:
        limit(kind, spare, spare)
        status, outcome = 1, {"exception": aftermath("describe")(error, name)}
    if os.getpid() != worker:
        # A process that the code forked and that ran to the end of it: only the first answers.
        return status
    if outcome is None:
        status, data = answer(module.__dict__.get("result"), request["max_result"], kind, spare)
    else:
        data = encode(outcome).encode(errors="replace")
    while data:
        data = data[os.write(out, data) :]
    os.close(out)
    return status


def prepare(request):
    """Makes the module that the code runs as, with the values of the context in it."""
    module = type(sys)("__main__")
    values = module.__dict__
    context = request["context"]
    if context:
        from keyword import iskeyword

        for key, value in context.items():
            if key.isidentifier() and not iskeyword(key) and not key.startswith("__"):
                values[key] = value
    module.context = context
    module.result = None
    if "file" in request:
        module.__file__ = request["file"]
        sys.path.insert(0, os.path.dirname(request["file"]))
    else:
        module.__loader__ = Source(request["code"])
    sys.argv[:] = [request.get("file", "")]
    global bootstrap
    bootstrap = sys.modules["__main__"]
    sys.modules["__main__"] = module
    return module


class Source:
    """Gives tracebacks the lines of code that is in no file."""

    def __init__(self, code):
        self.code = code

    def get_source(self, name):
        return self.code


def answer(value, most, kind, spare):
    try:
        text = encode(value)
        data = ('{"result":' + text + "}").encode()
    except MemoryError as error:
        limit(kind, spare, spare)
        return 1, encode({"exception": aftermath("describe")(error, NAME)}).encode(errors="replace")
    except BaseException as error:
        reason = aftermath("blame")(value, error)
        return 1, encode({"unusable": reason}).encode(errors="replace")
    if len(data) > most:
        return 1, encode({"oversized": len(data)}).encode()
    return 0, data


sys.exit(main())
