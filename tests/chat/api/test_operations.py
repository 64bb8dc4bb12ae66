"""How an operation is described."""

from msgspec import Struct

from chat.api.operations import REFUSALS, integer, operation, parameter, ref


class Told(Struct):
    """What is told,

    in two paragraphs.
    """

    x: int


class TestOperations:
    def test_it_is_answered_by_its_struct_and_refused_as_is_said(self) -> None:
        made = operation("Look", "At it.", Told, (400, 503))
        assert set(made["responses"]) == {"200", "400", "503"}
        assert made["responses"]["200"]["content"]["application/json"]["schema"] == ref("Told")
        assert made["responses"]["200"]["description"] == "What is told,\n\nin two paragraphs."
        assert made["responses"]["503"]["description"] == REFUSALS[503]
        assert (made["tags"], "requestBody" in made, "parameters" in made) == (
            ["rooms"],
            False,
            False,
        )

    def test_it_may_take_a_body_or_do_without(self) -> None:
        body = {"application/json": {"schema": ref("Told")}}
        for needed in (True, False):
            made = operation("Do", "It.", Told, (), body, tag="t", needs_body=needed)
            assert made["requestBody"] == {"required": needed, "content": body}
            assert made["tags"] == ["t"]

    def test_parameters_in_a_path_are_always_needed(self) -> None:
        assert parameter("room", "path", integer(0, None), "which")["required"] is True
        found = parameter("top", "query", integer(1, 9), "how many")
        assert (found["required"], found["in"]) == (False, "query")
        assert found["schema"] == {"type": "integer", "minimum": 1, "maximum": 9}
        assert integer(0, None) == {"type": "integer", "minimum": 0}
