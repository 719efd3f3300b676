"""Which errors of PostgreSQL are about a row, and which say that it cannot work."""

import re

import psycopg

#: SQLSTATE classes and codes of refusals: cardinality, data, integrity, WITH CHECK OPTION, RAISE in a trigger, a value
#: too long for an index, and what extensions say in their own words.
ROW_STATES = ("21", "22", "23", "44", "P0001", "P0004", "54000", "XX000")
#: Classes in which a type's own input function may say so; from anything else they would be our fault or the server's.
INPUT_STATES = ("0A", "2F", "38", "39", "42")
#: What COPY says it was at when a cell was not taken: ``COPY t, line 2, column c: "x"``, and in binary without the
#: cell; the words may be translated.
IN_A_CELL = re.compile(r'^COPY [^:"]*,([^:"]*,[^:"]*: "|[^:",]*\d,[^:"]*$)', re.MULTILINE)
#: The function of the server that holds rows against policies, which gives the same SQLSTATE as a missing privilege.
POLICY_CHECK = "ExecWithCheckOptions"


def is_about_a_row(error: Exception) -> bool:
    """Whether the server refused a row, and all others may go in."""
    if not isinstance(error, psycopg.Error) or error.sqlstate is None:
        return isinstance(error, psycopg.DataError)  # by the driver itself
    if error.sqlstate.startswith(ROW_STATES) or error.diag.source_function == POLICY_CHECK:
        return True
    return error.sqlstate.startswith(INPUT_STATES) and bool(IN_A_CELL.search(error.diag.context or ""))
