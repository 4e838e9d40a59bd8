"""How a column is called inside a script."""

import re
from collections.abc import Sequence
from functools import lru_cache

OTHER = re.compile(r"\W")


@lru_cache(maxsize=10_000)
def token(column: str) -> str:
    """Give the name a script uses after `this.`: an underscore, then the column with other characters as `_`."""
    return "_" + OTHER.sub("_", column)


def mentioned(scripts: Sequence[str], columns: Sequence[str]) -> list[int]:
    """Give the indexes of the columns that the scripts may look at; all of them where that cannot be told.

    A script that only ever writes `this._Column` looks at those; one that hands `this` on, or looks at `this.rows`, may look at any.
    """
    used: set[str] = set()
    for script in scripts:
        for match in re.finditer(r"\bthis\b(\s*\.\s*(\w+))?", script):
            if match[2] in (None, "rows"):
                return list(range(len(columns)))
            used.add(match[2])
        if re.search(r"\b(eval|Function|constructor)\b", script) or "\\" in script:
            return list(range(len(columns)))
    return [index for index, column in enumerate(columns) if token(column) in used]
