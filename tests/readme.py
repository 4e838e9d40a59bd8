"""The README and CONTRIBUTING.md as tests read them: their command blocks, tables and named paths."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, kw_only=True)
class Block:
    """A fenced block: the heading it stands under, its language and its text."""

    heading: str
    language: str
    text: str


def blocks(name: str = "README.md") -> list[Block]:
    """Give every fenced block of a document, in order."""
    found, heading, language, lines = [], "", None, []
    for line in (ROOT / name).read_text().splitlines():
        if line.startswith("```"):
            if language is None:
                language, lines = line.removeprefix("```"), []
            else:
                found.append(Block(heading=heading, language=language, text="\n".join(lines) + "\n"))
                language = None
        elif language is not None:
            lines.append(line)
        elif line.startswith("#"):
            heading = line.lstrip("# ")
    return found


def table_rows(heading: str, name: str = "README.md") -> list[list[str]]:
    """Give the rows of the tables under a heading, without their heads."""
    section = re.split(r"^#+ ", (ROOT / name).read_text(), flags=re.MULTILINE)
    (text,) = (part for part in section if part.startswith(f"{heading}\n"))
    lines = [line for line in text.splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    ruled = [number for number, row in enumerate(rows) if set("".join(row)) <= set("-: ")]
    return [row for number, row in enumerate(rows) if number not in ruled and number + 1 not in ruled]
