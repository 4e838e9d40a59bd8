"""Rows and their legal moves."""

from integrations.models.connection import Connection
from integrations.models.heartbeat import Heartbeat
from integrations.models.ledger import DocumentOutcome, LedgerSegment, LogEntry, StageEntry, TaskDeed
from integrations.models.output_file import OutputFile
from integrations.models.process import Process, ProcessVersion
from integrations.models.rolling_number import GivenNumbers, RollingNumber
from integrations.models.run import Run, RunStatus
from integrations.models.runs_view import RunsColumns, RunsView
from integrations.models.stored_file import StoredFile
from integrations.models.translation import TranslationRows, TranslationTable
from integrations.models.variable import GlobalVariable
from integrations.models.watermark import Watermark

__all__ = [
    "Connection",
    "DocumentOutcome",
    "GivenNumbers",
    "GlobalVariable",
    "Heartbeat",
    "LedgerSegment",
    "LogEntry",
    "OutputFile",
    "Process",
    "ProcessVersion",
    "RollingNumber",
    "Run",
    "RunStatus",
    "RunsColumns",
    "RunsView",
    "StageEntry",
    "StoredFile",
    "TaskDeed",
    "TranslationRows",
    "TranslationTable",
    "Watermark",
]
