"""The OpenAPI document as 3.0, which is what the bundled Swagger UI draws.

Rules. Pure. Nothing is said here that the document does not say; what 3.0 has no word for is left
out. Programs read the document itself.
"""

from typing import Any, Final

UNKNOWN: Final = frozenset({"summary", "identifier"})
"""What 3.0's `info` and licences do not have."""
LATER: Final = ("contentMediaType", "contentSchema")
"""What 3.0's schemas do not have."""
NEWER: Final = r"\p{"
"""In a pattern of another flag than Swagger UI reads them with."""


def drawn(document: dict[str, Any]) -> dict[str, Any]:
    """The document in 3.0's words."""
    made: dict[str, Any] = _older(document)
    made["openapi"] = "3.0.3"
    info = {name: value for name, value in made["info"].items() if name not in UNKNOWN}
    info["license"] = {"name": info["license"]["name"]}
    made["info"] = info
    for item in made["paths"].values():
        for operation in item.values():
            if isinstance(operation, dict) and "security" in operation:
                # Scopes are those of OAuth there.
                operation["security"] = [{key: [] for key in one} for one in operation["security"]]
    return made


def _older(value: Any) -> Any:
    if isinstance(value, list):
        return [_older(item) for item in value]
    if not isinstance(value, dict):
        return value
    made = {name: _older(inner) for name, inner in value.items()}
    if "$ref" in made and len(made) > 1:  # beside it nothing else is read
        made = {"allOf": [{"$ref": made.pop("$ref")}], **made}
    if "const" in made:
        made["enum"] = [made.pop("const")]
    if isinstance(made.get("type"), list):  # of Data only, which may be anything
        made = {"description": made.get("description", "")}
    if isinstance(made.get("exclusiveMinimum"), int | float):
        made |= {"minimum": made["exclusiveMinimum"], "exclusiveMinimum": True}
    if made.get("required") == []:
        del made["required"]
    for name in LATER:
        made.pop(name, None)
    if NEWER in str(made.get("pattern", "")):
        del made["pattern"]
    return _nullable(made)


def _nullable(made: dict[str, Any]) -> dict[str, Any]:
    """`anyOf: [X, null]` as X, nullable."""
    kinds = made.get("anyOf", ())
    left = [kind for kind in kinds if kind != {"type": "null"}]
    if len(left) == 1 and len(kinds) > 1:
        del made["anyOf"]
        made |= {"allOf": left} if "$ref" in left[0] else left[0]
        made["nullable"] = True
    elif len(left) < len(kinds):
        made |= {"anyOf": left, "nullable": True}
    return made
