"""What a run of a workflow came to."""

from __future__ import annotations

from motet._errors import WorkflowFailedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from motet._motet import Report, TaskResult, Usage


class WorkflowRun(dict[str, "TaskResult"]):
    """A run as it stands: a dictionary of its tasks' results by name, with facts about the run beside them."""

    run_id: str
    """Id of the run, by which it can be resumed."""

    name: str
    """Name of the workflow."""

    state: str
    """`running`, `failing`, `cancelling`, `completed`, `failed`, `cancelled`, or `waiting`."""

    outputs: dict[str, Any]
    """The workflow's outputs; empty unless it is completed."""

    model_calls: int
    """Recorded model calls."""

    cached_calls: int
    """Those of them that were answered from the cache."""

    usage: Usage
    """Tokens of all model calls."""

    cost: float | None
    """US dollars of all model calls; `None` when a price is not known."""

    cost_nanos: int | None
    """The same, exactly, in nano-dollars."""

    seconds: float
    """From the start to the end, or to now."""

    def __init__(self, report: Report) -> None:
        super().__init__((task.name, task) for task in report.tasks)
        self.run_id = report.id
        self.name = report.name
        self.state = report.state
        self.outputs = report.outputs
        self.model_calls = report.model_calls
        self.cached_calls = report.cached_calls
        self.usage = report.usage
        self.cost = report.cost
        self.cost_nanos = report.cost_nanos
        self.seconds = report.seconds

    @property
    def failures(self) -> list[TaskResult]:
        """The tasks that failed."""
        return [task for task in self.values() if task.status == "failed"]

    def __repr__(self) -> str:
        return f"WorkflowRun(run_id={self.run_id!r}, name={self.name!r}, state={self.state!r}, {super().__repr__()})"


def completed(report: Report) -> WorkflowRun:
    """Gives a completed run, and raises for every other."""
    run = WorkflowRun(report)
    if run.state != "completed":
        raise WorkflowFailedError(run)
    return run
