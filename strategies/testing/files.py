"""A file store into which tests put their input."""

from collections.abc import Callable
from io import BytesIO
from pathlib import PurePath
from typing import TYPE_CHECKING

from batch_jobs.strategies.sdk.files import FileStore

if TYPE_CHECKING:
    import pandas as pd

#: How a frame is written, by the end of the file's name.
_WRITERS: dict[str, "Callable[[pd.DataFrame, BytesIO], object]"] = {
    ".csv": lambda frame, stream: frame.to_csv(stream, index=False),
    ".tsv": lambda frame, stream: frame.to_csv(stream, index=False, sep="\t"),
    ".jsonl": lambda frame, stream: frame.to_json(stream, orient="records", lines=True, date_format="iso"),
    ".parquet": lambda frame, stream: frame.to_parquet(stream, index=False),
    ".xlsx": lambda frame, stream: frame.to_excel(stream, index=False),  # needs openpyxl, as pandas says
}


class Files(FileStore):
    """The file store of a test."""

    def add(self, name: str, content: "str | bytes | pd.DataFrame") -> str:
        """Put a file into the store.

        Args:
            name: its name, which says the format.
            content: its text, its bytes, or its rows; of a frame the index is left out.

        Returns:
            The key, for the context's ``file_key``.

        Raises:
            ValueError: a frame cannot be written as a file of such a name.
        """
        if isinstance(content, str):
            content = content.encode()
        return self.put(BytesIO(content if isinstance(content, bytes) else _written(content, name)), name)

    def read(self, key: str) -> bytes:
        """The bytes of a file, such as one that a job wrote.

        Raises:
            FileMissing: there is none.
        """
        with self.open(key) as stream:
            return stream.read()


def _written(frame: "pd.DataFrame", name: str) -> bytes:
    write = _WRITERS.get(PurePath(name).suffix.lower())
    if write is None:
        raise ValueError(f"a frame is written as {', '.join(_WRITERS)}, and not as {name}; give its text or its bytes")
    stream = BytesIO()
    write(frame, stream)
    return stream.getvalue()
