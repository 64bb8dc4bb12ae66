"""How an operation is described."""

from msgspec import Struct

from chat.api.operations import (
    ALWAYS,
    REFUSALS,
    TOLD,
    WITH_BODY,
    actor,
    integer,
    json_of,
    operation,
    parameter,
    ref,
    refusals,
)


class Told(Struct):
    """What is told,

    in two paragraphs.
    """

    x: int


class TestOperations:
    def test_it_is_answered_by_its_struct_and_refused_as_all_are(self) -> None:
        made = operation("look", "Look", "At it.", Told)
        assert set(made["responses"]) == {"200", *map(str, ALWAYS)}
        assert made["responses"]["200"]["content"]["application/json"]["schema"] == ref("Told")
        assert made["responses"]["200"]["description"] == "What is told,\n\nin two paragraphs."
        assert (made["operationId"], made["tags"]) == ("look", ["rooms"])
        assert not {"requestBody", "parameters"} & made.keys()

    def test_it_may_take_a_body_or_do_without(self) -> None:
        for needed in (True, False):
            made = operation(
                "do", "Do", "It.", Told, json_of(Told), tag="t", needs_body=needed, more=(409,)
            )
            assert made["requestBody"] == {"required": needed, "content": json_of(Told)}
            assert made["tags"] == ["t"]
            assert set(made["responses"]) == {"200", "409", *map(str, (*ALWAYS, *WITH_BODY))}

    def test_every_refusal_is_told_once_with_an_example_and_what_stands_in_its_head(self) -> None:
        assert set(REFUSALS) == set(TOLD) == {*ALWAYS, *WITH_BODY, 409}
        made = refusals()
        assert set(made) == {name for name, _ in REFUSALS.values()}
        heads = {name: set(one.get("headers", ())) for name, one in made.items()}
        assert {name for name, head in heads.items() if head == {"Retry-After"}} == {
            "TooManyRequests",
            "Unavailable",
        }
        assert heads["Unauthorized"] == {"WWW-Authenticate"}

    def test_parameters_in_a_path_are_always_needed(self) -> None:
        assert parameter("room", "path", integer(0, None), "which")["required"] is True
        found = parameter("top", "query", integer(1, 9), "how many", 5)
        assert (found["required"], found["in"], found["example"]) == (False, "query", 5)
        assert found["schema"] == {"type": "integer", "minimum": 1, "maximum": 9}
        assert integer(0, None) == {"type": "integer", "minimum": 0}
        assert actor()["in"] == "header"
