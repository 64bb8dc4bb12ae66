"""What a text, a name and a room's name may be. Whatever comes in, cleaning gives one visible line
or nothing, and cleaning that again changes nothing."""

import json
import re
import shutil
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chat.config.sections import Limits
from chat.policy import text as policy_text
from chat.policy.text import (
    MARKS_IN_A_ROW,
    clean_name,
    clean_text,
    is_clean,
    is_one_line,
    room_problem,
    rules_for_page,
    text_problem,
    uid_problem,
)

NODE = shutil.which("node")
RULES_JS = Path(__file__).parents[3] / "web" / "rules.js"

IGNORABLE = [
    *("\u00ad", "\u034f", "\u061c", "\u115f", "\u1160", "\u17b4", "\u17b5", "\u180b", "\u180e"),
    *("\u200b", "\u200c", "\u200d", "\u200e", "\u200f", "\u2060", "\u2064", "\u2065", "\u206f"),
    *("\u3164", "\ufe00", "\ufe0f", "\ufeff", "\uffa0", "\ufff0", "\U0001bca0", "\U0001d173"),
    *("\U000e0001", "\U000e0020", "\U000e007f", "\U000e0100", "\U000e01ef", "\U000e0fff"),
]
"""Of each range in DerivedCoreProperties.txt one at least."""
BLANK = [*IGNORABLE, "\u2800", "\ufffc", "\U00016fe4", "\U0001d159", "\ufffe", "\U0010ffff"]
SPACES = list("\t\n\x0b\x0c\r \x85\xa0\u1680\u2000\u200a\u2028\u2029\u202f\u205f\u3000")
DIRECTIONS = list("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
SURROGATES = ["\ud800", "\ud83d", "\udbff", "\udc00", "\udfff"]
MARKS = list("\u0301\u0310\u0323\u093f\u0e35\u20dd\u0fb2\ufe0f\u034f\U000e0100")

unseen = st.sampled_from([*BLANK, *SPACES, *DIRECTIONS, *SURROGATES, "\x00", "\x1b", "\x9f"])
anything = st.text(st.characters(exclude_categories=[]) | unseen | st.sampled_from([*MARKS, "a"]))

KALACHAKRA = "\u0f67\u0f90\u0fb5\u0fa8\u0fb3\u0fba\u0fbc\u0fbb\u0f82"
REAL = [
    "हिन्दी",
    "ห้องแชท",
    "ที่นี่",
    "e\u0301",
    unicodedata.normalize("NFD", "Tiếng Việt ở đây"),
    "בְּרֵאשִׁ֖ית",
    "می\u200cخواهم",
    "क्\u200dष",
    "မြန်မာ",
    "ᠮᠣᠩᠭᠣᠯ\u180eᠠ",
    "\u1112\u119e\u11ab",
    "葛\U000e0100城",
    KALACHAKRA,
    "👩\u200d👩\u200d👧\u200d👦",
    "❤\ufe0f\u200d🔥",
    "1\ufe0f\u20e3",
    "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
    "👍🏽",
]


class TestRoomNames:
    @pytest.mark.parametrize(
        "name",
        [
            *("a", "7", "live:42", "直播间", "Зал_1", "हिन्दी", "ภาษาไทย", "ห้องแชท", "e\u0301"),
            *("a.b-c", ":", "...", ".a", "x" * 64, "a\u3164", "葛\U000e0100城", KALACHAKRA, "١٢"),
        ],
    )
    def test_letters_digits_and_four_signs_are_good(self, name: str) -> None:
        assert room_problem(name, 64) is None

    @pytest.mark.parametrize(
        "name",
        [
            "",
            "a b",
            "a\n",
            "\na",
            "直\n",
            "a\x00",
            "a/b",
            "a?",
            "a#",
            "a{b}",
            "a*",
            "😀",
            "a\u3000b",
            "a\u200db",
            "a\ud800",
            "x" * 65,
            ".",
            "..",
        ],
    )
    def test_anything_else_is_told_with_the_limit(self, name: str) -> None:
        assert "1 to 64" in (room_problem(name, 64) or "")

    @pytest.mark.parametrize(
        "name", ["\u3164", "\u115f\u1160", "\uffa0", "\ufe0f", "\U000e0100", "\u034f", "\U00016fe4"]
    )
    def test_a_name_nobody_can_see_is_none(self, name: str) -> None:
        assert "visible" in (room_problem(name, 64) or "")

    def test_a_tower_of_marks_is_none(self) -> None:
        assert room_problem("Z" + "\u0301" * 8 + "a", 64) is None
        assert "8 marks" in (room_problem("Z" + "\u0301" * 9 + "a", 64) or "")
        assert room_problem("Z" + "\u0301\u3164" * 5, 64) is not None

    def test_length_is_counted_in_characters(self) -> None:
        assert room_problem("弹" * 64, 64) is None
        assert room_problem("弹" * 65, 64) is not None
        assert room_problem("𠮷" * 64, 64) is None

    @given(st.text(max_size=6) | anything)
    def test_a_good_name_has_nothing_that_shows_as_space_or_control(self, name: str) -> None:
        if room_problem(name, 64) is None:
            assert all(unicodedata.category(c)[0] in "LMNC" or c in ":_.-" for c in name)
            assert not any(unicodedata.category(c) in ("Cc", "Cf", "Cs") for c in name)
            assert clean_text(name) == name


class TestText:
    @given(
        st.text(
            st.characters() | st.sampled_from("\n\r\x00\x1b\x7f\x85\x9f\u2028\u2029 "), max_size=9
        )
        | anything
    )
    def test_a_cleaned_text_is_one_line_and_stays_as_it_is(self, text: str) -> None:
        cleaned = clean_text(text)
        assert len(cleaned.splitlines()) <= 1
        assert not any(unicodedata.category(c) == "Cc" for c in cleaned)
        assert clean_text(cleaned) == cleaned
        assert is_clean(cleaned)
        assert is_clean(text) is (cleaned == text)
        assert is_one_line(cleaned)
        assert cleaned == cleaned.strip()
        assert not set(cleaned) & set(DIRECTIONS)

    @given(anything)
    @example("a\ud83d")
    @example("\ud83d\ude00")
    def test_it_is_well_formed(self, text: str) -> None:
        assert clean_text(text).encode().decode() == clean_text(text)

    @given(
        st.text(
            st.sampled_from([*MARKS, "Z", " ", "\u200b", "\u200d", "\u202e", "\ud800"]), max_size=60
        )
    )
    def test_no_letter_has_more_marks_than_any_script_needs(self, text: str) -> None:
        row = 0
        for character in clean_text(text):
            # What is invisible between two marks does not begin a new row.
            stacked = unicodedata.category(character)[0] == "M" or character in IGNORABLE
            row = row + 1 if stacked else 0
            assert row <= MARKS_IN_A_ROW

    @given(st.lists(unseen).map("".join))
    def test_of_what_nobody_can_see_nothing_is_left(self, text: str) -> None:
        assert clean_text(text) == ""

    @given(
        anything,
        st.characters(categories=["Lu", "Ll", "Nd", "P", "Sm", "Sc"], exclude_characters=BLANK),
    )
    def test_a_letter_a_digit_or_a_sign_is_never_empty(self, around: str, seen: str) -> None:
        assert seen in clean_text(around + seen)

    def test_every_single_blank_of_unicode_is_empty(self) -> None:
        for code in range(sys.maxunicode + 1):
            category = unicodedata.category(chr(code))
            if category in ("Cc", "Cf", "Cs", "Zs", "Zl", "Zp"):
                assert clean_text(chr(code)) == "", hex(code)

    def test_of_what_is_usual_nothing_needs_cleaning(self) -> None:
        every = map(chr, range(sys.maxunicode + 1))
        usual = [one for one in every if not policy_text._unusual.search(one)]
        assert [one for one in usual if policy_text._remarkable.search(one)] == []
        assert {*"aZ0~é×Жあ漢글、！"} <= set(usual)

    @pytest.mark.parametrize("blank", BLANK)
    def test_a_text_of_blanks_is_empty(self, blank: str) -> None:
        for text in (blank, blank * 20, f" {blank} {blank}\n"):
            assert clean_text(text) == ""

    @pytest.mark.parametrize("text", REAL)
    def test_what_people_write_stays_as_it_is(self, text: str) -> None:
        assert clean_text(text) == text

    @pytest.mark.parametrize(
        ("text", "cleaned"),
        [
            ("a\r\nb", "a b"),
            ("\x1b[2Jx", "[2Jx"),
            ("a\u2028b\u2029", "a b"),
            ("\x9b31m", "31m"),
            ("  a  b  ", "a  b"),
            ("\u3000前方高能\n", "前方高能"),
            ("👩\u200d💻", "👩\u200d💻"),
            ("\x00\n", ""),
            ("\u200b\u202e", ""),
            ("a\u202eb", "a b"),
            ("می\u200cخواهم", "می\u200cخواهم"),
            ("fu\u200bn\u00adny\ufeff", "funny"),
            ("שלום\u200f, עולם", "שלום, עולם"),
            ("a\ud83d", "a"),
            ("\ude00\ud83d😀", "😀"),
            ("a\ufffe", "a"),
            ("Z" + "\u0310\u0301\u0302\u0303" * 35, "Z" + "\u0310\u0301\u0302\u0303" * 2),
            ("\u0323" * 200 + "x", "\u0323" * 8 + "x"),
            ("Z" + "\u0301\u200d" * 20 + "!", "Z" + "\u0301\u200d" * 4 + "!"),
            ("Z" + "\u0301\u200b" * 20, "Z" + "\u0301" * 8),
        ],
    )
    def test_controls_are_spaces_and_ends_are_trimmed(self, text: str, cleaned: str) -> None:
        assert clean_text(text) == cleaned

    def test_an_empty_text_and_a_long_one_are_told(self) -> None:
        assert "empty" in (text_problem("", 3) or "")
        assert "3" in (text_problem("弹幕弹幕", 3) or "")
        assert text_problem("弹幕弹", 3) is None


class TestNames:
    @given(anything, st.integers(1, 40))
    def test_a_name_is_a_clean_text_that_fits(self, name: str, most: int) -> None:
        cleaned = clean_name(name, most)
        assert len(cleaned) <= most
        assert is_clean(cleaned)

    def test_a_cut_leaves_no_space_at_its_end(self) -> None:
        assert clean_name("ab cd", 3) == "ab"

    @pytest.mark.parametrize("uid", ["u", "a/b", "...", ".u", "阿花", "x" * 64])
    def test_a_uid_is_what_can_be_compared_and_named(self, uid: str) -> None:
        assert uid_problem(uid, 64) is None

    @pytest.mark.parametrize("uid", ["", ".", "..", " u", "a\nb", "\u3164", "x" * 65])
    def test_what_is_no_uid_is_told_with_the_limit(self, uid: str) -> None:
        assert "1 to 64" in (uid_problem(uid, 64) or "")

    def test_a_line_is_whole_and_steers_nothing(self) -> None:
        assert is_one_line(" \u200b弹幕\u3164")
        for text in ("a\nb", "\x1b", "\x9f", "\u2028", "\u2029", "\ud800"):
            assert not is_one_line(text)


@pytest.mark.skipif(NODE is None, reason="no node")
class TestThePage:
    """web/rules.js, fed with what the page is served, means the same."""

    def ask(self, limits: Limits, samples: list[str]) -> list[tuple[str, bool] | None]:
        """What the page makes of each: cleaned, good as a room. None: too new for this Node."""
        program = f"""
            import {{ readFileSync }} from "node:fs";
            import {{ Rules }} from {json.dumps(RULES_JS.as_uri())};
            const {{ served, samples }} = JSON.parse(readFileSync(0, "utf8"));
            const rules = new Rules(served);
            const known = (text) => !/(?!\\p{{Noncharacter_Code_Point}})\\p{{Cn}}/u.test(text);
            const judge = (text) => [rules.clean(text), rules.allowsRoom(text)];
            const found = samples.map((text) => (known(text) ? judge(text) : null));
            console.log(JSON.stringify(found));
        """
        asked = {"served": rules_for_page(limits), "samples": samples}
        done = subprocess.run(
            [str(NODE), "--input-type=module", "-e", program],
            input=json.dumps(asked), capture_output=True, text=True, check=True, timeout=60,
        )  # fmt: skip
        answers: list[list[object] | None] = json.loads(done.stdout)
        assert len(answers) == len(samples)
        return [None if found is None else (str(found[0]), bool(found[1])) for found in answers]

    def compare(self, samples: list[str]) -> int:
        """How many of `samples` could be compared."""
        limits = Limits()
        answers = self.ask(limits, samples)
        for text, answer in zip(samples, answers, strict=True):
            here = (clean_text(text), room_problem(text, limits.room_chars) is None)
            assert answer in (None, here), ascii(text)
        return len(answers) - answers.count(None)

    def test_of_every_character(self) -> None:
        known = [
            chr(code)
            for code in range(sys.maxunicode + 1)
            if unicodedata.category(chr(code)) not in ("Cn", "Co", "Cs")
        ]
        assert self.compare([f"a{c}b" for c in known]) > 100_000
        assert self.compare(known) > 100_000

    def test_of_texts(self) -> None:
        tricky = [*REAL, *BLANK, *SPACES, *DIRECTIONS, *SURROGATES, *MARKS]
        # Two halves of a character are a whole one on their way to the page.
        pairs = [a + b for a in tricky for b in tricky if not {a, b} <= set(SURROGATES)]
        samples = [
            "", "a b", "x" * 64, "x" * 65, "弹" * 64, "弹" * 65, "𠮷" * 64, "𠮷" * 65, "a\n",
            ".", "..", "...", ".a",
            "\ude00\ud83d😀", "a\ud83d", *tricky, *pairs, *(f" {pair} a" for pair in pairs),
            *(f"Z{mark * 40}!" for mark in MARKS), "Z" + "\u0310\u0301\u0302\u0303" * 35,
        ]  # fmt: skip
        assert self.compare(samples) > 2_000

    def test_the_limits_and_the_sentence_are_the_servers(self) -> None:
        served = rules_for_page(Limits(room_chars=7, text_chars=9))
        assert (served["room_chars"], served["text_chars"]) == (7, 9)
        assert served["room_rule"] == room_problem("", 7)

    def test_old_browsers_can_read_the_patterns(self) -> None:
        for pattern in rules_for_page(Limits()).values():
            assert not re.search(r"\(\?<|\\u\{|\(\?P|&&|--", str(pattern))
