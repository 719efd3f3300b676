"""What is typed after ``-c`` and ``--context``, by the fields of a model."""

from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from batch_jobs.deployments.cli.context import read_context
from batch_jobs.deployments.errors import UsageRefused


class Context(BaseModel):
    file_key: str = ""
    limit: int | None = None
    key: list[str] = []
    rate: Literal[1, 2] = 1
    names: dict[str, str] = {}


def read(*pairs: str, whole: str | None = None) -> dict[str, Any]:
    return read_context(Context, pairs, whole, lambda path: f"uploads/{path.name}")


@pytest.mark.parametrize(
    ("pairs", "context"),
    [
        (["limit=3"], {"limit": "3"}),
        (["limit=null"], {"limit": None}),
        (["file_key=null"], {"file_key": "null"}),
        (["key=a, b", "key=c"], {"key": ["a", "b", "c"]}),
        (['key=["a,b"]'], {"key": ["a,b"]}),
        (["rate=2"], {"rate": 2}),
        (['names={"a": "b"}'], {"names": {"a": "b"}}),
        (["file_key=@@me"], {"file_key": "@me"}),
        (["file_key=a=b"], {"file_key": "a=b"}),
    ],
)
def test_values_are_read_as_their_fields_want_them(pairs: list[str], context: dict[str, Any]):
    assert read(*pairs) == context


def test_a_file_is_put_into_the_store_only_when_all_can_be_read(tmp_path: Path):
    goods = tmp_path / "goods.csv"
    goods.touch()
    assert read(f"file_key=@{goods}", whole='{"limit": 1}') == {"file_key": "uploads/goods.csv", "limit": 1}
    put: list[Path] = []
    with pytest.raises(UsageRefused, match="cannot be read"):
        read_context(Context, [f"file_key=@{goods}", f"key=@{tmp_path}/none"], None, lambda path: str(put.append(path)))
    assert put == []


@pytest.mark.parametrize(
    ("pairs", "whole", "words"),
    [
        (["limit"], None, "-c takes KEY=VALUE, not 'limit'"),
        (["=3"], None, "-c takes KEY=VALUE, not '=3'"),
        (["names=[1"], None, "names takes JSON"),
        ([], "[1]", "--context must be a JSON object"),
        ([], "{", "--context is not JSON"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(pairs: list[str], whole: str | None, words: str):
    with pytest.raises(UsageRefused) as refused:
        read(*pairs, whole=whole)
    assert str(refused.value).startswith(words)
