"""JSON Schema of job files, for editors that complete fields and check them while one types."""

from __future__ import annotations

from typing import Any

from raydnn.spec.catalogue import KINDS, components
from raydnn.spec.job import Job

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def job_schema() -> dict[str, Any]:
    """The schema of job files (draft 2020-12).

    A component may be its name or a mapping. A file that extends another may leave out what is required, and
    only `load_job` knows then which component a mapping without `name` belongs to. So the schema is the laxer
    of the two: what it rejects is wrong, what it accepts may still be.
    """
    schema = Job.model_json_schema()
    definitions = schema["$defs"]
    for kind in KINDS:
        names = list(components(kind))
        references = {f"#/$defs/{cls.__name__}" for cls in components(kind).values()}
        _allow_names(schema["properties"], names, references)
        for definition in definitions.values():
            _allow_names(definition.get("properties", {}), names, references)
    schema["properties"]["extends"] = {
        "type": "string",
        "description": "job file, relative to this one, whose fields hold unless this one gives them",
    }
    search = {"required": definitions["Search"].pop("required")}
    complete = {"required": schema.pop("required"), "properties": {"search": search}}
    return {
        "$schema": DIALECT,
        **schema,
        "title": "raydnn job",
        "anyOf": [{"required": ["extends"]}, complete],
    }


def _allow_names(properties: dict[str, Any], names: list[str], references: set[str]) -> None:
    """Let every property that holds one of these components hold its name instead."""
    for key, property_ in properties.items():
        choices = property_.get("oneOf", [property_])
        if {choice.get("$ref") for choice in choices} != references:
            continue
        kept = {k: v for k, v in property_.items() if k in ("description", "default", "title")}
        mappings = [{"$ref": reference} for reference in sorted(references)]
        properties[key] = {**kept, "anyOf": [{"enum": names}, *mappings]}
