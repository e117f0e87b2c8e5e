"""The Python examples of the README and of the guides run as they are written."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import WORKSPACE

DOCUMENTS = ["README.md", "docs/guide/python.md", "docs/guide/python-agents.md"]


def blocks(document: str) -> list[str]:
    """The Python blocks of a document."""
    text = (WORKSPACE / document).read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


EXAMPLES = [
    pytest.param(block, id=f"{document}:{number}")
    for document in DOCUMENTS
    for number, block in enumerate(blocks(document), start=1)
]


def test_all_documents_have_examples() -> None:
    assert all(blocks(document) for document in DOCUMENTS)


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_runs(example: str, place: Path) -> None:
    shutil.copytree(WORKSPACE / "examples", place / "examples", ignore=shutil.ignore_patterns("output", ".motet"))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", example], capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")
    for line in re.findall(r"#> (.*)$", example, re.MULTILINE):
        assert line in done.stdout.splitlines()
