"""The tasks of a process at the stages of a run. A process has none yet: every stage goes on."""

from integrations.engine.batch import Document
from integrations.engine.plan import Stage
from integrations.engine.ports import TaskResult


class RunTasks:
    """`engine.ports.Tasks` of a process without tasks."""

    stages: frozenset[Stage] = frozenset()

    def at(self, stage: Stage, document: Document | None = None) -> TaskResult:
        return TaskResult.GO_ON
