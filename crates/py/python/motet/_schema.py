"""JSON schemas of Python types, and values of those types made of JSON.

Knows the types of the standard library; every other goes to pydantic, where that is installed. Loaded when the first
schema is asked for.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import datetime
import decimal
import enum
import functools
import math
import pathlib
import sys
import types
import typing
import uuid

from motet._errors import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

PLAIN: dict[Any, dict[str, Any]] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    type(None): {"type": "null"},
    typing.Any: {},
    object: {},
}

FORMATS: dict[Any, tuple[dict[str, Any], Callable[[Any], Any]]] = {
    int: ({"type": "integer"}, int),
    float: ({"type": "number"}, float),
    datetime.datetime: ({"type": "string", "format": "date-time"}, datetime.datetime.fromisoformat),
    datetime.date: ({"type": "string", "format": "date"}, datetime.date.fromisoformat),
    datetime.time: ({"type": "string", "format": "time"}, datetime.time.fromisoformat),
    uuid.UUID: ({"type": "string", "format": "uuid"}, uuid.UUID),
    pathlib.Path: ({"type": "string"}, pathlib.Path),
    decimal.Decimal: ({"type": ["string", "number"]}, lambda value: decimal.Decimal(str(value))),
}

LISTS: dict[Any, Callable[[Any], Any]] = {
    list: list,
    set: set,
    frozenset: frozenset,
    collections.abc.Sequence: list,
    collections.abc.Iterable: list,
    collections.abc.Collection: list,
    collections.abc.Set: set,
}

MAPPINGS = (dict, collections.abc.Mapping, collections.abc.MutableMapping)


def same(value: Any) -> Any:
    """Reads a value that is the same in JSON."""
    return value


def pydantic() -> Any:
    """Gives pydantic where the program uses it or could."""
    if "pydantic" in sys.modules:
        return sys.modules["pydantic"]
    try:
        import pydantic
    except ImportError:
        return None
    return pydantic


def of_type(wanted: Any) -> tuple[dict[str, Any], Callable[[Any], Any]]:
    """Gives the schema of a type and what reads its values."""
    builder = Builder()
    schema, reader = builder.shape(wanted)
    return builder.whole(schema), reader


class Builder:
    """Collects the schemas that refer to themselves while one schema is made."""

    def __init__(self) -> None:
        self.definitions: dict[str, Any] = {}
        self._open: dict[Any, str] = {}
        self._recursive: set[Any] = set()
        self._readers: dict[Any, Callable[[Any], Any]] = {}

    def whole(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Gives a schema with all that it refers to; what it is stands at its top, as providers want it."""
        if "$ref" in schema:
            schema = {**self.definitions[schema["$ref"].rpartition("/")[2]], **schema}
            del schema["$ref"]
        return {**schema, "$defs": self.definitions} if self.definitions else schema

    def shape(self, wanted: Any) -> tuple[dict[str, Any], Callable[[Any], Any]]:
        """Gives the schema of a type and what reads its values."""
        if wanted is None:
            wanted = type(None)
        if _is_hashable(wanted):
            if wanted in PLAIN:
                return dict(PLAIN[wanted]), same
            if wanted in FORMATS:
                schema, reader = FORMATS[wanted]
                return dict(schema), reader
        if isinstance(wanted, type):
            if found := self._class(wanted):
                return found
        origin, arguments = typing.get_origin(wanted), typing.get_args(wanted)
        if origin is typing.Annotated:
            return self._annotated(wanted, arguments)
        if origin in (typing.Union, types.UnionType):
            return self._union(arguments)
        if origin is typing.Literal:
            return self._choices(list(arguments)), same
        if origin in (typing.Required, typing.NotRequired):
            return self.shape(arguments[0])
        kind = origin or wanted
        if kind is tuple:
            return self._tuple(arguments)
        if kind in LISTS:
            item, reader = self.shape(arguments[0] if arguments else typing.Any)
            schema = {"type": "array", "items": item}
            if kind in (set, frozenset, collections.abc.Set):
                schema["uniqueItems"] = True
            make = LISTS[kind]
            return schema, lambda value: make([reader(item) for item in value])
        if kind in MAPPINGS:
            return self._mapping(arguments)
        return self._by_pydantic(wanted)

    def _class(self, wanted: type) -> tuple[dict[str, Any], Callable[[Any], Any]] | None:
        if issubclass(wanted, enum.Enum):
            members: Any = wanted
            return self._choices([member.value for member in members]), wanted
        library = pydantic()
        if library is not None and issubclass(wanted, library.BaseModel):
            return self._by_pydantic(wanted)
        if library is not None and hasattr(wanted, "__pydantic_validator__"):
            return self._by_pydantic(wanted)
        if dataclasses.is_dataclass(wanted) or typing.is_typeddict(wanted):
            return self._record(wanted)
        return None

    def _record(self, wanted: type) -> tuple[dict[str, Any], Callable[[Any], Any]]:
        """Reads a class of fields; one that holds itself is defined apart."""
        reference = {"$ref": f"#/$defs/{wanted.__name__}"}
        if wanted in self._open:
            self._recursive.add(wanted)
            return reference, lambda value: self._readers[wanted](value)
        if wanted in self._recursive:
            return reference, self._readers[wanted]
        self._open[wanted] = wanted.__name__
        schema, reader = self._typed_dict(wanted) if typing.is_typeddict(wanted) else self._dataclass(wanted)
        del self._open[wanted]
        self._readers[wanted] = reader
        if wanted not in self._recursive:
            return schema, reader
        self._define(wanted.__name__, schema)
        return reference, reader

    def _define(self, name: str, schema: Any) -> None:
        if self.definitions.setdefault(name, schema) != schema:
            raise ConfigurationError(f"two types are named `{name}`", hint="give one of them another name")

    def _dataclass(self, wanted: Any) -> tuple[dict[str, Any], Callable[[Any], Any]]:
        hints = typing.get_type_hints(wanted, include_extras=True)
        readers, properties, required = {}, {}, []
        for field in dataclasses.fields(wanted):
            if not field.init:
                continue
            schema, readers[field.name] = self.shape(hints[field.name])
            if description := field.metadata.get("description"):
                schema = {**schema, "description": description}
            if field.default is not dataclasses.MISSING:
                schema = with_default(schema, field.default)
            elif field.default_factory is dataclasses.MISSING:
                required.append(field.name)
            properties[field.name] = schema
        return (
            record(properties, required),
            lambda value: wanted(**{name: readers[name](item) for name, item in value.items()}),
        )

    def _typed_dict(self, wanted: Any) -> tuple[dict[str, Any], Callable[[Any], Any]]:
        hints = typing.get_type_hints(wanted, include_extras=True)
        readers, properties = {}, {}
        for name, hint in hints.items():
            properties[name], readers[name] = self.shape(hint)
        required = [name for name in hints if name in wanted.__required_keys__]
        return (
            record(properties, required),
            lambda value: {name: readers[name](item) for name, item in value.items()},
        )

    def _annotated(self, wanted: Any, arguments: tuple[Any, ...]) -> tuple[dict[str, Any], Callable[[Any], Any]]:
        """Reads a type with notes: a text is its description, everything else is for pydantic."""
        inner, notes = arguments[0], arguments[1:]
        if any(not isinstance(note, str) for note in notes):
            return self._by_pydantic(wanted)
        schema, reader = self.shape(inner)
        return {**schema, "description": " ".join(notes)}, reader

    def _union(self, arguments: tuple[Any, ...]) -> tuple[dict[str, Any], Callable[[Any], Any]]:
        shapes = [self.shape(argument) for argument in arguments]
        schemas = [schema for schema, _ in shapes]
        plain = [schema.get("type") for schema in schemas if set(schema) == {"type"}]
        schema: dict[str, Any] = {"anyOf": schemas}
        if len(plain) == len(schemas) and all(isinstance(kind, str) for kind in plain):
            schema = {"type": plain}
        readers = [(wanted, reader) for wanted, (_, reader) in zip(arguments, shapes, strict=True)]
        return schema, functools.partial(_read_one, readers)

    def _choices(self, values: list[Any]) -> dict[str, Any]:
        kinds = {bool: "boolean", int: "integer", str: "string", type(None): "null", float: "number"}
        names = {kinds.get(type(value)) for value in values}
        if None in names:
            raise ConfigurationError(f"`{values}` cannot be written as JSON", hint="use texts or numbers")
        single = names.pop() if len(names) == 1 else None
        return {"type": single, "enum": values} if single else {"enum": values}

    def _tuple(self, arguments: tuple[Any, ...]) -> tuple[dict[str, Any], Callable[[Any], Any]]:
        if not arguments or (len(arguments) == 2 and arguments[1] is Ellipsis):
            item, reader = self.shape(arguments[0] if arguments else typing.Any)
            return {"type": "array", "items": item}, lambda value: tuple(reader(item) for item in value)
        shapes = [self.shape(argument) for argument in arguments]
        length = len(shapes)
        schema = {"type": "array", "prefixItems": [schema for schema, _ in shapes], "items": False}
        schema |= {"minItems": length, "maxItems": length}
        return schema, lambda value: tuple(
            reader(item) for (_, reader), item in zip(shapes, value, strict=True)
        )

    def _mapping(self, arguments: tuple[Any, ...]) -> tuple[dict[str, Any], Callable[[Any], Any]]:
        if not arguments:
            return {"type": "object"}, same
        if arguments[0] not in (str, typing.Any):
            raise ConfigurationError(f"keys of type `{arguments[0]}` cannot be written as JSON", hint="use `dict[str, …]`")
        item, reader = self.shape(arguments[1])
        schema = {"type": "object", "additionalProperties": item or True}
        return schema, lambda value: {name: reader(item) for name, item in value.items()}

    def _by_pydantic(self, wanted: Any) -> tuple[dict[str, Any], Callable[[Any], Any]]:
        library = pydantic()
        if library is None:
            raise ConfigurationError(
                f"there is no JSON schema for the type `{wanted}`",
                hint="use types of JSON, dataclasses, `TypedDict`, or enums, or install pydantic",
            )
        try:
            adapter = library.TypeAdapter(wanted)
            schema = adapter.json_schema()
        except library.errors.PydanticUserError as error:
            raise ConfigurationError(f"there is no JSON schema for the type `{wanted}`: {error}") from error
        for name, definition in schema.pop("$defs", {}).items():
            self._define(name, definition)
        return schema, adapter.validate_python


def record(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    """Gives the schema of an object that has these fields and no others."""
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def with_default(schema: dict[str, Any], default: Any) -> dict[str, Any]:
    """Notes a default in a schema, where JSON can hold it."""
    if isinstance(default, enum.Enum):
        default = default.value
    if isinstance(default, float) and not math.isfinite(default):
        return schema
    if isinstance(default, int) and not -(2**63) <= default < 2**64:
        return schema
    if isinstance(default, str | int | float | None):
        return {**schema, "default": default}
    return schema


def to_json(value: Any) -> Any:
    """Makes JSON of what a function returned: data classes, models, enums, dates, and sets are written as they are read."""
    if value is None or isinstance(value, bool | int | float | str) and not isinstance(value, enum.Enum):
        return value
    if isinstance(value, enum.Enum):
        return to_json(value.value)
    if hasattr(value, "model_dump") and not isinstance(value, type):
        return value.model_dump(mode="json")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_json(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, collections.abc.Mapping):
        return {to_json(name) if isinstance(name, enum.Enum) else name: to_json(item) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [to_json(item) for item in value]
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, uuid.UUID | pathlib.Path | decimal.Decimal):
        return str(value)
    return value


def _is_hashable(wanted: Any) -> bool:
    try:
        hash(wanted)
    except TypeError:
        return False
    return True


def _read_one(readers: list[tuple[Any, Callable[[Any], Any]]], value: Any) -> Any:
    """Reads a value as the first type that takes it, those of its own kind first."""
    own = [(wanted, reader) for wanted, reader in readers if wanted is type(value)]
    if own:
        return own[0][1](value)
    failure: Exception | None = None
    for wanted, reader in readers:
        if not _may_be(wanted, value):
            continue
        try:
            return reader(value)
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            failure = error
    raise failure or ValueError(f"`{value!r}` is none of the types")


def _may_be(wanted: Any, value: Any) -> bool:
    """Tells whether JSON of a kind can be of a type at all, so that texts are not taken for lists."""
    kind = typing.get_origin(wanted) or wanted
    if kind in (type(None), None):
        return value is None
    if value is None:
        return kind in (typing.Any, object)
    if kind is str or kind in (datetime.datetime, datetime.date, datetime.time, uuid.UUID, pathlib.Path):
        return isinstance(value, str)
    if kind is bool:
        return isinstance(value, bool)
    if kind in (int, float):
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind in LISTS or kind is tuple:
        return isinstance(value, list)
    if kind in MAPPINGS or dataclasses.is_dataclass(kind):
        return isinstance(value, dict)
    if kind is typing.Literal:
        return any(value == choice and type(value) is type(choice) for choice in typing.get_args(wanted))
    if typing.is_typeddict(kind):
        return isinstance(value, dict) and kind.__required_keys__ <= value.keys() <= kind.__annotations__.keys()
    return True
