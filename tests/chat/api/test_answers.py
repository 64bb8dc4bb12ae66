"""Answers: a Struct as JSON, and every refusal in one shape."""

from chat.api.answers import answer, failure
from chat.api.models import Problem, RoomOut


class TestAnswers:
    def test_a_body_is_json_and_says_so(self) -> None:
        response = answer(RoomOut("直播:1", 3, 5, None, 4))
        assert response.status_code == 200
        assert response.headers["content-type"] == "application/json"
        assert response.body == (
            '{"room":"直播:1","online":3,"peak":5,"peak_at":null,"unique":4}'.encode()
        )
        assert response.headers["content-length"] == str(len(response.body))

    def test_status_and_headers_are_the_callers(self) -> None:
        response = answer(RoomOut("a", 0, 0, None, 0), 201, {"x-next": "7"})
        assert response.status_code == 201
        assert response.headers["x-next"] == "7"
        assert response.headers["content-type"] == "application/json"


class TestFailures:
    def test_one_is_a_code_and_a_sentence(self) -> None:
        response = failure(403, "forbidden", "not from there")
        assert response.status_code == 403
        assert response.headers["content-type"] == "application/json"
        assert response.body == b'{"error":{"code":"forbidden","message":"not from there"}}'

    def test_each_problem_says_where_it_is_as_far_as_there_is_a_where(self) -> None:
        problems = (Problem("too long", "text"), Problem("not JSON", line=3), Problem("no body"))
        assert failure(400, "bad_request", "not valid", problems).body == (
            b'{"error":{"code":"bad_request","message":"not valid","problems":['
            b'{"message":"too long","path":"text"},'
            b'{"message":"not JSON","line":3},'
            b'{"message":"no body"}]}}'
        )

    def test_one_in_the_middle_says_how_much_was_done_and_when_to_try_again(self) -> None:
        response = failure(
            *(503, "unavailable", "try again"), accepted=7, headers={"retry-after": "2"}
        )
        assert response.status_code == 503
        assert response.headers["retry-after"] == "2"
        assert response.body == (
            b'{"error":{"code":"unavailable","message":"try again","accepted":7}}'
        )
