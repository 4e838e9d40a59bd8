"""What the Target tab asks of files, what is taken where nobody was asked, and what does not go together."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from integrations.connectors.delimited import DELIMITERS
from integrations.connectors.outputs import openpgp
from integrations.connectors.outputs.formats import FILE_ENCODINGS, picture
from integrations.connectors.spec import FieldKind, Setting
from integrations.engine.errors import DefinitionError
from integrations.engine.file_name import pattern_complaint
from integrations.engine.plan import Line

PGP_ENDINGS = (".pgp", ".gpg", ".asc")
CSV = ("format", "csv")
FORMAT = Setting(
    name="format",
    label="Format",
    kind=FieldKind.CHOICE,
    default="csv",
    choices=(("csv", "Delimited text (CSV, TSV …)"), ("xlsx", "Excel workbook (.xlsx)")),
)
EXISTING = Setting(
    name="existing",
    label="When the file is there already",
    kind=FieldKind.CHOICE,
    default="fail",
    choices=(
        ("fail", "Fail: nothing is sent"),
        ("number", "Add a number to the name"),
        ("append", "Append to it"),
        ("replace", "Replace it"),
    ),
    help="Append goes with delimited text that is not encrypted and has the same columns.",
)
KEEP = Setting(
    name="keep",
    label="Also keep the file with the run, for download",
    kind=FieldKind.SWITCH,
    default=False,
)
TEXT = (
    Setting(name="delimiter", label="Delimiter", kind=FieldKind.CHOICE, default=",", choices=DELIMITERS, only_with=CSV),
    Setting(
        name="encoding", label="Encoding", kind=FieldKind.CHOICE, default="utf-8", choices=FILE_ENCODINGS, only_with=CSV
    ),
    Setting(
        name="quoting",
        label="Quotes",
        kind=FieldKind.CHOICE,
        default="needed",
        choices=(("needed", "Where they are needed"), ("all", "Around every value")),
        only_with=CSV,
    ),
    Setting(
        name="line_end",
        label="Line ends",
        kind=FieldKind.CHOICE,
        default="crlf",
        choices=(("crlf", "CR LF, as RFC 4180 and Windows"), ("lf", "LF, as Linux")),
        only_with=CSV,
    ),
    Setting(
        name="decimal_mark",
        label="Decimal mark",
        kind=FieldKind.CHOICE,
        default=".",
        choices=((".", "Point: 1234.50"), (",", "Comma: 1234,50")),
        only_with=CSV,
    ),
    Setting(
        name="date_format",
        label="Dates",
        default="YYYY-MM-DD",
        help="YYYY, MM and DD with what stands between.",
        only_with=CSV,
        read=lambda text: picture(text) and (),
    ),
    Setting(
        name="datetime_format",
        label="Dates with a time",
        default="YYYY-MM-DD hh:mm:ss",
        help="Also hh, mm and ss.",
        only_with=CSV,
        read=lambda text: picture(text) and (),
    ),
    Setting(
        name="header",
        label="First line: the names of the columns",
        kind=FieldKind.SWITCH,
        default=True,
        only_with=CSV,
    ),
    Setting(
        name="guard",
        label="Keep spreadsheets from calculating",
        kind=FieldKind.SWITCH,
        default=True,
        help="Text that begins with = @ + - gets an apostrophe before it, unless it is a plain number.",
        only_with=CSV,
    ),
)
SHEET = Setting(name="sheet", label="Sheet", default="Rows", only_with=("format", "xlsx"))
RECIPIENTS = Setting(
    name="recipients",
    label="Encrypt to these public keys (OpenPGP)",
    kind=FieldKind.LONG_TEXT,
    help="Paste the public key of each who may read the file; .pgp is added to its name. Empty: not encrypted.",
    read=openpgp.told,
)
OF_FOLDERS = (FORMAT, EXISTING, *TEXT, SHEET, RECIPIENTS, KEEP)
OF_DOWNLOADS = (FORMAT, *TEXT, SHEET, RECIPIENTS)


def filled_up(options: Mapping[str, Any]) -> dict[str, Any]:
    """Give every option, those that nobody answered with their default."""
    defaults = {setting.name: setting.default for setting in OF_FOLDERS}
    return defaults | {name: value for name, value in options.items() if value not in (None, "")}


def number_of(options: Mapping[str, Any], default: int) -> int:
    """Give how many documents a segment holds (the option `batch_documents`)."""
    try:
        return max(1, min(int(options.get("batch_documents") or default), default))
    except ValueError:
        raise DefinitionError(
            f"“{options['batch_documents']}” is no number. Correct batch_documents of the destination.",
            code="definition.batch_documents",
        ) from None


def complaints(options: Mapping[str, Any], lines: Sequence[Line]) -> Iterator[str]:
    """Say what keeps these options and lines from making files."""
    asked = filled_up(options)
    is_workbook = asked["format"] == "xlsx"
    if asked["existing"] == "append" and (is_workbook or asked["recipients"]):
        what = "a workbook" if is_workbook else "an encrypted file"
        yield f"Nothing can be appended to {what}. Choose on the Target tab what happens when the file is there."
    for setting in OF_FOLDERS:
        if setting.read is not None and asked[setting.name]:
            try:
                setting.read(str(asked[setting.name]))
            except DefinitionError as error:
                yield f"{setting.label}: {error.sentence}"
    for line in lines:
        if not line.target:
            continue
        if said := pattern_complaint(line.target):
            yield f"“{line.target}”, the file name of the line {line.name}, {said}."
        elif is_workbook and not line.target.lower().removesuffix(".pgp").endswith(".xlsx"):
            yield f"“{line.target}”, the file name of the line {line.name}, does not end in .xlsx, and is a workbook."
