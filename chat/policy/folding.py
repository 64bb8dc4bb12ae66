"""Texts folded for comparing: what looks alike becomes alike, what is only decoration goes.

    "Ｆ. ú-С  k"  ->  "f- u-c k"        letters, `-` where something was passed over, ` ` a space

Rules. Pure. `fold` writes a text in its folded alphabet. Compatibility forms (full width, circled,
mathematical letters), case, accents on Latin and Greek, marks that a script can do without, and
invisible formatting are folded away; punctuation and symbols become one sign. Every other script
keeps its marks, because there they are vowels. Look-alikes are a short table of Cyrillic and Greek
letters that print like Latin ones, and a few Latin ones with a stroke: those which people use. A
word that is made of nothing but them is the Latin word, too.

A text can be folded by grapheme clusters, too, which is how a place in the folded one is traced to
what was typed. That is slow and done only where something was found.

Danger: `fold` runs for every message that is typed. What most messages are made of is therefore
left alone by one pattern, and only what is odd is looked at.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

import regex

PASSED_OVER: Final = "-"
"""Where punctuation was, or symbols."""
SPACE: Final = " "

LOOKALIKES: Final = {
    **dict(zip("авекмнорстухіјѕһԁԛԝѵғ", "abekmhopctyxijshdqwvf", strict=True)),  # Cyrillic
    **dict(zip("αβεηικνορτυχμγω", "abenikvoptyxuyw", strict=True)),  # Greek
    **dict(zip("øđłıħŧɑɡ", "odlihtag", strict=True)),  # Latin that no decomposition takes apart
}
LEET: Final = str.maketrans("013457@$", "oieastas")
"""Digits and signs that are written for letters."""

_leet = re.compile(r"[013457@$](?:[A-Za-z]|(?<=[A-Za-z].))")  # begins with a set: found fast
_with_letters = re.compile(r"[0-9@$]*[A-Za-z][0-9A-Za-z@$]*")
_PLAIN: Final = "a-z0-9一-鿿ぁ-ゖァ-ヺー가-힣"
"""Folded already, and whatever stands beside it."""
_SEPARATING: Final = " -/:-@\\[-`{-~、-〃〈-】！-／：-＠［-｀｛-･…·“”‘’"
"""Folded to what separates, likewise: punctuation of texts in these scripts."""
_odd = re.compile(f"[^{_PLAIN} ]+")
_strange = re.compile(f"[^{_PLAIN}{_SEPARATING}]")
_plain = re.compile(f"[{_PLAIN}]+")
_repeated = re.compile(r"([^0-9])\1\1+")
_decoration = regex.compile(
    r"[\u0300-\u036F\u0591-\u05C7\u0640\u064B-\u065F\u0670\u1AB0-\u1AFF\u1DC0-\u1DFF"
    r"\u20D0-\u20FF\uFE20-\uFE2F]|\p{Emoji_Modifier}|\p{Default_Ignorable_Code_Point}|\p{Cf}"
)
_picture = regex.compile(r"(?=\p{Emoji})\p{So}|\p{Regional_Indicator}")
_letter = regex.compile(
    r"(?=\p{L})[^\p{Han}\p{Hiragana}\p{Katakana}\p{Bopomofo}\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}"
    r"\p{Myanmar}\p{Tibetan}]"
)
_cluster = regex.compile(r"\X")
MOST_KNOWN: Final = 20_000


class _Table(dict[int, str]):
    """What each character becomes, as far as anybody has used it."""

    def __missing__(self, code: int) -> str:
        if len(self) > MOST_KNOWN:
            self.clear()
        folded = self[code] = _fold_character(chr(code))
        return folded


_table = _Table()


def _fold_character(one: str) -> str:
    if _decoration.match(one):
        return ""
    kind = unicodedata.category(one)
    if kind[0] == "Z" or kind == "Cc":
        return SPACE
    if kind[0] in "LNM":
        base = unicodedata.normalize("NFD", one)[0]
        if base != one and ("a" <= base <= "z" or "α" <= base <= "ω"):
            one = base
        return LOOKALIKES.get(one, one)
    return one if _picture.match(one) else PASSED_OVER


@lru_cache(4096)
def _fold_odd(run: str) -> str:
    return unicodedata.normalize("NFKC", run).casefold().translate(_table)


def fold(text: str) -> str:  # hot: once per message typed
    """`text` in the folded alphabet."""
    if text.isascii():
        return text.lower().translate(_table)
    return _odd.sub(_fold_match, unicodedata.normalize("NFC", text).casefold())


def _fold_match(match: re.Match[str]) -> str:
    return _fold_odd(match[0])


def compact(folded: str) -> str:
    """A folded text without what separates."""
    return folded.replace(SPACE, "").replace(PASSED_OVER, "")


_ascii: Final = {code: compact(fold(chr(code))) or None for code in range(128)}


def compacted(text: str) -> str:  # hot: once per message typed
    """`compact(fold(text))`, in one go where nothing in it is strange."""
    if text.isascii():
        return text.translate(_ascii)
    caseless = text.casefold()
    return compact(fold(text)) if _strange.search(caseless) else "".join(_plain.findall(caseless))


def has_leet(text: str) -> bool:
    """Whether digits or signs in a text may be meant as letters: they stand beside some."""
    return _leet.search(text) is not None


def unleet(text: str) -> str:
    """`text` with those replaced by the letters; character for character."""
    return _with_letters.sub(lambda word: word[0].translate(LEET), text)


def has_repeats(compacted: str) -> bool:
    """Whether a character is three times or more in a row; digits are numbers, and not meant."""
    return _repeated.search(compacted) is not None


def squeeze(compacted: str, most: int) -> str:
    """Three or more of a character in a row as `most` (1 or 2) of it."""
    return _repeated.sub(r"\1" * most, compacted)


@lru_cache(4096)
def edge(one: str) -> str:
    """What must not go on beside a whole word that ends in `one`: "letter", "digit", or "" where
    words have no ends, as in Chinese, and for pictures."""
    if one.isdecimal():
        return "digit"
    return "letter" if _letter.match(one) else ""


def clusters(text: str) -> list[str]:
    """The characters of a text as people count them (UAX #29)."""
    return _cluster.findall(text)


class Trace:
    """A compacted text, and where each character of it comes from.

    text   as `compact(fold(…))` has it, or squeezed
    spans  for each character the first and the last cluster of the original, both included
    gaps   what separated it from the one before: "", PASSED_OVER or SPACE; one more at the end
    """

    __slots__ = ("gaps", "spans", "text")

    def __init__(self, text: str) -> None:
        self.spans: list[tuple[int, int]] = []
        self.gaps: list[str] = []
        found, gap = [], SPACE
        for i, cluster in enumerate(clusters(text)):
            for one in fold(cluster):
                if one in (SPACE, PASSED_OVER):
                    gap = SPACE if SPACE in (one, gap) else PASSED_OVER
                else:
                    found.append(one)
                    self.spans.append((i, i))
                    self.gaps.append(gap)
                    gap = ""
        self.gaps.append(SPACE)
        self.text = "".join(found)

    def squeezed(self, most: int) -> "Trace":
        """The same with repeats squeezed; the last one kept of a run stands for its rest."""
        made = Trace("")
        made.gaps.clear()
        kept: list[str] = []
        for start, keep, stop in self._runs(most):
            kept.append(self.text[start:keep])
            made.spans += self.spans[start:keep]
            made.gaps += self.gaps[start:keep]
            made.spans[-1] = made.spans[-1][0], self.spans[stop - 1][1]
        made.gaps.append(SPACE)
        made.text = "".join(kept)
        return made

    def _runs(self, most: int) -> Iterator[tuple[int, int, int]]:
        """Stretches as (start, where what is kept of them ends, end)."""
        at = 0
        for run in _repeated.finditer(self.text):
            if at < run.start():
                yield at, run.start(), run.start()
            yield run.start(), run.start() + most, run.end()
            at = run.end()
        if at < len(self.text):
            yield at, len(self.text), len(self.text)
