"""The rows of a frame: from which lines of the input they come, and which of them are refused."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from batch_jobs.strategies.sdk.rejects import Reject
from batch_jobs.strategies.tables.formats.arrow_text import row_as_text

#: The name of a frame's index, which has the lines of the input.
LINE = "line of the input"
#: What texts are where pandas, before its third version, lacks methods of Arrow's own, such as ``str.zfill``.
TEXT = pd.StringDtype("pyarrow") if int(pd.__version__.partition(".")[0]) < 3 else None

Lines = npt.NDArray[np.int64]
#: Makes one frame of another, and refuses rows of it.
Make = Callable[[pd.DataFrame, "FrameRows"], pd.DataFrame]


def frame_of(rows: pa.Table, lines: Lines) -> pd.DataFrame:
    """Rows as a frame of Arrow's types, indexed by their lines."""
    columns = {name: _array(rows.column(name)) for name in rows.column_names}
    return pd.DataFrame(columns, index=pd.Index(lines, name=LINE), copy=False)


def _array(values: pa.ChunkedArray) -> Any:
    if pa.types.is_string(values.type) and TEXT is not None:
        return TEXT.__from_arrow__(values)  # type: ignore[attr-defined]  # the stubs lack it
    return pd.arrays.ArrowExtensionArray(values)


class FrameRows:
    """The rows of the input that a frame was made of; takes what an author refuses of them.

    Args:
        table: the rows as they were read.
        lines: where each starts.
        frame: as the author gets it: all of them, or the good ones.
    """

    def __init__(self, table: pa.Table, lines: Lines, frame: pd.DataFrame) -> None:
        self.table, self.lines, self._index = table, lines, frame.index
        self._by_line = pd.Index(lines)  # finds rows fast from the second time on
        self.refused: list[Reject] = []

    def reject(self, mask: Any, column: str | None, message: str) -> None:
        """Refuse the rows that are marked.

        Args:
            mask: true where a row is refused: a series with the index of the frame or a part of it, or an array as long
                as the frame.
            column: of the reason.
            message: the reason, in a few words.

        Raises:
            ValueError: it is neither.
        """
        self.refuse(self._marked(mask), column, message)

    def refuse(self, index: pd.Index, column: str | None, message: str) -> None:
        """Refuse the rows that an index means.

        Raises:
            ValueError: it does not have the lines.
        """
        if index.name != LINE:
            raise ValueError("reject_rows needs a mask with the frame's index; do not reset that before it")
        for place in self.places(index):
            if place >= 0:
                self.refused.append(Reject(int(self.lines[place]), column, message, self.row(int(place))))

    def row(self, place: int) -> dict[str, str | None]:
        """A row as it was read."""
        return row_as_text(self.table, place)

    def places(self, index: pd.Index) -> Lines:
        """The rows that an index means, by their places in the input; -1 where it means none."""
        if index is self._index and len(index) == len(self.lines):
            return np.arange(len(index))
        if index.name != LINE or not pd.api.types.is_integer_dtype(index.dtype):
            return np.full(len(index), -1)
        return np.asarray(self._by_line.get_indexer(index.astype("int64")), np.int64)

    def _marked(self, mask: Any) -> pd.Index:
        if isinstance(mask, pd.DataFrame) or np.ndim(mask) != 1:
            raise ValueError("reject_rows needs one true or false for each row, such as frame['price'] <= 0")
        if isinstance(mask, pd.Series):
            return _those(mask.index, mask)
        if len(mask) != len(self._index):
            raise ValueError(f"reject_rows got {len(mask)} marks for a frame of {len(self._index)} rows")
        return _those(self._index, mask)


def _those(index: pd.Index, mask: Any) -> pd.Index:
    marks = pd.Series(mask).astype("boolean").fillna(False).to_numpy(dtype=bool)
    marked: pd.Index = index[marks]
    return marked
