"""Values as JSON, and back: frozen dataclasses of plain fields and of further such components."""

import dataclasses
import difflib
import inspect
import re
import sys
import types
import typing
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

import pydantic

from sde_jax.errors import InputError, shown

Problems = list[str]
FINITE = pydantic.ConfigDict(allow_inf_nan=False, arbitrary_types_allowed=True)
"""JSON knows no other numbers; arrays and functions are known by their classes."""


def encode(value: Any) -> Any:
    """Return a value as JSON-able data: a dataclass as its fields and its class's name under `type`."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: encode(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {"type": type(value).__name__, **fields}
    if isinstance(value, Mapping):
        return {str(name): encode(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [encode(item) for item in value]
    return value


def decode(annotation: Any, data: Any, current: Any = None, where: str = "value") -> tuple[Any, Problems]:
    """Return the value of type `annotation` that `data` describes, and every problem found on the way, a line each.

    What `data` leaves out is taken from `current`, and so is what cannot be decoded. A component is given by its
    fields, and by its class's name under `type` where `annotation` leaves a choice: the class of `current`, or one of
    the dataclasses that the package defining `annotation` exports. Nothing else is ever looked up or executed.
    Components that exist already may stand in for their fields; they are checked field by field all the same.
    """
    problems: Problems = []
    return _decode(annotation, data, current, where, problems), problems


def components(protocol: type) -> dict[str, Any]:
    """Return, by name, the dataclasses that fit a protocol among the exports of the package it is defined in."""
    package = vars(sys.modules[protocol.__module__.rpartition(".")[0]])
    return {
        name: cls
        for name, cls in package.items()
        if isinstance(cls, type)
        and dataclasses.is_dataclass(cls)
        and not inspect.isabstract(cls)
        and _fits(protocol, cls)
    }


def _decode(annotation: Any, data: Any, current: Any, where: str, problems: Problems) -> Any:
    origin = typing.get_origin(annotation)
    if origin in (dict, Mapping, typing.get_origin(Mapping[str, int])):
        return _decode_mapping(typing.get_args(annotation)[1], data, current or {}, where, problems)
    if isinstance(annotation, type) and (dataclasses.is_dataclass(annotation) or _is_protocol(annotation)):
        return _decode_component(annotation, data, current, where, problems)
    try:
        if isinstance(data, str) and origin is tuple:
            data = [part for part in data.strip("()[] ").split(",") if part.strip()]
        if annotation is int or int in typing.get_args(annotation):
            data = [_whole(part) for part in data] if isinstance(data, list) else _whole(data)
        value = pydantic.TypeAdapter(annotation, config=FINITE).validate_python(data)
        if _misread(data, value):
            problems.append(f"{where} = {data!r}: expected {_name(annotation)} (underscores set thousands apart)")
        return value
    except pydantic.ValidationError as error:
        problems.append(
            f"{where} = {shown(repr(data))}: expected {_name(annotation)} ({error.errors()[0]['msg'].lower()})"
        )
        return current


def _misread(data: Any, value: Any) -> bool:
    """Return whether a text that is no number, such as 2020_01_01, was read as one."""
    if isinstance(data, list) and isinstance(value, list | tuple):
        return any(map(_misread, data, value))
    if not isinstance(data, str) or "_" not in data or not isinstance(value, int | float):
        return False
    return re.fullmatch(r"[+-]?[0-9]{1,3}(_[0-9]{3})+(\.[0-9]+)?", data.strip()) is None


def _whole(data: Any) -> Any:
    """Return text such as 1e4 or 200.0 as the whole number that it is, all else as it came."""
    if not isinstance(data, str) or not re.fullmatch(r"\s*[+-]?[0-9.]+([eE][+-]?[0-9]{1,3})?\s*", data):
        return data
    try:
        number = Decimal(data.strip())
    except InvalidOperation:
        return data
    return int(number) if number == number.to_integral_value() and abs(number) < 2**63 else data


def _decode_mapping(annotation: Any, data: Any, current: Mapping, where: str, problems: Problems) -> Any:
    if not isinstance(data, Mapping):
        problems.append(f"{where} = {shown(repr(data))}: expected a mapping")
        return current
    decoded = dict(current)
    for name, item in data.items():
        value = _decode(annotation, item, current.get(name), f"{where}.{shown(name)}", problems)
        if value is not None:
            decoded[name] = value
        elif current:
            problems.append(f"{where}.{shown(name)}: no such entry to change; {nearest(str(name), current)}")
    return decoded


def _decode_component(annotation: type, data: Any, current: Any, where: str, problems: Problems) -> Any:
    if dataclasses.is_dataclass(data) and not isinstance(data, type) and _fits(annotation, type(data)):
        current, data = data, {f.name: getattr(data, f.name) for f in dataclasses.fields(data)}
    data = {"type": data} if isinstance(data, str) else data
    if not isinstance(data, Mapping):
        problems.append(f"{where} = {shown(repr(data))}: expected the name or the fields of {_name(annotation)}")
        return current
    cls, current = _class(annotation, data, current, where, problems)
    if cls is None:
        return current
    fields = {f.name: f for f in dataclasses.fields(cls) if f.init}
    hints = _hints(cls)
    values = {name: getattr(current, name) for name in fields} if current is not None else {}
    for name, item in data.items():
        if name in fields:
            value = _decode(hints[name], item, values.get(name), f"{where}.{shown(name)}", problems)
            values |= {} if value is None else {name: value}
        elif name != "type":
            problems.append(f"{where}.{shown(name)}: no such setting; {nearest(str(name), fields)}")
    missing = [name for name, f in fields.items() if name not in values and _is_required(f)]
    problems.extend(f"{where}.{name}: missing; expected {_name(hints[name])}" for name in missing if name not in data)
    try:
        return current if missing else cls(**values)
    except (InputError, TypeError) as error:
        problems.extend(f"{where}: {line}" for line in str(error).splitlines())
        return current


def _class(annotation: type, data: Mapping, current: Any, where: str, problems: Problems) -> tuple[type | None, Any]:
    """Return the class that data names, and the current value only where it is of that class."""
    named = data.get("type", type(current).__name__ if current is not None else annotation.__name__)
    if current is not None and named == type(current).__name__:
        return type(current), current
    choices = components(annotation) if _is_protocol(annotation) else {annotation.__name__: annotation}
    if not isinstance(named, str) or named not in choices:
        problems.append(
            f"{where} = {shown(repr(named))}: no such {annotation.__name__}; {nearest(str(named), choices)}"
        )
        return None, current
    return choices[named], None


def _fits(annotation: type, cls: type) -> bool:
    if not _is_protocol(annotation):
        return issubclass(cls, annotation)
    return all(hasattr(cls, name) for name in vars(annotation) if not name.startswith("_"))


def _hints(cls: type) -> dict[str, Any]:
    try:
        return typing.get_type_hints(cls)
    except NameError:  # a class of the user's own, whose annotations are text that only its module can read
        return dict.fromkeys((f.name for f in dataclasses.fields(cls)), Any)


def _is_required(field: dataclasses.Field) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _is_protocol(annotation: type) -> bool:
    return inspect.isabstract(annotation) or getattr(annotation, "_is_protocol", False)


def nearest(name: str, choices: typing.Iterable[str]) -> str:
    """Return "did you mean ...?" with the choices nearest to a name that is none of them, or all choices."""
    choices = list(choices)
    alike = [choice for choice in choices if choice.lower() == name.lower()]
    near = alike or difflib.get_close_matches(name, choices, n=2)
    return f"did you mean {' or '.join(near)}?" if near else f"expected one of {', '.join(sorted(choices))}"


def _name(annotation: Any) -> str:
    return (
        str(annotation)
        if isinstance(annotation, types.GenericAlias)
        else getattr(annotation, "__name__", str(annotation))
    )
