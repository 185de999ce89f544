"""What a struct's field says about itself: its limits, its choices, and words for people.

A field says this once, in its annotation. Error messages, the command line, the limits that an
engine announces and the app's widgets all read it here. Besides limits, a ``Meta`` may have a
``title`` (a label), a ``description`` (help) and, as ``extra``:

- ``step``: by how much a widget changes the number;
- ``names``: what each choice of a ``Literal`` is called;
- ``unset``: what leaving the field out means, if its default is ``UNSET``.

This module knows no struct in particular.
"""

import functools
import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, get_type_hints

import msgspec
from msgspec import inspect

KINDS: tuple[tuple[type[inspect.Type], type], ...] = (
    (inspect.BoolType, bool),
    (inspect.IntType, int),
    (inspect.FloatType, float),
    (inspect.StrType, str),
    (inspect.VarTupleType, tuple),
)


class Bounds(NamedTuple):
    """The smallest and the largest value that a field accepts; of a text or a list, its length."""

    least: float
    most: float

    def __str__(self) -> str:
        return f"{_digits(self.least)} to {_digits(self.most)}"

    def clamp(self, value: float) -> float:
        """Return the value within the bounds that is nearest to ``value``."""
        return max(self.least, min(self.most, value))


@dataclass(frozen=True)
class Field:
    """A field of a struct.

    Attributes:
        name: of the field.
        annotation: its type, as the struct states it.
        kind: ``bool``, ``int``, ``float``, ``str``, or ``tuple``; None for any other type.
        title: its label for people; "" if it has none.
        description: its help for people; "" if it has none.
        default: its value if none is given, or what leaving it out means; None if it has none.
        limits: of the value or its length; None if its type states none.
        multiple_of: what an accepted number is a multiple of; None if any will do.
        step: by which a widget changes the number; None if no widget shows it.
        names: what each choice is called, by its value; empty unless the type is a ``Literal``.
    """

    name: str
    annotation: Any
    kind: type | None
    title: str
    description: str
    default: Any
    limits: Bounds | None
    multiple_of: int | float | None
    step: int | float | None
    names: Mapping[Any, str]

    @property
    def bounds(self) -> Bounds:
        """The limits of a field that has some.

        Raises:
            TypeError: the type states none.
        """
        if self.limits is None:
            raise TypeError(f"the type of {self.name} states no limits")
        return self.limits

    @property
    def remedy(self) -> str:
        """What to give if a value is refused; "" if the type does not say."""
        if self.names:
            return f"choose one of: {', '.join(map(str, self.names))}"
        if self.kind is bool:
            return "give true or false"
        if self.limits is None:
            return ""
        if self.kind in (str, tuple):
            length = self.limits if self.limits.least else f"at most {self.limits.most}"
            return f"give {length} {'characters' if self.kind is str else 'of them'}"
        if self.multiple_of:
            return f"give a multiple of {self.multiple_of} from {self.limits}"
        return f"give a {'whole ' * (self.kind is int)}number from {self.limits}"

    def parse(self, text: str) -> Any:
        """Return the value that a text stands for.

        Raises:
            msgspec.ValidationError: the field does not accept it.
        """
        return msgspec.convert(text.strip(), self.annotation, strict=False)

    def format(self, value: Any) -> str:
        """Return a value in words: the name of a choice, yes or no, a number without zeros."""
        value = self.default if value is msgspec.UNSET else value
        if value in self.names:
            return self.names[value]
        if isinstance(value, bool):
            return "yes" if value else "no"
        return f"{value:g}" if isinstance(value, float) else str(value)


@functools.cache
def fields_of(struct: type[msgspec.Struct]) -> Mapping[str, Field]:
    """Return the fields of a struct by name, in their order."""
    described = inspect.type_info(struct)
    assert isinstance(described, inspect.StructType)
    annotations = get_type_hints(struct, include_extras=True)
    found = {field.name: _field(field, annotations[field.name]) for field in described.fields}
    return types.MappingProxyType(found)


def _field(field: inspect.Field, annotation: Any) -> Field:
    words: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    plain = field.type
    while isinstance(plain, inspect.Metadata):
        words, extra, plain = plain.extra_json_schema or {}, plain.extra or {}, plain.type
    names = extra.get("names", {})
    choices = plain.values if isinstance(plain, inspect.LiteralType) else ()
    multiple_of = getattr(plain, "multiple_of", None)
    kind = next((kind for type_, kind in KINDS if isinstance(plain, type_)), None)
    return Field(
        name=field.name,
        annotation=annotation,
        kind=kind,
        title=words.get("title", ""),
        description=words.get("description", ""),
        default=extra.get("unset", None if field.default is msgspec.NODEFAULT else field.default),
        limits=_limits(plain),
        multiple_of=multiple_of,
        step=extra.get("step", multiple_of or (1 if kind is int else None)),
        names={choice: names[choice] for choice in names if choice in choices}
        | {choice: str(choice) for choice in choices if choice not in names},
    )


def _limits(plain: inspect.Type) -> Bounds | None:
    match plain:
        case inspect.IntType(ge=int(least), le=int(most)):
            return Bounds(least, most)
        case inspect.IntType(ge=int(least), lt=int(above)):
            return Bounds(least, above - 1)
        case inspect.FloatType(ge=least, le=most) if least is not None and most is not None:
            return Bounds(least, most)
        case inspect.StrType(max_length=int(most)) | inspect.VarTupleType(max_length=int(most)):
            return Bounds(plain.min_length or 0, most)
    return None


def _digits(number: float) -> str:
    return str(int(number)) if number == int(number) else f"{number:g}"
