"""What to say of rows whose key is in the table though it should not be, or the other way round."""

from dataclasses import dataclass

from batch_jobs.strategies.sdk.rejects import Reject
from batch_jobs.strategies.tables.databases.loading import UPDATING, Destination
from batch_jobs.strategies.tables.databases.naming import shown
from batch_jobs.strategies.tables.values.converting import Checked


@dataclass(frozen=True)
class Words:
    """The reasons for refusing rows of a batch that have the destination's columns."""

    checked: Checked
    destination: Destination

    @property
    def cannot_insert(self) -> bool:
        """Whether all these rows would be new and cannot be."""
        return self.destination.mode not in UPDATING and bool(self.destination.needs)

    @property
    def lacking(self) -> str:
        """What a new row lacks."""
        return f"a new row needs a value for {shown(self.destination.needs)}"

    def known(self, index: int) -> str:
        """Of a row whose key is there."""
        return f"key {self.checked.key_text(index)} is already in {self.destination.table.fullname}"

    def unknown(self, index: int) -> str:
        """Of a row whose key is not there."""
        missing = f"key {self.checked.key_text(index)} is not in {self.destination.table.fullname}"
        return missing if self.destination.mode == "update" else f"{missing}, and {self.lacking}"

    def refuse(self, index: int, message: str) -> Reject:
        """Refuse a row."""
        return self.checked.refuse(index, message)
