"""A context in a form and back."""

import json
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, get_args, get_origin
from urllib.parse import parse_qsl, urlencode
from uuid import UUID

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator
from starlette.datastructures import FormData

from batch_jobs.deployments.web.form_field import Widget
from batch_jobs.deployments.web.forms import NEEDED, WHOLE, ContextForm
from batch_jobs.deployments.web.written_values import NotReadable, Written, holds_secret, members
from batch_jobs.strategies.sdk.context_fields import FileKey, Names, Query, SourceAddress, TableName
from batch_jobs.strategies.sdk.errors import ContextRefused
from batch_jobs.strategies.sdk.registry import load_strategies

BUILT_IN = load_strategies().by_type
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    [
        "",
        " ",
        "\t",
        "null",
        "true",
        "5",
        '"',
        '""',
        "{",
        "[x",
        "a = b",
        "=",
        "a\r\nb",
        "1e5",
        "uploads/1/ä.csv",
        "-0",
        "+1",
    ]
)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
SCALARS = st.none() | st.booleans() | st.integers() | FINITE | TEXTS
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3))


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Inner(BaseModel):
    size: int = 1
    names: list[str] = []


class Own(BaseModel):
    """What a user's own strategy may have."""

    needed: str
    count: Annotated[int, Field(ge=1, le=9)] = 3
    nothing_is_no_default: int | None = 5
    price: Decimal = Decimal("1.50")
    share: float = 0.5
    day: date | None = None
    at: datetime | None = None
    clock: time = time(8)
    colour: Colour = Colour.RED
    colours: list[Colour] = [Colour.RED]
    numbers: list[int] = []
    maybe: list[str] | None = None
    is_on: bool = True
    is_maybe: bool | None = None
    level: Literal[1, 2, "all", None] = 1
    id: UUID | None = None
    inner: Inner | None = None
    inners: list[Inner] = []
    by_name: dict[str, int | str | None] = {}
    anything: Any = None
    called: Annotated[str, Field(alias="calledSo")] = ""
    pair: tuple[int, str] = (1, "a")


def sent(entries: dict[str, list[str]], form: ContextForm) -> FormData:
    """A form as a browser sends it: names and values, encoded, with its own ends of lines."""
    fields = {one.key: one for one in form.fields}
    pairs = [(fields[key].name, text.replace("\n", "\r\n")) for key, texts in entries.items() for text in texts]
    return FormData(parse_qsl(urlencode(pairs), keep_blank_values=True))


def returned(form: ContextForm, context: dict[str, Any]) -> dict[str, Any]:
    parsed, errors = form.parse(sent(form.entries(context), form))
    assert errors == {}
    return parsed


@st.composite
def contexts(draw: st.DrawFn, model: type[BaseModel]) -> BaseModel:
    """A context as it is recorded, of which most fields are what the model has by itself."""
    fields = model.model_fields
    names = [name for name, info in fields.items() if info.is_required()]
    names += draw(st.lists(st.sampled_from(sorted(set(fields) - set(names))), max_size=5, unique=True))
    given = {name: draw(_values(fields[name].annotation)) for name in names}
    while True:
        try:
            return model.model_validate(given, by_name=True)
        except ValidationError as error:
            wrong = {entry["loc"][0] for entry in error.errors() if entry["loc"]} & given.keys()
            wrong = wrong or set(list(given)[-1:])  # of what is wrong with no field, one goes after the other
            assume(wrong)
            given = {name: value for name, value in given.items() if name not in wrong}


def _values(annotation: Any) -> st.SearchStrategy[Any]:
    return st.one_of([_values_of_member(member) for member in members(annotation)])


def _values_of_member(member: Any) -> st.SearchStrategy[Any]:
    origin, args = get_origin(member) or member, get_args(member)
    if origin is Literal:
        return st.sampled_from(args)
    if isinstance(origin, type) and issubclass(origin, BaseModel):
        return st.fixed_dictionaries({}, optional={k: _values(v.annotation) for k, v in origin.model_fields.items()})
    if origin is list:
        return st.lists(_values(args[0]), max_size=3)
    if origin is dict:
        return st.dictionaries(TEXTS, _values(args[1]), max_size=3)
    simple = {
        type(None): st.none(),
        bool: st.booleans(),
        float: FINITE,
        int: st.integers(-1, 99),
        str: TEXTS,
        Any: JSON,
    }
    return simple[member] if member in simple else st.none() if holds_secret(member) else st.from_type(member)


@pytest.mark.parametrize("batch_type", sorted(BUILT_IN))
@settings(deadline=None, max_examples=30)
@given(data=st.data())
def test_a_context_that_is_shown_and_sent_back_is_the_same(batch_type: str, data: st.DataObject) -> None:
    model = BUILT_IN[batch_type].Context
    context = data.draw(contexts(model))

    again = returned(ContextForm(model, may_query=True), context.model_dump(mode="json"))

    assert model.model_validate(again) == context


@settings(deadline=None, max_examples=100)
@given(context=contexts(Own))
def test_a_context_of_an_own_model_is_the_same_too(context: Own) -> None:
    assert Own.model_validate(returned(ContextForm(Own), context.model_dump(mode="json"))) == context


@settings(deadline=None, max_examples=100)
@given(value=JSON)
def test_any_value_of_json_has_a_text(value: Any) -> None:
    for annotation in (Any, dict[str, Any] | list[Any] | str | int | float | bool | None):
        written = Written.of(annotation)
        text = written.write(value, "null")
        read = written.read(text, "null")
        assert json.dumps(read, sort_keys=True) == json.dumps(value, sort_keys=True)
        assert all(line.isprintable() for line in text.split("\n"))


def entered(**texts: str | list[str]) -> FormData:
    pairs = [
        (f"context.{key}", one) for key, many in texts.items() for one in ([many] if isinstance(many, str) else many)
    ]
    return FormData(pairs)


def test_what_is_left_empty_is_absent() -> None:
    context, errors = ContextForm(Own).parse(entered(needed="x", price="", day="", colour="", by_name="", is_maybe=""))

    assert (context, errors) == ({"needed": "x"}, {})


def test_texts_are_read_as_people_write_them() -> None:
    context, errors = ContextForm(Own).parse(
        entered(
            needed="  Mug ",
            numbers="1\r\n\r\n2\r\n",
            by_name="a = 1\r\nb=\r\nc = x = y\r\n",
            inner='{"size": 2,\r\n "names": ["a"]}',
            is_on=["false", "true"],
            colours=["", "blue"],
            calledSo='""',
        )
    )

    assert errors == {}
    assert context == {
        "needed": "Mug",
        "numbers": [1, 2],
        "by_name": {"a": 1, "b": None, "c": "x = y"},
        "inner": {"size": 2, "names": ["a"]},
        "is_on": True,
        "colours": ["blue"],
        "calledSo": "",
    }


def test_each_error_stands_at_its_field() -> None:
    form = ContextForm(Own)
    context, errors = form.parse(
        entered(count="10", day="soon", by_name="a", inner='{"size": 1', inners='[{"size": "x"}]', colour="green")
    )

    assert errors.keys() == {"needed", "count", "day", "by_name", "inner", "inners", "colour"}
    assert errors["needed"] == [NEEDED]
    assert errors["count"] == ["Input should be less than or equal to 9"]
    assert errors["by_name"] == ["line 1 has to be: name = value"]
    assert errors["inner"] == ["this is no JSON: Expecting ',' delimiter (line 1, column 11)"]
    assert errors["inners"][0].startswith("0.size: Input should be a valid integer")
    assert "by_name" not in context


def test_what_a_model_refuses_as_a_whole_stands_at_no_field() -> None:
    class Pair(BaseModel):
        low: int = 1
        high: int = 2

        @model_validator(mode="after")
        def _ordered(self) -> "Pair":
            if self.low > self.high:
                raise ValueError("low is above high")
            return self

        @field_validator("high")
        @classmethod
        def _even(cls, value: int) -> int:
            raise SystemExit("no") if value == 13 else (value if value != 7 else _refuse())

    def _refuse() -> int:
        raise ValueError("not seven")

    assert ContextForm(Pair).parse(entered(low="3"))[1] == {WHOLE: ["low is above high"]}
    assert ContextForm(Pair).parse(entered(high="7"))[1] == {"high": ["not seven"]}
    assert ContextForm(Own).wrong(ContextRefused("x", ["needed"])) == {"needed": [NEEDED]}
    assert ContextForm(Own).wrong(ContextRefused("no such table")) == {WHOLE: ["no such table"]}


@pytest.mark.parametrize(
    "text", ["{", "[1, 2", '{"a": NaN}', '{"a": 1, "a": 2}', "[" * 100_000, '{"a": ' + "9" * 5000 + "}", "a"]
)
def test_a_mapping_that_cannot_be_read_is_an_error_in_words(text: str) -> None:
    with pytest.raises(NotReadable):
        Written.of(dict[str, Any]).read(text)


class Secrets(BaseModel):
    token: SecretStr
    source: SourceAddress | None = None
    logins: list[SecretStr] = []
    plain: str = ""
    headers: dict[str, str] = {}


def test_secrets_are_never_sent_back() -> None:
    form = ContextForm(Secrets)
    given = {"token": "s3cret", "source": "s3cret", "logins": ["s3cret"], "headers": {"a": "**********", "b": "1"}}

    assert form.entries(given | {"plain": "**********"}) == {
        "token": [""],
        "source": [""],
        "logins": [""],
        "plain": [""],
        "headers": ["b = 1"],
    }
    assert "s3cret" not in str(form.entered(entered(token="s3cret", source="s3cret", logins="s3cret", plain="p")))
    assert form.parse(entered(token="s3cret", logins="a\r\nb"))[0] == {"token": "s3cret", "logins": ["a", "b"]}
    assert [one.widget for one in form.fields[:3]] == [Widget.SECRET, Widget.SECRET, Widget.SECRET_LINES]


def test_fields_are_drawn_by_their_types() -> None:
    class Marked(BaseModel):
        key: FileKey
        file_key: str = ""
        table: TableName | None = None
        tables: list[TableName] = []
        query: Query | None = None

    drawn = {one.key: one.widget for one in (*ContextForm(Own).fields, *ContextForm(Marked, may_query=True).fields)}
    assert drawn == {
        "needed": "line", "count": "number", "nothing_is_no_default": "line", "price": "number", "share": "number",
        "day": "date", "at": "datetime", "clock": "time", "colour": "choice", "colours": "choices",
        "numbers": "lines", "maybe": "lines", "is_on": "flag", "is_maybe": "choice", "level": "choice", "id": "line",
        "inner": "lines", "inners": "lines", "by_name": "lines", "anything": "lines", "calledSo": "line",
        "pair": "lines", "key": "file", "file_key": "file", "table": "table", "tables": "lines", "query": "lines",
    }  # fmt: skip
    count = next(one for one in ContextForm(Own).fields if one.key == "count")
    assert (count.bounds, count.is_whole, count.default_text) == ({"min": 1, "max": 9}, True, "3")
    assert ContextForm(Marked).naming(Names.QUERY) == []


def test_a_model_that_takes_any_field_has_one_for_the_others() -> None:
    class Open(BaseModel):
        model_config = ConfigDict(extra="allow")
        size: int = 1

    assert returned(ContextForm(Open), {"size": 2, "a": "x", "b": [1]}) == {"size": 2, "a": "x", "b": [1]}
