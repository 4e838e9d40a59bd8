"""Files as a destination: delimited text or a workbook, in a server folder or kept with the run for download."""

from integrations.connectors.outputs.destination import FileDestination
from integrations.connectors.outputs.options import OF_DOWNLOADS, OF_FOLDERS, complaints
from integrations.connectors.spec import DestinationContext, DestinationKind
from integrations.engine.file_name import HELP
from integrations.engine.plan import WriteMode


def _in_folder(context: DestinationContext) -> FileDestination:
    return FileDestination(context, in_folder=True)


def _for_download(context: DestinationContext) -> FileDestination:
    return FileDestination(context, in_folder=False)


IN_FOLDER = DestinationKind(
    key="folder_file",
    title="File in the folder",
    open=_in_folder,
    settings=OF_FOLDERS,
    takes_secrets=False,
    modes=(WriteMode.INSERT,),
    target_label="File name",
    target_help=HELP,
    complaints=complaints,
)
FOR_DOWNLOAD = DestinationKind(
    key="download",
    title="File to download, kept with the run",
    open=_for_download,
    settings=OF_DOWNLOADS,
    needs_connection=False,
    takes_secrets=False,
    modes=(WriteMode.INSERT,),
    target_label="File name",
    target_help=HELP,
    complaints=complaints,
)
