"""JSON Schema of job files, for editors that complete fields and check them while one types."""

from __future__ import annotations

from typing import Any

from raydnn.spec.catalogue.kinds import KINDS, components
from raydnn.spec.job import Job
from raydnn.spec.reading.presets import PRESETS

DIALECT = "https://json-schema.org/draft/2020-12/schema"

LISTS = {"class_weights": {"type": "array", "items": {"type": "number"}}}
"""Kind → a list that stands for one of its components."""


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
        short: list[dict[str, Any]] = [{"enum": names}, *([LISTS[kind]] if kind in LISTS else [])]
        _allow_names(schema["properties"], short, definitions)
        for definition in definitions.values():
            _allow_names(definition.get("properties", {}), short, definitions)
    schema["properties"]["extends"] = {
        "type": "string",
        "description": "job file, relative to this one, whose fields hold unless this one gives them",
    }
    schema["properties"]["preset"] = {
        "enum": [*PRESETS, None],
        "description": "recommended combination whose fields hold unless the job gives them",
    }
    search = {"required": definitions["Search"].pop("required")}
    complete = {"required": schema.pop("required"), "properties": {"search": search}}
    return {
        "$schema": DIALECT,
        **schema,
        "title": "raydnn job",
        "anyOf": [{"required": ["extends"]}, {"required": ["preset"]}, complete],
    }


def _allow_names(
    properties: dict[str, Any], short: list[dict[str, Any]], definitions: dict[str, Any]
) -> None:
    """Let every property that holds a component of the names in `short` hold what is short for it instead."""
    for key, property_ in properties.items():
        choices = property_.get("oneOf", [property_])
        references = [choice.get("$ref", "") for choice in choices]
        # Classes of two axes may have one name, so a component is known by its own name alone.
        named = [definitions.get(reference.rpartition("/")[2], {}) for reference in references]
        names = [each.get("properties", {}).get("name", {}).get("const") for each in named]
        if sorted(map(str, names)) != sorted(short[0]["enum"]):
            continue
        kept = {k: v for k, v in property_.items() if k in ("description", "default", "title")}
        mappings = [{"$ref": reference} for reference in sorted(references)]
        properties[key] = {**kept, "anyOf": [*short, *mappings]}
