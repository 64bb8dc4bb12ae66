"""The document in 3.0's words."""

import json

from openapi_spec_validator import OpenAPIV30SpecValidator

from chat.api.drawn import drawn
from tests.chat.api.rig import Api
from tests.chat.api.test_openapi import DOCUMENT, WHOLE


def test_it_is_valid_3_0_with_the_same_operations() -> None:
    for made in (DOCUMENT, WHOLE):
        older = drawn(made)
        assert older["openapi"].startswith("3.0.")
        OpenAPIV30SpecValidator(older).validate()
        assert older["paths"].keys() == made["paths"].keys()


def test_it_has_no_words_of_3_1_and_no_patterns_that_are_read_otherwise() -> None:
    text = json.dumps(drawn(WHOLE))
    assert '"null"' not in text
    assert '"const"' not in text
    assert '"contentSchema"' not in text
    assert r"\\p{" not in text


def test_what_may_be_null_says_so() -> None:
    fields = drawn(DOCUMENT)["components"]["schemas"]["MessageIn"]["properties"]
    assert fields["id"] == {
        "type": "string",
        "minLength": 1,
        "maxLength": 64,
        "nullable": True,
        "default": None,
    }


def test_the_document_is_left_as_it_is() -> None:
    before = json.dumps(WHOLE)
    drawn(WHOLE)
    assert json.dumps(WHOLE) == before


def test_it_is_served_to_who_draws_it(api: Api) -> None:
    assert api.get("/docs/openapi.json").json["openapi"] == "3.0.3"
    assert api.get("/openapi.json").json["openapi"] == "3.1.0"
