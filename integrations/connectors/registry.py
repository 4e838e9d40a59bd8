"""All connectors, by their keys. A new one is one line here."""

from collections.abc import Mapping

from integrations.connectors import (
    delimited,
    excel,
    fixed_width,
    folder,
    http_json,
    json_file,
    outputs,
    parent_rows,
    sftp,
    sql,
    xml_file,
)
from integrations.connectors.spec import Connector, DestinationKind, SourceKind
from integrations.engine.errors import DefinitionError

FILES = Connector(
    key="files",
    title="Files",
    summary="Files that come with a run, through the door of another connection, or are kept for download.",
    sources=(delimited.KIND, excel.KIND, json_file.KIND, xml_file.KIND, fixed_width.KIND),
    destinations=(outputs.FOR_DOWNLOAD,),
)
CONNECTORS: Mapping[str, Connector] = {
    connector.key: connector
    for connector in (
        FILES,
        folder.CONNECTOR,
        sftp.CONNECTOR,
        sql.CONNECTOR,
        http_json.CONNECTOR,
        parent_rows.CONNECTOR,
    )
}


def connector(key: str) -> Connector:
    if key not in CONNECTORS:
        raise DefinitionError(f"There is no connector “{key}”. Choose another connection.", code="definition.connector")
    return CONNECTORS[key]


def source_kind(key: str) -> SourceKind:
    for found in CONNECTORS.values():
        for kind in found.sources:
            if kind.key == key:
                return kind
    raise DefinitionError(
        f"There is no source of the kind “{key}”. Choose one on the Source tab.", code="definition.source"
    )


def destination_kind(key: str) -> DestinationKind:
    for found in CONNECTORS.values():
        for kind in found.destinations:
            if kind.key == key:
                return kind
    raise DefinitionError(
        f"There is no destination of the kind “{key}”. Choose one on the Target tab.", code="definition.destination"
    )
