"""A strategy's context as a form: a field for each of the model's, filled from values, and read back into them.

A field that is left empty is absent from the context, so that the model's default holds.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Protocol

from pydantic import BaseModel, ValidationError

from batch_jobs.deployments.web.form_field import FormField, Widget, field_of, key_of
from batch_jobs.deployments.web.written_values import ANYTHING, LINE, Kind, NotReadable, Written
from batch_jobs.flows.secret_fields.masking import MASK
from batch_jobs.strategies.sdk.context_fields import FILE_FIELDS, Names, keys_of
from batch_jobs.strategies.sdk.errors import ContextRefused, exits_as_errors

#: Stands for whatever else a model takes that allows any field.
OTHERS = "*"
#: What is wrong with a field without a value, and the key of what is wrong with none in particular.
NEEDED = "This is needed."
WHOLE = ""
#: More fields than this are not all shown at once.
FEW = 6

#: What was entered or is to be shown, by the key of the field; a field of several has several texts.
Entries = Mapping[str, Sequence[str]]
Errors = dict[str, list[str]]


class Submitted(Protocol):
    """A form as Starlette has it."""

    def getlist(self, key: Any, /) -> list[Any]:
        """All values of a name."""


class ContextForm:
    """The form of a context model.

    Args:
        model: the strategy's ``Context``.
        may_query: whether whoever sees it may write queries; those fields are left out otherwise.
    """

    def __init__(self, model: type[BaseModel], may_query: bool = False) -> None:
        self._model = model
        drawn = [field_of(model, name, info) for name, info in model.model_fields.items()]
        self.fields = [one for one in drawn if may_query or one.names is not Names.QUERY]
        if model.model_config.get("extra") == "allow":
            self.fields.append(FormField(OTHERS, "Other fields", "name = value, a line each", Widget.LINES, _others()))

    @cached_property
    def first(self) -> list[FormField]:
        """The fields that are always shown: required ones, the file, tables and queries; all where they are few."""
        if len(self.fields) <= FEW:
            return self.fields
        files = self.naming(Names.FILE)[:1]  # the input; others are beside it
        return [
            one for one in self.fields if one.is_required or one in files or one.names in (Names.TABLE, Names.QUERY)
        ]

    @cached_property
    def others(self) -> list[FormField]:
        """The other fields."""
        return [one for one in self.fields if one not in self.first]

    def naming(self, names: Names) -> list[FormField]:
        """The fields whose values name something of a kind, such as files."""
        return [one for one in self.fields if one.names is names]

    def entries(self, context: Mapping[str, Any]) -> dict[str, list[str]]:
        """What the form shows of a context, given as JSON; secrets are left out, and whatever the form has not."""
        given = {key: _without_masks(value) for key, value in context.items() if value != MASK}
        found: dict[str, list[str]] = {}
        for one in self.fields:
            if one.key != OTHERS:
                name = self._names[one.key]
                keys = [one.key, *keys_of(name, self._model.model_fields[name])]
                values = [given.pop(key) for key in dict.fromkeys(keys) if key in given]
                found[one.key] = one.texts(values[0]) if values else one.empty_texts
            else:  # the last field, so that only what no other one took is left
                found[OTHERS] = one.texts(given) if given else one.empty_texts
        return found

    def entered(self, data: Submitted) -> dict[str, list[str]]:
        """What was entered, to be shown again; secrets are left out."""
        given = {one.key: data.getlist(one.name) for one in self.fields if not one.is_secret}
        texts = {key: ["\n".join(LINE.split(str(text))) for text in many] for key, many in given.items()}
        return {one.key: texts.get(one.key) or [""] for one in self.fields}

    def named_in(self, query: Submitted) -> dict[str, list[str]]:
        """What the parameters of an address say, by the names of the context's fields; secrets are not taken."""
        found: dict[str, list[str]] = {}
        for one in self.fields:
            keys = [one.key, *FILE_FIELDS] if one in self.naming(Names.FILE)[:1] else [one.key]
            texts = next((given for key in keys if (given := [str(text) for text in query.getlist(key)])), [])
            if not texts or one.is_secret or one.key == OTHERS:
                continue
            if one.widget is Widget.CHOICES:
                found[one.key] = ["", *texts]
            else:
                found[one.key] = one.texts(texts) if len(texts) > 1 and one.takes_many else texts[-1:]
        return found

    def parse(self, data: Submitted) -> tuple[dict[str, Any], Errors]:
        """The context of what was entered.

        Args:
            data: the form as it came.

        Returns:
            The context, without what was left empty, and what is wrong by field; under ``""`` what is wrong with none
            in particular.
        """
        context: dict[str, Any] = {}
        errors: Errors = {}
        for one in self.fields:
            try:
                value = one.read([text for text in data.getlist(one.name) if isinstance(text, str)])
            except LookupError:
                continue
            except NotReadable as error:
                errors[one.key] = [str(error)]
                continue
            context |= value if one.key == OTHERS else {one.key: value}
        return context, errors | {key: found for key, found in self._wrong(context).items() if key not in errors}

    def wrong(self, error: ContextRefused) -> Errors:
        """A refusal of the context by field."""
        keys = [one.key for one in self.fields if one.key in error.missing]
        if keys:
            return {key: [NEEDED] for key in keys}
        named = str(error).partition(" ")[0]  # refusals begin with the field that they are about
        return {named if any(one.key == named for one in self.fields) else WHOLE: [str(error)]}

    @cached_property
    def _names(self) -> Mapping[str, str]:
        """Keys in the context -> the model's names."""
        return {key_of(self._model, name, info): name for name, info in self._model.model_fields.items()}

    def _wrong(self, context: Mapping[str, Any]) -> Errors:
        try:
            with exits_as_errors():
                self._model.model_validate(context)
        except ValidationError as error:
            return self._by_field(error)
        return {}

    def _by_field(self, error: ValidationError) -> Errors:
        found: Errors = {}
        by_key = {one.key: one for one in self.fields}
        places = {name: key for key, name in self._names.items()}
        for entry in error.errors(include_url=False, include_input=False, include_context=False):
            step = str(entry["loc"][0]) if entry["loc"] else WHOLE
            key = step if step in by_key else places.get(step, WHOLE)
            said = NEEDED if entry["type"] == "missing" and len(entry["loc"]) == 1 else _said(entry, by_key.get(key))
            if key not in by_key and step:
                said = f"{step}: {said}"
            known = found.setdefault(key if key in by_key else WHOLE, [])
            if said not in known:
                known.append(said)
        return found


def _said(entry: Mapping[str, Any], one: FormField | None) -> str:
    message = str(entry["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
    has_parts = one is not None and bool(one.written.kinds & {Kind.LIST, Kind.DICT})
    place = ".".join(str(step) for step in entry["loc"][1:]) if has_parts else ""
    return f"{place}: {message}" if place else message


def _others() -> Written:
    return Written(frozenset({Kind.DICT}), value=ANYTHING)


def _without_masks(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_masks(part) for key, part in value.items() if part != MASK}
    return [_without_masks(part) for part in value if part != MASK] if isinstance(value, list) else value
