"""Tells which requirements an interpreter does not meet, by what is installed for it; installs nothing.

Starts as `python -I -c <this> REQUIREMENT...` and prints one line of JSON: a list of sentences, empty where all is there.
"""

import json
import re
import sys
from importlib import metadata

FORM = re.compile(r"^\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(\[[^\]]*\])?\s*(.*?)\s*$")
CLAUSE = re.compile(r"^(==|!=|>=|<=|~=|>|<)\s*([0-9][0-9A-Za-z.!+*-]*)$")


def release(version):
    numbers = re.match(r"^v?(?:\d+!)?(\d+(?:\.\d+)*)", version)
    parts = [int(part) for part in numbers.group(1).split(".")] if numbers else [0]
    while len(parts) > 1 and parts[-1] == 0:
        parts.pop()
    return parts


def holds(found, sign, wanted):
    if wanted.endswith(".*"):
        prefix = [int(part) for part in wanted[:-2].split(".")]
        parts = (release(found) + [0] * len(prefix))[: len(prefix)]
        return (parts == prefix) == (sign == "==")
    have, want = release(found), release(wanted)
    if sign == "~=":
        prefix = [int(part) for part in re.match(r"\d+(\.\d+)*", wanted).group().split(".")][:-1]
        return have >= want and (have + [0] * len(prefix))[: len(prefix)] == prefix
    return {"==": have == want, "!=": have != want, ">=": have >= want, "<=": have <= want, ">": have > want, "<": have < want}[sign]


def problem(requirement):
    form = FORM.match(requirement)
    rest = form.group(3) if form else ""
    clauses = [CLAUSE.match(part.strip()) for part in rest.split(",") if part.strip()]
    if not form or None in clauses:
        return f"`{requirement}` is no name with versions, such as `numpy>=1.26,<3`"
    try:
        found = metadata.version(form.group(1))
    except metadata.PackageNotFoundError:
        return f"`{form.group(1)}` is not installed"
    if not all(holds(found, *clause.groups()) for clause in clauses):
        return f"`{requirement}` is wanted, and {found} is installed"
    return None


print(json.dumps([text for text in map(problem, sys.argv[1:]) if text]))
