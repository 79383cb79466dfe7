"""Whether a domain fits the field it is searched for: type and bounds."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Annotated, Any

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from raydnn.space.domains.domain import Choice, Domain
from raydnn.space.domains.normal import Normal
from raydnn.space.domains.syntax import Value, write_value
from raydnn.spec.catalogue.fields import allowed, bounds, python_type


def fit(domain: Domain, field: FieldInfo) -> Domain:
    """Check a domain against a field.

    Args:
        domain: What is searched.
        field: The field it is searched for.

    Returns:
        The domain, its choices in the field's own type, a normal distribution truncated to the bounds.

    Raises:
        ValueError: The domain can give a value that the field does not allow.
    """
    if isinstance(domain, Choice):
        return replace(domain, options=tuple(_valid(value, field, "") for value in domain.options))
    if isinstance(domain.from_unit(0.5), float) and python_type(field.annotation) is int:
        raise ValueError(
            f"{domain} draws fractions; allowed: {allowed(field)}, for instance by randint(a, b)"
        )
    if isinstance(domain, Normal):
        try:
            domain = domain.within(*_closed(bounds(field)))
        except ValueError as error:
            raise ValueError(f"{domain} draws next to nothing that is allowed: {allowed(field)}") from error
    for word, u in (("begins at", 0.0), ("reaches", math.nextafter(1, 0))):
        _valid(domain.from_unit(u), field, f"{domain} {word} ")
    return domain


def _valid(value: Value, field: FieldInfo, said: str) -> Any:
    annotation: Any = field.annotation
    adapter: TypeAdapter[Any] = TypeAdapter(
        Annotated[(annotation, *field.metadata)] if field.metadata else annotation,
        config=ConfigDict(strict=True, allow_inf_nan=False),
    )
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        given = f"{value:.6g}" if isinstance(value, float) else write_value(value)
        raise ValueError(f"{said}{given}; allowed: {allowed(field)}") from error


def _closed(limits: dict[str, float]) -> tuple[float, float]:
    """The lowest and the highest number within bounds that may exclude their ends."""
    lowest = limits.get("ge", -math.inf)
    highest = limits.get("le", math.inf)
    if "gt" in limits:
        lowest = max(lowest, math.nextafter(limits["gt"], math.inf))
    if "lt" in limits:
        highest = min(highest, math.nextafter(limits["lt"], -math.inf))
    return lowest, highest
