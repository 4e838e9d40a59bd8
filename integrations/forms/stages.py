"""The words for tasks: their stages and types, and what the end of one means for what follows (spec 10, *Tasks*)."""

from dataclasses import dataclass

from integrations.engine.plan import EVERYTHING_SENT, Expects, FileAction, Keep, ParentData, Stage, TaskType, Then


@dataclass(frozen=True)
class StageWords:
    """A stage as people know it: its name, when a run comes there, and what a run is doing while it is there."""

    label: str
    when: str
    doing: str


STAGES = {
    Stage.INTEGRATION_PRE: StageWords(
        "Integration Pre Tasks", "before the source is read", "doing the tasks before the source is read"
    ),
    Stage.VALIDATION: StageWords(
        "Validation Tasks", "after grouping, before anything is sent", "doing the validation tasks"
    ),
    Stage.DOCUMENT_PRE: StageWords("Document Pre Tasks", "for each document", "doing the tasks before a document"),
    Stage.DOCUMENT_POST_SUCCESS: StageWords(
        "Document Post Success Tasks", "for each delivered document", "doing the tasks behind a document"
    ),
    Stage.DOCUMENT_POST_FAILURE: StageWords(
        "Document Post Failure Tasks", "for each failed document", "doing the tasks behind a document"
    ),
    Stage.INTEGRATION_POST_SUCCESS: StageWords(
        "Integration Post Success Tasks", "no document failed", "doing the tasks after everything was sent"
    ),
    Stage.INTEGRATION_POST_FAILURE: StageWords(
        "Integration Post Failure Tasks", "any document or the run failed", "doing the tasks after a failure"
    ),
    Stage.INTEGRATION_POST_ALWAYS: StageWords(
        "Integration Post Always Tasks", "in every case, last", "doing the last tasks"
    ),
}
TYPES = {
    TaskType.RUN_SCRIPT: "Run Script",
    TaskType.RUN_INTEGRATION: "Run Integration",
    TaskType.SEND_EMAIL: "Send E-mail",
    TaskType.RUN_SQL: "Run SQL",
    TaskType.CALL_HTTP: "Call HTTP",
    TaskType.FILE: "File",
    TaskType.VALIDATION: "Validation",
    TaskType.SET_VARIABLE: "Set Variable",
}
THEN = {Then.NEXT: "Go to next step", Then.QUIT: "Quit", Then.CANCEL: "Cancel processing"}
ACTIONS = {
    FileAction.COPY: "Copy",
    FileAction.MOVE: "Move",
    FileAction.DELETE: "Delete",
    FileAction.ARCHIVE: "Archive (move, with the date in the name)",
}
EXPECTS = {
    Expects.ROW: "It exists (a row is found)",
    Expects.NO_ROW: "It does not exist (no row is found)",
}
PARENT_DATA = {
    ParentData.NONE: "No",
    ParentData.ALL: "All documents",
    ParentData.SUCCEEDED: "Succeeded documents",
    ParentData.FAILED: "Failed documents",
}
KEEP = {
    Keep.NEVER: "never kept",
    Keep.ON_SUCCESS: "kept after a run that went well",
    Keep.ALWAYS: "kept after every run",
}

NEXT = "The next task of this stage follows."
REST_OF_DOCUMENT = "The remaining tasks of this document are skipped."
REST_OF_STAGE = "The remaining tasks of this stage are skipped; the run's status stays as it is."
LEFT_OUT = "This document is left out as restricted, with the reason; it is no error."
POST = [stage for stage in Stage if stage in EVERYTHING_SENT]

ON_SUCCESS: dict[Stage, dict[Then, str]] = {
    Stage.INTEGRATION_PRE: {
        Then.NEXT: NEXT,
        Then.QUIT: "Nothing is read; the run ends Completed, for there was nothing to do.",
        Then.CANCEL: "Nothing is read; the run ends Cancelled.",
    },
    Stage.VALIDATION: {
        Then.NEXT: NEXT,
        Then.QUIT: "Nothing is sent; the run ends Cancelled.",
        Then.CANCEL: "Nothing is sent; the run ends Cancelled.",
    },
    Stage.DOCUMENT_PRE: {
        Then.NEXT: NEXT,
        Then.QUIT: "The remaining tasks before this document are skipped; it is sent.",
        Then.CANCEL: LEFT_OUT,
    },
    Stage.DOCUMENT_POST_SUCCESS: {Then.NEXT: NEXT, Then.QUIT: REST_OF_DOCUMENT, Then.CANCEL: REST_OF_DOCUMENT},
    Stage.DOCUMENT_POST_FAILURE: {Then.NEXT: NEXT, Then.QUIT: REST_OF_DOCUMENT, Then.CANCEL: REST_OF_DOCUMENT},
    **{stage: {Then.NEXT: NEXT, Then.QUIT: REST_OF_STAGE, Then.CANCEL: REST_OF_STAGE} for stage in POST},
}
ON_FAILURE: dict[Stage, dict[Then, str]] = {
    Stage.INTEGRATION_PRE: {
        Then.NEXT: "The failure is recorded and the run goes on.",
        Then.QUIT: "Nothing is read; the run ends Failed.",
        Then.CANCEL: "Nothing is read; the run ends Cancelled.",
    },
    Stage.VALIDATION: {
        Then.NEXT: "The failure is recorded and the run goes on.",
        Then.QUIT: "Nothing is sent; the run ends Failed.",
        Then.CANCEL: "Nothing is sent; the run ends Cancelled.",
    },
    Stage.DOCUMENT_PRE: {
        Then.NEXT: "The failure is recorded; the document is sent all the same.",
        Then.QUIT: "This document fails and is not sent; the others go on.",
        Then.CANCEL: LEFT_OUT,
    },
    Stage.DOCUMENT_POST_SUCCESS: {
        Then.NEXT: "The failure is recorded and the next task of this document follows.",
        Then.QUIT: "The document stays delivered and is marked “sent, follow-up failed”; the run counts an error.",
        Then.CANCEL: REST_OF_DOCUMENT,
    },
    Stage.DOCUMENT_POST_FAILURE: {
        Then.NEXT: "The failure is recorded and the next task of this document follows.",
        Then.QUIT: REST_OF_DOCUMENT,
        Then.CANCEL: REST_OF_DOCUMENT,
    },
    **{
        stage: {
            Then.NEXT: "The failure is recorded and the next task follows.",
            Then.QUIT: "The remaining tasks of this stage are skipped; the run ends Completed with Errors at best.",
            Then.CANCEL: REST_OF_STAGE,
        }
        for stage in POST
    },
}
