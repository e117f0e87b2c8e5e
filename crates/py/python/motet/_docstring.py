"""Reads what a docstring says of a function and its parameters: the styles of Google, NumPy, and reStructuredText."""

from __future__ import annotations

import re

GOOGLE = re.compile(r"^(\s*)(Args|Arguments|Parameters|Params|Keyword Args|Keyword Arguments)\s*:\s*$")
OTHER = re.compile(
    r"^\s*(Returns?|Yields?|Raises|Examples?|Notes?|Warnings?|See Also|References|Attributes|Todo)\s*:\s*$"
)
UNDERLINE = re.compile(r"^\s*-{3,}\s*$")
FIELD = re.compile(r"^\s*[:@](\w+)(?:\s+([^:]*?))?\s*:\s*(.*)$")


def read(text: str | None) -> tuple[str, dict[str, str]]:
    """Gives the description, and that of each parameter by name."""
    import inspect

    lines = inspect.cleandoc(text or "").splitlines()
    description: list[str] = []
    parameters: dict[str, str] = {}
    at = 0
    while at < len(lines):
        line = lines[at]
        is_underlined = at + 1 < len(lines) and UNDERLINE.match(lines[at + 1]) is not None
        if is_underlined and line.strip():
            end = _section_end(lines, at + 2)
            if line.strip() in ("Parameters", "Other Parameters"):
                parameters |= _numpy(lines[at + 2 : end])
            at = end
        elif found := GOOGLE.match(line):
            end = _block_end(lines, at + 1, len(found[1]))
            parameters |= _google(lines[at + 1 : end])
            at = end
        elif OTHER.match(line):
            at = _block_end(lines, at + 1, len(line) - len(line.lstrip()))
        elif found := FIELD.match(line):
            end = _block_end(lines, at + 1, len(line) - len(line.lstrip()))
            if found[1] in ("param", "parameter", "arg", "argument", "key", "keyword") and found[2]:
                # A type may stand before the name.
                parameters[found[2].split()[-1].lstrip("*")] = _joined([found[3], *lines[at + 1 : end]])
            at = end
        else:
            description.append(line)
            at += 1
    return re.sub(r"\n{3,}", "\n\n", "\n".join(description)).strip(), parameters


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _block_end(lines: list[str], at: int, indent: int) -> int:
    """Gives the line behind those that are indented deeper, or empty."""
    while at < len(lines) and (not lines[at].strip() or _indent(lines[at]) > indent):
        at += 1
    return at


def _section_end(lines: list[str], at: int) -> int:
    while at < len(lines) and not (
        at + 1 < len(lines) and lines[at].strip() and UNDERLINE.match(lines[at + 1]) is not None
    ):
        at += 1
    return at


def _joined(lines: list[str]) -> str:
    return " ".join(line.strip() for line in lines if line.strip())


def _entries(lines: list[str]) -> list[tuple[str, list[str]]]:
    """Gives the lines at the outer indentation, each with those below it."""
    filled = [line for line in lines if line.strip()]
    outer = min((_indent(line) for line in filled), default=0)
    entries: list[tuple[str, list[str]]] = []
    for line in filled:
        if _indent(line) == outer:
            entries.append((line.strip(), []))
        else:
            entries[-1][1].append(line)
    return entries


def _google(lines: list[str]) -> dict[str, str]:
    found = {}
    for head, below in _entries(lines):
        if entry := re.match(r"\*{0,2}(\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)", head):
            found[entry[1]] = _joined([entry[2], *below])
    return found


def _numpy(lines: list[str]) -> dict[str, str]:
    found = {}
    for head, below in _entries(lines):
        for name in head.partition(":")[0].split(","):
            found[name.strip().lstrip("*")] = _joined(below)
    return found
