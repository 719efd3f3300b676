"""Values as people write them in a field of a form, and back: each text is read as one value, each value has a text.

Numbers, words and lists stand as they are: a list has an entry a line, a mapping ``name = value`` a line. Whatever that
cannot say is written as JSON: ``""`` for an empty text, ``"\\t"`` for a tab, ``["a", "b"]`` for a list within a list.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, Secret, SecretBytes, SecretStr
from typing_extensions import TypeAliasType

WHOLE = re.compile(r"[+-]?\d{1,300}")
NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,300})(?:\.\d{1,300})?(?:[eE][+-]?\d{1,3})?")
LINE = re.compile(r"\r\n|\r|\n")
NULL = "null"
SECRETS = (Secret, SecretStr, SecretBytes)


class Kind(StrEnum):
    """What a value can be in JSON."""

    NULL = auto()
    BOOL = auto()
    INT = auto()
    FLOAT = auto()
    TEXT = auto()
    LIST = auto()
    DICT = auto()


SCALARS: Mapping[Any, Kind] = {NoneType: Kind.NULL, bool: Kind.BOOL, int: Kind.INT, float: Kind.FLOAT}
LISTS = (list, tuple, set, frozenset, Sequence)
KINDS: Mapping[type, Kind] = {**SCALARS, str: Kind.TEXT, list: Kind.LIST, dict: Kind.DICT}


class NotReadable(ValueError):
    """A text that is not written as its field wants it; the message says where and how."""


@dataclass(frozen=True)
class Written:
    """How the values of a type are written.

    Args:
        kinds: what they can be.
        choices: those that are named, such as a ``Literal``'s.
        is_closed: whether there are no others than the choices.
        item: how the entries of a list are written.
        value: how the values of a mapping are written.
        has_lines: whether a text may have several lines.
    """

    kinds: frozenset[Kind]
    choices: tuple[Any, ...] = ()
    is_closed: bool = False
    item: "Written | None" = None
    value: "Written | None" = None
    has_lines: bool = False

    @classmethod
    def of(cls, annotation: Any) -> "Written":
        """How values of an annotation are written; a type that is not known is written as text."""
        return _joined([_of_member(member) for member in members(annotation)])

    def read(self, text: str, null: str | None = None) -> Any:
        """The value that a text, which is not empty, stands for.

        Args:
            text: as it was entered.
            null: the text for no value; by default none is.

        Raises:
            NotReadable: with the reason.
        """
        text = text.strip() or text
        if text == null and Kind.NULL in self.kinds:
            return None
        if text[:1] in ("[", "{") and self.kinds & {Kind.LIST, Kind.DICT}:
            found = self._json(text)
            if found is not None and KINDS[type(found)] in self.kinds:
                return found
        found = self._scalar(text)
        if found is not None:
            return found
        if Kind.TEXT in self.kinds:
            return "\n".join(LINE.split(text)) if self.has_lines else text
        if self.item and not self.value:
            return self._entries(text, self.item)
        return self._pairs(text, self.value) if self.value and not self.item else text

    def write(self, value: Any, null: str | None = None) -> str:
        """The simplest text that is read as a value.

        Args:
            value: of JSON.
            null: as ``read`` has it.
        """
        for text in self._candidates(value, null):
            try:
                is_read = bool(text) and _same(self.read(text, null), value)
            except NotReadable:
                is_read = False
            if is_read or (value is None and text == null):
                return text
        return as_json(value)

    def _scalar(self, text: str) -> Any:
        if Kind.TEXT in self.kinds and len(text) > 1 and text[0] == text[-1] == '"':
            quoted = _json_or_none(text)
            if isinstance(quoted, str):
                return quoted
        if Kind.BOOL in self.kinds and text in ("true", "false"):
            return text == "true"
        if Kind.INT in self.kinds and WHOLE.fullmatch(text):
            return int(text)
        return json.loads(text) if Kind.FLOAT in self.kinds and NUMBER.fullmatch(text) else None

    def _json(self, text: str) -> Any:
        try:
            return json.loads(text, object_pairs_hook=_without_doubles, parse_constant=_refuse_constant)
        except json.JSONDecodeError as error:
            if Kind.TEXT in self.kinds:
                return None
            place = f"line {error.lineno}, column {error.colno}"
            raise NotReadable(f"this is no JSON: {error.msg} ({place})") from None
        except RecursionError:
            raise NotReadable("this is too deep") from None
        except ValueError as error:
            raise NotReadable(f"this is no JSON: {error}") from None

    def _entries(self, text: str, item: "Written") -> list[Any]:
        return [item.read(line, NULL) for line in LINE.split(text) if line.strip()]

    def _pairs(self, text: str, value: "Written") -> dict[str, Any]:
        found: dict[str, Any] = {}
        for number, line in enumerate(LINE.split(text), 1):
            if not line.strip():
                continue
            name, equals, written = line.partition("=")
            if not equals:
                raise NotReadable(f"line {number} has to be: name = value")
            key = TEXT.read(name) if name.strip() else ""
            if key in found:
                raise NotReadable(f"line {number}: {key} stands twice")
            found[key] = value.read(written, "") if written.strip() else value.nothing
        return found

    @property
    def nothing(self) -> Any:
        """What an empty text stands for in a mapping."""
        return None if Kind.NULL in self.kinds else ""

    def _candidates(self, value: Any, null: str | None) -> Iterator[str]:
        if value is None and null is not None:
            yield null
        if isinstance(value, str) and _is_plain(value, self.has_lines):
            yield value
        if isinstance(value, list) and self.item:
            yield "\n".join(self.item.write(entry, NULL) for entry in value)
        if isinstance(value, dict) and self.value and not any(isinstance(part, dict) for part in value.values()):
            yield "\n".join(f"{TEXT.write(key)} = {self._of_pair(part)}".rstrip() for key, part in value.items())
        yield as_json(value)

    def _of_pair(self, part: Any) -> str:
        assert self.value is not None
        written = "" if part is None else self.value.write(part)
        return as_json(part, indent=None) if "\n" in written else written


#: A text in one line.
TEXT = Written(frozenset({Kind.TEXT}))
#: Whatever JSON can say.
ANYTHING = Written(frozenset(Kind), item=Written(frozenset(Kind)), value=Written(frozenset(Kind)))


def members(annotation: Any) -> Iterator[Any]:
    """The types that a type is a union of, itself where it is none."""
    if isinstance(annotation, TypeAliasType):
        yield from members(annotation.__value__)
    elif get_origin(annotation) is Annotated:
        yield from members(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, UnionType):
        for part in get_args(annotation):
            yield from members(part)
    else:
        yield annotation


def holds_secret(annotation: Any) -> bool:
    """Whether a value of this type may have a secret anywhere in it."""
    return any(_is_secret(part) for part in _types_in(annotation, set()))


def as_json(value: Any, indent: int | None = 2) -> str:
    """A value as JSON that a field can hold: nothing in it is invisible."""
    is_long = isinstance(value, dict | list) and len(value) > 0
    shape = indent if is_long else None
    text = json.dumps(value, ensure_ascii=False, indent=shape)
    return text if all(map(_is_plain, text.split("\n"))) else json.dumps(value, indent=shape)


def _of_member(member: Any) -> Written:
    origin, args = get_origin(member) or member, get_args(member)
    if origin is Literal:
        return _of_choices(args)
    if isinstance(origin, type) and issubclass(origin, Enum):
        return _of_choices([choice.value for choice in origin])
    if origin in SCALARS:
        return Written(frozenset({SCALARS[origin]}), is_closed=origin is NoneType)
    if origin in (Any, object):
        return ANYTHING
    if isinstance(origin, type) and issubclass(origin, BaseModel):
        return Written(frozenset({Kind.DICT}), value=ANYTHING)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return Written(frozenset({Kind.DICT}), value=Written.of(args[1]) if len(args) == 2 else ANYTHING)
    if origin in LISTS:
        items = [Written.of(part) for part in args if part is not ...]
        return Written(frozenset({Kind.LIST}), item=_joined(items) if items else ANYTHING)
    is_record = hasattr(origin, "__dataclass_fields__") or hasattr(origin, "__required_keys__")
    return Written(frozenset({Kind.DICT}), value=ANYTHING) if is_record else TEXT


def _of_choices(values: Sequence[Any]) -> Written:
    plain = tuple(value.value if isinstance(value, Enum) else value for value in values)
    kinds = frozenset(KINDS.get(type(value), Kind.TEXT) for value in plain)
    return Written(kinds, tuple(value for value in plain if value is not None), is_closed=True)


def _joined(parts: Sequence[Written]) -> Written:
    if len(parts) == 1:
        return parts[0]
    items, values = ([one for one in (getattr(part, name) for part in parts) if one] for name in ("item", "value"))
    return Written(
        frozenset().union(*(part.kinds for part in parts)),
        tuple(choice for part in parts for choice in part.choices),
        all(part.is_closed for part in parts),
        _joined(items) if items else None,
        _joined(values) if values else None,
    )


def _types_in(annotation: Any, seen: set[Any]) -> Iterator[Any]:
    for member in members(annotation):
        yield member
        for part in get_args(member):
            yield from _types_in(part, seen)
        if isinstance(member, type) and issubclass(member, BaseModel) and member not in seen:
            seen.add(member)
            for field in member.model_fields.values():
                yield from _types_in(field.annotation, seen)


def _is_secret(part: Any) -> bool:
    origin = get_origin(part) or part
    return isinstance(origin, type) and issubclass(origin, SECRETS)


def _is_plain(text: str, has_lines: bool = False) -> bool:
    return all(line.isprintable() for line in (text.split("\n") if has_lines else [text]))


def _same(left: Any, right: Any) -> bool:
    return json.dumps(left) == json.dumps(right)


def _json_or_none(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)} stands twice")
    return found


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")
