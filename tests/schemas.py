"""The published schemas of what commands and result folders hold as JSON."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

__all__ = ["DOCS", "SCHEMAS", "parts", "strict"]

DOCS = Path(__file__).resolve().parents[1] / "docs"
SCHEMAS = {path.stem: json.loads(path.read_text()) for path in sorted((DOCS / "schema").glob("*.json"))}


def parts(schema: Any) -> Iterator[dict[str, Any]]:
    """Iterate over a schema and all schemas in it."""
    if isinstance(schema, dict):
        yield schema
        for value in schema.values():
            yield from parts(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from parts(value)


def strict(name: str) -> Draft202012Validator:
    """Return the validator of a schema that also rejects fields which the schema does not describe."""
    others = [(f"{one}.json", DRAFT202012.create_resource(closed(SCHEMAS[one]))) for one in SCHEMAS]
    checker = Draft202012Validator.FORMAT_CHECKER
    registry = Registry().with_resources(others)
    return Draft202012Validator(closed(SCHEMAS[name]), format_checker=checker, registry=registry)


def closed(schema: Any) -> Any:
    """Return a schema that allows no field which it does not describe."""
    schema = json.loads(json.dumps(schema))
    for part in parts(schema):
        if isinstance(part.get("properties"), dict) and part.get("type") == "object":
            part["additionalProperties"] = False
    return schema
