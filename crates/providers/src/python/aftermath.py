"""What the child of a task does when something goes wrong; the bootstrap compiles it only then."""

import os

# The file name that both parts are compiled under.
HERE = "<string>"
# Read before the code runs, which may change its environment.
MARKER = b"MOTET_TASK=" + os.environ.get("MOTET_TASK", "").encode()


# Failures that the same code meets again; whether others pass is for the author of the task to say.
CERTAIN = (
    SyntaxError, ImportError, NameError, TypeError, AttributeError, LookupError, ValueError, ArithmeticError,
    AssertionError, MemoryError, RecursionError, NotImplementedError, FileNotFoundError, FileExistsError,
    IsADirectoryError, NotADirectoryError, PermissionError,
)  # fmt: skip


def describe(error, name):
    """Tells of an exception, leaving out the frames of this file."""
    import traceback

    kind = type(error)
    full = named(kind)
    frames = error.__traceback__
    while frames and frames.tb_frame.f_code.co_filename == HERE:
        frames = frames.tb_next
    line, step = None, frames
    while step:
        if step.tb_frame.f_code.co_filename == name:
            line = step.tb_lineno
        step = step.tb_next
    if isinstance(error, SyntaxError):
        message = error.msg
        if error.filename == name:
            line = error.lineno
    else:
        try:
            message = str(error)
        except BaseException:
            message = "its text cannot be made"
    try:
        text = "".join(traceback.format_exception(kind, error, frames))
    except BaseException as failed:
        text = f"{full}: {message} (no traceback: {type(failed).__name__})"
    return {
        "type": full,
        "message": str(message)[:2000],
        "line": line,
        "traceback": text[-20000:],
        "again": not isinstance(error, CERTAIN),
    }


def named(kind):
    plain = kind.__module__ in ("builtins", "__main__")
    return kind.__qualname__ if plain else f"{kind.__module__}.{kind.__qualname__}"


def blame(value, error):
    """Tells in one line why a value cannot be handed back."""
    try:
        path, reason = culprit(value, "result", ()) or ("result", str(error))
    except RecursionError:
        path, reason = "result", "it is nested too deeply"
    return path[-500:] + ": " + reason[:500]


def culprit(value, path, outer):
    """Finds the first part of a value that is not JSON."""
    if isinstance(value, (list, tuple, dict)):
        if id(value) in outer:
            return path, "it contains itself"
        outer += (id(value),)
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in pairs:
            below = f"{path}[{key!r}]"
            if isinstance(value, dict):
                if not isinstance(key, (str, int, float)) and key is not None:
                    return path, f"a key of type {type(key).__name__} is not JSON"
                if isinstance(key, str) and key.isidentifier():
                    below = path + "." + key
                found = culprit(key, path + " key", ()) if isinstance(key, (str, float)) else None
                if found:
                    return found
            found = culprit(item, below, outer)
            if found:
                return found
    elif isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return path, "the text contains half of a surrogate pair and is not JSON"
    elif isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):
            return path, f"{value!r} is not JSON"
    elif isinstance(value, int):
        try:
            int.__repr__(value)
        except ValueError:
            return path, "the integer has too many digits"
    elif value is not None:
        return path, f"{named(type(value))} is not JSON"
    return None


def await_end(engine):
    """Waits for the end of the engine, where no process of its own can."""
    try:
        while os.read(engine, 4096):
            pass
    except OSError:
        return
    destroy()


def destroy():
    """Kills what left the process group but kept the marker, then the group with this process in it."""
    import time

    own = str(os.getpid())
    for _ in range(100):
        left = 0
        try:
            running = os.listdir("/proc")
        except OSError:
            break
        for process in running:
            if not process.isdigit() or process == own:
                continue
            try:
                with open("/proc/" + process + "/environ", "rb") as environment:
                    if MARKER in environment.read().split(b"\0"):
                        os.kill(int(process), 9)
                        left += 1
            except OSError:
                pass
        if not left:
            break
        time.sleep(0.01)
    if hasattr(os, "killpg"):
        os.killpg(0, 9)
    os._exit(1)
