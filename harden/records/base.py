"""What every record is: frozen, typed, and written and read by the same code.

A record knows which of its keys were given, and in which order, so that writing what was read gives the same text: a
key that is null stays null, a key that is absent stays absent, a key that a later version added is kept.
"""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, ClassVar, TypeGuard, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    JsonValue,
    ModelWrapValidatorHandler,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from harden.errors import InputError

R = TypeVar("R", bound="Record")
_READING = {"reading": True}
_ALWAYS: dict[str, JsonValue] = {"always": True}


@dataclass(frozen=True)
class Within:
    """The range of a number, for the schema; a number is kept as it was written, whole or not.

    The range is described and not enforced: a run of hours must not die of its own record.
    """

    low: float | None = None
    high: float | None = None

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        """A number and no text or truth value; the very object comes out."""
        number = core_schema.int_schema(strict=True) if source is int else core_schema.float_schema(strict=True)
        return core_schema.no_info_wrap_validator_function(_unchanged, number)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """``minimum`` and ``maximum``."""
        bounds = {"minimum": self.low, "maximum": self.high}
        return {**handler(schema), **{key: bound for key, bound in bounds.items() if bound is not None}}


@dataclass(frozen=True)
class Described:
    """Words of JSON Schema that say more of a value than its type; described and not enforced, like :class:`Within`."""

    keyword: str
    value: str | tuple[str, ...]

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The type's own schema and the word."""
        return {**handler(schema), self.keyword: self.value if isinstance(self.value, str) else list(self.value)}


def _unchanged(value: object, check: core_schema.ValidatorFunctionWrapHandler) -> object:
    check(value)
    return value


Real = Annotated[float, Within()]
Rate = Annotated[float, Within(0, 1)]
Positive = Annotated[float, Within(0)]
Whole = Annotated[int, Within()]
Count = Annotated[int, Within(0)]
Number = Annotated[int, Within(1)]
Digest = Annotated[str, Described("pattern", "^[0-9a-f]{64}$")]
Interval = tuple[Real | None, Real | None]
RateInterval = tuple[Rate | None, Rate | None]


def always(description: str, default: object = None, *, key: str | None = None) -> Any:
    """A field whose key is in every record that harden writes; ``default`` stands in where an old one lacks it.

    Args:
        description: What it means, with unit and range.
        default: What a reader finds where the key is missing.
        key: Its name in JSON, where that is no name in Python.
    """
    return Field(default, description=description, validation_alias=key, json_schema_extra=dict(_ALWAYS))


def sometimes(description: str, default: object = None, *, key: str | None = None) -> Any:
    """A field whose key is there only where ``description`` says so; otherwise as :func:`always`."""
    return Field(default, description=description, validation_alias=key)


def is_number(value: object) -> TypeGuard[float]:
    """Whether ``value`` is a finite number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _mean_of(value: object) -> object:
    part = typing.cast("Mapping[str, object]", value)
    return part.get("mean") if isinstance(value, Mapping) else getattr(value, "mean", 0.0)


def _without_mean(value: object) -> object:
    return value if is_number(_mean_of(value)) else None


HasMean = BeforeValidator(_without_mean)  # a spread without a mean tells nothing, and is read as None


def _without_nulls(value: object) -> object:
    if not isinstance(value, Mapping):
        return value
    items = typing.cast("Mapping[str, object]", value).items()
    return {key: item for key, item in items if item is not None}


WithoutNulls = BeforeValidator(_without_nulls)  # entries of a mapping that are null count as absent


class Record(BaseModel):
    """A part of a document."""

    # Built when first read or written: the command line knows of records, and its help needs none.
    model_config = ConfigDict(
        frozen=True,
        extra="allow",
        populate_by_name=True,
        protected_namespaces=(),
        ser_json_inf_nan="constants",
        defer_build=True,
    )

    _keys: tuple[str, ...] = PrivateAttr(())

    @model_validator(mode="wrap")
    @classmethod
    def _remember(cls, data: object, handler: ModelWrapValidatorHandler[R], info: ValidationInfo) -> R:
        """Keep the keys in their order; null where a field has no null stands for absent."""
        if not isinstance(data, Mapping):
            return handler(data)
        names = _json_names(cls)
        values = {names.get(key, key): value for key, value in typing.cast("Mapping[str, object]", data).items()}
        cls._check_schema(values.pop("schema", None))
        if info.context != _READING:
            missing = _always(cls) - values.keys()
            if missing:
                raise ValueError(f"a {cls.__name__} is written with {', '.join(sorted(missing))}")
        record = handler({key: value for key, value in values.items() if value is not None or key in _nullable(cls)})
        record._keys = tuple(values)
        return record

    @classmethod
    def _check_schema(cls, schema: object) -> None:
        """A part of a document has no schema of its own."""

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """What harden writes, exactly: the keys that are always there are required, and there are no others."""
        made = handler(schema)
        described = handler.resolve_ref_schema(made)
        for part in described.get("properties", {}).values():
            for key in ("always", "default", "title"):
                part.pop(key, None)
        described["required"] = [key for key in described.get("properties", {}) if key in _always(cls)]
        described["additionalProperties"] = False
        return made

    @classmethod
    def read(cls: type[R], value: Mapping[str, object], where: str | None = None) -> R:
        """The record in a piece of JSON; what is missing gets its default.

        Args:
            value: The piece.
            where: The file, for the message.

        Raises:
            InputError: A value is of another kind than the record's; lists all of them.
        """
        try:
            return cls.model_validate(value, context=_READING)
        except ValidationError as error:
            problems = [f"{'.'.join(map(str, e['loc']))}: {e['msg'].lower()}" for e in error.errors()]
            raise InputError(
                "the record cannot be read", where=where, fix="Make it again with harden", problems=problems
            ) from error

    def given(self) -> Iterator[tuple[str, object]]:
        """The keys of the record, in their order, with their values."""
        attributes = _attributes(type(self))
        for key in self._keys:
            yield key, getattr(self, attributes.get(key, key), None)

    def replaced(self: R, **changes: object) -> R:
        """The record with other values; new keys come last, and the others keep their place."""
        names = _json_names(type(self))
        values = dict(self.given()) | {names.get(key, key): value for key, value in changes.items()}
        return type(self).model_validate(values, context=_READING)

    def to_json(self) -> dict[str, Any]:
        """Plain dicts, lists and numbers, as ``json.dumps`` takes them and ``json.loads`` gives them back."""
        return {key: _plain(value) for key, value in self.given()}


class Document(Record):
    """A record that is a file or an answer of its own, and says which by its ``schema``."""

    SCHEMA: ClassVar[str]

    @classmethod
    def _check_schema(cls, schema: object) -> None:
        if schema not in (None, cls.SCHEMA):
            raise ValueError(f"its schema is {schema!r}, not {cls.SCHEMA!r}")

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """As of any record, with ``schema`` in front."""
        made = super().__get_pydantic_json_schema__(schema, handler)
        described = handler.resolve_ref_schema(made)
        described["properties"] = {"schema": {"const": cls.SCHEMA}, **described["properties"]}
        described["required"] = ["schema", *described["required"]]
        return made

    @property
    def document(self) -> dict[str, Any]:
        """The document as JSON: plain dicts, lists and numbers, made anew at each call."""
        return self.to_json()

    def to_json(self) -> dict[str, Any]:
        """As of any record, with ``schema`` in front."""
        return {"schema": self.SCHEMA, **super().to_json()}


def _plain(value: object) -> object:
    if isinstance(value, Record):
        return value.to_json()
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in typing.cast("Mapping[str, object]", value).items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in typing.cast("list[object]", value)]
    return value


@cache
def _json_names(cls: type[Record]) -> dict[str, str]:
    """Names in JSON by attribute, where they differ."""
    aliases = {name: field.validation_alias for name, field in cls.model_fields.items()}
    return {name: alias for name, alias in aliases.items() if isinstance(alias, str)}


@cache
def _attributes(cls: type[Record]) -> dict[str, str]:
    return {key: name for name, key in _json_names(cls).items()}


@cache
def _always(cls: type[Record]) -> frozenset[str]:
    """The keys, by their names in JSON, that harden always writes."""
    marked = [name for name, field in cls.model_fields.items() if field.json_schema_extra == _ALWAYS]
    return frozenset(_json_names(cls).get(name, name) for name in marked)


@cache
def _nullable(cls: type[Record]) -> frozenset[str]:
    """The keys, by their names in JSON, whose value may be null."""
    kinds = {name: field.annotation for name, field in cls.model_fields.items()}
    nullable = [
        name
        for name, kind in kinds.items()
        if typing.get_origin(kind) in (typing.Union, types.UnionType) and types.NoneType in typing.get_args(kind)
    ]
    return frozenset(_json_names(cls).get(name, name) for name in nullable)
