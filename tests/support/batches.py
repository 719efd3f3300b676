"""What a reader gives, and that it goes on from any batch."""

from batch_jobs.strategies.tables.formats.reading import Reader


def rows(reader: Reader) -> list[dict[str, str | None]]:
    """All rows that can be read."""
    return [row for batch in reader.batches() for row in batch.table.to_pylist()]


def resumes(reader: Reader) -> None:
    """Reading from the start of any batch gives that batch and those after it."""
    batches = list(reader.batches())
    assert len(batches) > 1
    for index, batch in enumerate(batches):
        assert list(reader.batches(batch.start)) == batches[index:]
