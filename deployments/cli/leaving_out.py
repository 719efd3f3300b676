"""The options of ``confirm`` that leave parts of a job out."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from batch_jobs.deployments.errors import UsageRefused
from batch_jobs.strategies.sdk.leaving_out import Kind

KINDS: tuple[str, ...] = get_args(Kind)
#: ``price falls more than 50 %``, ``stock rises by 200%``, ``price becomes empty``.
RULE = re.compile(
    r"(?P<column>.+?)\s+(?:becomes\s+(?P<empty>empty)|(?P<way>falls|rises)\s+(?:by\s+)?(?:more\s+than\s+)?"
    r"(?P<percent>\d+(?:\.\d+)?)\s*%)",
    re.IGNORECASE,
)

LeftOutColumns = Annotated[
    list[str] | None,
    typer.Option("--leave-out-column", metavar="COLUMN", help="Known rows keep what they have in this column."),
]
LeftOutKinds = Annotated[
    list[str] | None,
    typer.Option("--leave-out-kind", metavar="KIND", help="Leave rows out that are created, updated or removed."),
]
OnlyKinds = Annotated[
    list[str] | None,
    typer.Option("--only", metavar="KIND", help="Leave all rows out that are not created, updated or removed."),
]
LeftOutKeys = Annotated[
    list[str] | None,
    typer.Option(
        "--leave-out-key",
        metavar="KEY",
        help='Leave the row with this key out; of a key of several columns as JSON, such as \'["A-1", "EU"]\'.',
    ),
]
LeftOutLines = Annotated[
    list[str] | None,
    typer.Option(
        "--leave-out-line", metavar="LINE", help="Leave the row on this line out; of several files FILE:LINE."
    ),
]
LeftOutRules = Annotated[
    list[str] | None,
    typer.Option(
        "--leave-out-where",
        metavar="RULE",
        help="Leave known rows out by how they change: 'price falls more than 50 %', 'price becomes empty'.",
    ),
]
LeftOut = Annotated[
    str | None,
    typer.Option(
        "--leave-out", metavar="JSON|@FILE", help="All that is left out, as the HTTP API takes it.", show_default=False
    ),
]


def what_is_left_out(
    whole: str | None,
    columns: Sequence[str] | None,
    kinds: Sequence[str] | None,
    only: Sequence[str] | None,
    keys: Sequence[str] | None,
    lines: Sequence[str] | None,
    rules: Sequence[str] | None,
) -> dict[str, Any]:
    """What was typed, in the form of ``LeaveOut``; the single options add to the whole.

    Raises:
        UsageRefused: it cannot be read.
    """
    left_out = _whole(whole) if whole is not None else {}
    typed: dict[str, list[Any]] = {
        "columns": list(columns or ()),
        "kinds": [*(_kind(name) for name in kinds or ()), *_others(only or ())],
        "keys": [_key(text) for text in keys or ()],
        "lines": [_line(text) for text in lines or ()],
        "rules": [_rule(text) for text in rules or ()],
    }
    for part, values in typed.items():
        if values:
            left_out[part] = [*left_out.get(part, []), *values]
    return left_out


def _whole(text: str) -> dict[str, Any]:
    source = "--leave-out"
    if text.startswith("@"):
        source = text[1:]
        try:
            text = Path(source).expanduser().read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageRefused(f"the file {source} cannot be read: {getattr(error, 'strerror', error)}") from None
    try:
        value = json.loads(text)
    except ValueError as error:
        raise UsageRefused(f"{source} is not JSON: {error}") from None
    if not isinstance(value, dict) or not all(isinstance(part, list) for part in value.values()):
        raise UsageRefused(f'{source} must be a JSON object of lists such as {{"columns": ["price"]}}')
    return value


def _kind(name: str) -> str:
    if name not in KINDS:
        raise UsageRefused(f"{name!r} is none of {', '.join(KINDS)}")
    return name


def _others(only: Sequence[str]) -> list[str]:
    wanted = {_kind(name) for name in only}
    return [name for name in KINDS if wanted and name not in wanted]


def _key(text: str) -> Any:
    if text[:1] not in ("[", "{"):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def _line(text: str) -> Any:
    file, _, number = text.rpartition(":")
    if not (number.isascii() and number.isdigit()):
        raise UsageRefused(f"--leave-out-line takes a number, or FILE:NUMBER, not {text!r}")
    return {"file": file, "line": int(number)} if file else int(number)


def _rule(text: str) -> dict[str, Any]:
    found = RULE.fullmatch(text.strip())
    if found is None:
        raise UsageRefused(
            f"--leave-out-where takes a rule such as 'price falls more than 50 %', 'stock rises more than 200 %' or"
            f" 'price becomes empty', not {text!r}"
        )
    column, percent = found["column"], found["percent"]
    if found["empty"]:
        return {"column": column, "becomes_empty": True}
    if found["way"].lower() == "falls":
        return {"column": column, "change_percent_below": f"-{percent}"}
    return {"column": column, "change_percent_above": percent}
