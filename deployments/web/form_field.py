"""One field of a form: how it is drawn, which texts a value is in it, and which value the texts are."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from enum import StrEnum
from typing import Any, get_args

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined, to_jsonable_python

from batch_jobs.deployments.web.written_values import NULL, Kind, Written, as_json, holds_secret, members
from batch_jobs.strategies.sdk.context_fields import Names, keys_of, kind_of

#: How the names of the context's fields begin in the form; others are the page's own.
PREFIX = "context."


class Widget(StrEnum):
    """How a field is drawn; the name of a macro of ``form_fields.html``."""

    LINE = "line"
    LINES = "lines"
    NUMBER = "number"
    FLAG = "flag"
    CHOICE = "choice"
    CHOICES = "choices"
    DATE = "date"
    TIME = "time"
    DATETIME = "datetime"
    FILE = "file"
    TABLE = "table"
    SECRET = "secret"
    SECRET_LINES = "secret_lines"


MOMENTS = {datetime: Widget.DATETIME, date: Widget.DATE, time: Widget.TIME}
#: What a browser's own picker can hold; another value is shown as text.
PICKED = {Widget.DATETIME: "%Y-%m-%dT%H:%M:%S", Widget.DATE: "%Y-%m-%d", Widget.TIME: "%H:%M:%S"}


@dataclass(frozen=True)
class FormField:
    """A field of a context in a form.

    Args:
        key: its name in the context.
        label: what it is called.
        help: what is said of it.
        widget: how it is drawn.
        written: how its values are written.
        names: what its value names, such as a file.
        is_required: whether it has no default.
        default: of JSON; ``None`` where there is none.
        bounds: ``min`` and ``max`` of a number.
        is_whole: whether a number has no fraction.
        shown: what is shown of choices that do not speak for themselves.
        suggestions: values that are likely meant, and what is shown of them; others may be entered.
    """

    key: str
    label: str
    help: str
    widget: Widget
    written: Written
    names: Names | None = None
    is_required: bool = False
    default: Any = None
    bounds: Mapping[str, Any] = field(default_factory=dict)
    is_whole: bool = False
    shown: Mapping[Any, str] = field(default_factory=dict)
    suggestions: Sequence[tuple[str, str]] = ()

    @property
    def name(self) -> str:
        """Its name in the form."""
        return PREFIX + self.key

    @property
    def id(self) -> str:
        """Its id in the page."""
        return f"field-{self.key}"

    @property
    def is_secret(self) -> bool:
        """Whether what was entered is never sent back."""
        return self.widget in (Widget.SECRET, Widget.SECRET_LINES)

    @property
    def takes_many(self) -> bool:
        """Whether its value may be a list."""
        return Kind.LIST in self.written.kinds

    @property
    def has_lines(self) -> bool:
        """Whether what is in it may have several lines."""
        return self.takes_many and Kind.TEXT not in self.written.kinds

    @property
    def default_text(self) -> str:
        """What holds where it is left empty, ``""`` where that is nothing."""
        return "" if self.default in (None, "", [], {}) else self.written.write(self.default)

    @property
    def options(self) -> list[tuple[str, str]]:
        """The choices: text in the form, and what is shown."""
        choices: Sequence[Any] = self.written.choices or self._item_choices
        if self.widget is Widget.CHOICE and self.written.kinds <= {Kind.BOOL, Kind.NULL}:
            choices = (True, False)
        found = [(self._option(choice), self.shown.get(choice, str(choice))) for choice in choices]
        return [*found, (NULL, "")] if self._null and self.widget is Widget.CHOICE else found

    @property
    def empty_texts(self) -> list[str]:
        """What is in the form where no value is given."""
        has_ticks = self.widget in (Widget.FLAG, Widget.CHOICES)
        return self.texts(self.default) if has_ticks and not self.is_required else [""]

    def texts(self, value: Any) -> list[str]:
        """What a value is in the form."""
        if self.is_secret:
            return [""]
        if self.widget is Widget.FLAG:
            return ["false", "true"] if value else ["false"]
        if self.widget is Widget.CHOICES and _are_in_order(value, self._item_choices):
            return ["", *map(self._option, value)]
        if not self.is_required and as_json(value) == as_json(self.default):
            return [""]
        return [self.written.write(value, self._null)]

    def read(self, texts: Sequence[str]) -> Any:
        """The value of what was entered; raises ``NotReadable``, and ``LookupError`` where nothing was."""
        is_ticked = self.widget is Widget.CHOICES or len(texts) > 1  # a view may draw any list as ticks
        if is_ticked and texts[:1] == [""] and self.written.item:
            return [self.written.item.read(text, NULL) for text in texts[1:] if text]
        if not texts or not texts[-1]:
            raise LookupError(self.key)
        return self.written.read(texts[-1], self._null)

    def picks(self, text: str) -> bool:
        """Whether the browser's own picker of days and times can hold a text."""
        if not text:
            return True
        with suppress(ValueError):
            datetime.strptime(text, PICKED[self.widget])
            return True
        return False

    @property
    def _null(self) -> str | None:
        """Nothing needs a word only where it is not the default."""
        needs_word = Kind.NULL in self.written.kinds and (self.is_required or self.default is not None)
        return NULL if needs_word else None

    def _option(self, choice: Any) -> str:
        written = self.written.item if self.widget is Widget.CHOICES and self.written.item else self.written
        return written.write(choice, NULL)

    @property
    def _item_choices(self) -> Sequence[Any]:
        return self.written.item.choices if self.written.item else ()


def field_of(model: type[BaseModel], name: str, info: FieldInfo) -> FormField:
    """The field of a form for one of a model's."""
    names, written = kind_of(name, info), Written.of(info.annotation)
    if names is Names.QUERY:
        written = Written(written.kinds, has_lines=True)
    default = _default(info)
    is_required = info.is_required()
    widget = _widget(info, names, written, default if not is_required else PydanticUndefined)
    return FormField(
        key=key_of(model, name, info),
        label=info.title or name.replace("_", " ").capitalize(),
        help=info.description or "",
        widget=widget,
        written=written,
        names=names,
        is_required=is_required,
        default=default,
        bounds=_bounds(info, is_whole=Kind.INT in written.kinds) if widget is Widget.NUMBER else {},
        is_whole=Kind.INT in written.kinds and Kind.FLOAT not in written.kinds,
    )


def _widget(info: FieldInfo, names: Names | None, written: Written, default: Any) -> Widget:
    kinds, has_parts = written.kinds - {Kind.NULL}, bool(written.kinds & {Kind.LIST, Kind.DICT})
    if holds_secret(info.annotation):
        return Widget.SECRET_LINES if has_parts else Widget.SECRET
    if names is Names.FILE:
        return Widget.FILE
    if names is Names.TABLE and not has_parts:
        return Widget.TABLE
    if kinds == {Kind.BOOL}:
        return Widget.CHOICE if Kind.NULL in written.kinds else Widget.FLAG
    if written.is_closed and written.choices:
        return Widget.CHOICE
    if written.kinds == {Kind.LIST} and written.item and written.item.is_closed and written.item.choices:
        return Widget.CHOICES
    if has_parts or written.has_lines:
        return Widget.LINES
    return _scalar_widget(info.annotation, is_null_default=default is None or Kind.NULL not in written.kinds)


def _scalar_widget(annotation: Any, is_null_default: bool) -> Widget:
    """Pickers hold no word for nothing, so they are for where that is the default."""
    types = {member for member in members(annotation) if member is not type(None)}
    if not is_null_default:
        return Widget.LINE
    if types and types <= {int, float, Decimal}:
        return Widget.NUMBER
    return MOMENTS.get(next(iter(types)), Widget.LINE) if len(types) == 1 else Widget.LINE


def _default(info: FieldInfo) -> Any:
    if info.is_required() or holds_secret(info.annotation):
        return None
    with suppress(Exception):  # a factory of the user's, which may want what is not there yet
        value = info.get_default(call_default_factory=True, validated_data={})
        return None if value is PydanticUndefined else to_jsonable_python(value)
    return None


def key_of(model: type[BaseModel], name: str, info: FieldInfo) -> str:
    """The name under which the model takes a field's value."""
    config = model.model_config
    by_name = config.get("populate_by_name") or config.get("validate_by_name")
    keys = [key for key in keys_of(name, info) if key != name]
    alias = info.validation_alias
    takes_name = alias is None or by_name or name in getattr(alias, "choices", [alias])
    return name if takes_name or not keys else keys[0]


def _bounds(info: FieldInfo, is_whole: bool) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for mark in _marks([*info.metadata, info.annotation]):
        if isinstance(mark, Ge) or (isinstance(mark, Gt) and is_whole):
            found["min"] = mark.ge if isinstance(mark, Ge) else int(mark.gt) + 1  # type: ignore[call-overload]
        if isinstance(mark, Le) or (isinstance(mark, Lt) and is_whole):
            found["max"] = mark.le if isinstance(mark, Le) else int(mark.lt) - 1  # type: ignore[call-overload]
    return found


def _marks(parts: Iterable[Any]) -> Iterable[Any]:
    for part in parts:
        yield part
        if isinstance(part, FieldInfo):
            yield from part.metadata
        yield from _marks([*getattr(part, "__metadata__", ()), *get_args(part)])


def _are_in_order(value: Any, choices: Sequence[Any]) -> bool:
    return isinstance(value, list) and value == [choice for choice in choices if choice in value]
