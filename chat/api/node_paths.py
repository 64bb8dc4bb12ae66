"""What is asked of a node itself, in the OpenAPI document.

Rules. Plain text: who asks are balancers, service managers and Prometheus.
"""

from typing import Any, Final

from chat.api.operations import refusal

TEXT: Final = "text/plain"
Item = dict[str, Any]


def paths() -> dict[str, Item]:
    """All paths of the node."""
    down = {"503": _text("The bus does not answer.")}
    ending = {"503": _text("It is going down and lets nobody in.")}
    refused = {str(status): refusal(status) for status in (401, 403, 404, 429)}
    return {
        "/healthz": _get(
            "getHealth",
            "See whether messages can be published",
            "Whether this process lives, and the bus answers it.",
            down,
        ),
        "/readyz": _get(
            "getReadiness",
            "See whether this is served, and will be",
            "Not while the node drains; also while the bus is away.",
            ending,
        ),
        "/metrics": _get(
            "getMetrics",
            "See the metrics",
            "In Prometheus' text format.",
            refused,
        ),
    }


def _get(name: str, summary: str, description: str, refused: Item) -> Item:
    answered = {"200": _text("It is so." if name != "getMetrics" else "The metrics."), **refused}
    operation = {
        "operationId": name,
        "tags": ["node"],
        "summary": summary,
        "description": description,
        "responses": answered,
    }
    return {"get": operation}


def _text(words: str) -> Item:
    return {"description": words, "content": {TEXT: {"schema": {"type": "string"}}}}
