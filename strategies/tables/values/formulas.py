"""Cells that a spreadsheet would run as formulas, made harmless and restored.

A text that begins with ``=``, ``+``, ``-``, ``@``, a tab or a carriage return, behind any number of apostrophes, gets
one more apostrophe on the way out, and loses one on the way in: no two texts become the same, so that export and import
give every cell back.
"""

import re
from typing import Any

import pyarrow.compute as pc

_DANGEROUS = re.compile(r"'*[=+\-@\t\r]")
_MARKED = re.compile(r"'+[=+\-@\t\r]")
_DANGEROUS_CELL = r"^'*[=+\-@\t\r]"
_MARKED_CELL = r"^'+[=+\-@\t\r]"


def neutralise_cell(cell: str) -> str:
    """The text as it may stand in a spreadsheet."""
    return f"'{cell}" if _DANGEROUS.match(cell) else cell


def restore_cell(cell: str) -> str:
    """The text as it was before ``neutralise_cell``."""
    return cell[1:] if _MARKED.match(cell) else cell


def neutralise(cells: Any) -> Any:
    """``neutralise_cell`` of every cell of an Arrow array; null stays null."""
    dangerous = pc.match_substring_regex(cells, _DANGEROUS_CELL)
    if not pc.any(dangerous).as_py():
        return cells
    return pc.if_else(dangerous, pc.binary_join_element_wise("'", cells, ""), cells)


def restore(cells: Any) -> Any:
    """``restore_cell`` of every cell of an Arrow array; null stays null."""
    if not pc.any(pc.starts_with(cells, "'")).as_py():  # much cheaper than the pattern, and nearly always the answer
        return cells
    return pc.if_else(pc.match_substring_regex(cells, _MARKED_CELL), pc.utf8_slice_codeunits(cells, 1), cells)
