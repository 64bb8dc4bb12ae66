"""Words that may not be said: lists of them, and what of a text is on one.

    {refuse: […], mask: […], shadow: […]}  ->  Matcher  ->  hits in a text  ->  Judged

Rules. Pure. A word of a script that separates words is found as a whole word; `ass*`, `*ass` and
`*ass*` also find it where a word begins so, ends so, or has it inside. A word of a script that does
not (Chinese, Japanese, Korean with its endings, Thai), and a picture, are found anywhere. Digits
are no letters: "ass2" has the word.

Compared is what is folded (`folding`). Found are also: what is written with digits for letters
beside other letters ("a55"), with a character three times or more where the word has one or two of
it ("fuuuck"; "good" is not "god"), with punctuation between its letters ("f.u-ck"), and spelt with
spaces, letter by letter ("f u c k"); between Chinese characters any spaces. A phrase is found with
its spaces and without. All of these have their price: a Russian word that prints like a Latin one
is that one.

A list is one automaton (Aho-Corasick) over the compacted words, which only proposes; what it
proposes is looked at with its boundaries, at the original. Where nothing is proposed, nothing else
is done. Large lists are several automata, because making one cannot be interrupted.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Final, Literal

from ahocorasick_rs import AhoCorasick
from msgspec import Struct, field

from chat.counters import ChatCount
from chat.policy.folding import (
    PASSED_OVER,
    SPACE,
    Trace,
    clusters,
    compact,
    compacted,
    edge,
    fold,
    has_leet,
    has_repeats,
    squeeze,
    unleet,
)
from chat.policy.gate import PASS, Attempt, Check, Refusal, Verdict
from chat.policy.identity import chosen_name, renamed
from chat.policy.roles import STAFF
from chat.wire.schema import GUEST, ErrorCode

Kind = Literal["refuse", "mask", "shadow"]
KINDS: Final[tuple[Kind, ...]] = ("refuse", "mask", "shadow")
MASK: Final = "*"
MAX_WORDS: Final = 250_000
"""Words of one list, all kinds together."""
MAX_WORD: Final = 64
"""Characters of a word."""
AUTOMATON_BYTES: Final = 500_000
"""Bytes of words of one automaton: some 50,000 of usual length. The interpreter stands still for 40
to 80 ms while one is made, and every one more costs half a microsecond a message."""
SLICE: Final = 256
"""Words looked at between two pauses: about a millisecond."""


REFUSED: Final = Refusal(ErrorCode.WORD_REFUSED, "this may not be said here", field="text")
NAME_REFUSED: Final = Refusal(
    ErrorCode.WORD_REFUSED, "nobody may be called like you here; choose another name", field="name"
)
UNKNOWN: Final = Refusal(ErrorCode.UNAVAILABLE, "the room is being opened; send it again", 1.0)


class WordList(Struct, frozen=True, forbid_unknown_fields=True):
    """A list: what each word on it does to a text."""

    refuse: list[str] = field(default_factory=list)
    mask: list[str] = field(default_factory=list)
    shadow: list[str] = field(default_factory=list)

    def of(self, kind: Kind) -> list[str]:
        found: list[str] = getattr(self, kind)
        return found

    def __len__(self) -> int:
        return len(self.refuse) + len(self.mask) + len(self.shadow)


class Word(Struct, frozen=True, gc=False):
    """A word as it is looked for.

    word         as it stands on the list
    left, right  what must not go on beside it: see `folding.edge`
    gaps         a sign for each character of its compacted form: what may be before it
    """

    word: str
    kind: Kind
    left: str
    right: str
    gaps: str


class Hit(Struct, frozen=True):
    """A word that was found, and in which clusters of the text, counted from 0."""

    word: str
    kind: Kind
    clusters: tuple[int, ...]


NO_HITS: Final[tuple[Hit, ...]] = ()


class Judged(Struct, frozen=True):
    """What becomes of a text: `text` is masked; `hits` says by which words."""

    text: str
    refused: bool = False
    shadowed: bool = False
    hits: tuple[Hit, ...] = ()


def read_word(word: str, kind: Kind) -> tuple[str, Word] | str:
    """A word in its compacted form and how it is looked for; or what is wrong with it."""
    if len(word) > MAX_WORD:
        return f"a word is at most {MAX_WORD} characters"
    inner = word.strip()
    starts, ends = inner.startswith(MASK), inner.endswith(MASK)
    inner = inner.strip(MASK).strip()
    if not inner:
        return "there is nothing to look for"
    if MASK in inner:
        return "a * stands at the beginning or the end only"
    folded = fold(inner)
    bare = compact(folded)
    if not bare:
        return "punctuation and symbols are passed over: there is nothing to look for"
    if folded[0] == PASSED_OVER or folded[-1] == PASSED_OVER:
        return "it begins or ends in what is passed over in texts: write it without"
    left = "" if starts else edge(bare[0])
    right = "" if ends else edge(bare[-1])
    return bare, Word(word, kind, left, right, _gaps_of(folded))


def _gaps_of(folded: str) -> str:
    """A sign for each character of a folded word: SPACE where a space is before it."""
    if SPACE not in folded:
        return ""
    found, before = [], ""
    for one in folded:
        if one not in (SPACE, PASSED_OVER):
            found.append(SPACE if SPACE in before else PASSED_OVER)
            before = ""
        else:
            before += one
    return "".join(found)


class Matcher:
    """One list, ready to look into texts."""

    def __init__(self, words: WordList) -> None:
        making = Making(words)
        for _ in making.read():
            pass
        self._finish([making.automaton(part) for part in making.parts], making)

    @classmethod
    def made(cls, automata: Sequence[AhoCorasick], making: "Making") -> "Matcher":
        """One whose parts were made step by step."""
        matcher = cls.__new__(cls)
        matcher._finish(automata, making)
        return matcher

    def _finish(self, automata: Sequence[AhoCorasick], making: "Making") -> None:
        # Each with the number of its first word.
        firsts = accumulate(map(len, making.parts), initial=0)
        self._automata = list(zip(automata, firsts, strict=False))
        self._words = making.words

    def listed(self) -> WordList:
        """The list it was made of, but for the order, and what was no word."""
        lists: dict[str, list[str]] = {kind: [] for kind in KINDS}
        for several in self._words:
            for word in several:
                lists[word.kind].append(word.word)
        return WordList(**lists)

    def hits(self, readings: Iterable["Reading"]) -> Sequence[Hit]:  # hot: once per message typed
        """The words in a text, each with all places where it is."""
        found: dict[Word, set[int]] = {}
        for reading in readings:
            for automaton, base in self._automata:
                if automaton.find_matches_as_indexes(reading.compacted):
                    self._look(automaton, base, reading.trace(), found)
        if not found:
            return NO_HITS
        return [Hit(word.word, word.kind, tuple(sorted(at))) for word, at in found.items()]

    def _look(
        self, automaton: AhoCorasick, base: int, trace: Trace, found: dict[Word, set[int]]
    ) -> None:
        for number, start, end in automaton.find_matches_as_indexes(trace.text, True):
            for word in self._words[base + number]:
                if is_word(word, trace, start, end):
                    where = found.setdefault(word, set())
                    for first, last in trace.spans[start:end]:
                        where.update(range(first, last + 1))


class Making:
    """A Matcher being made, in steps that somebody may pause between.

    for _ in making.read(): …            then an `automaton` of each of `parts`, in any thread
    """

    def __init__(self, words: WordList) -> None:
        self.words: list[tuple[Word, ...]] = []
        self.parts: list[list[str]] = []
        self._list = words
        self._compacted: dict[str, int] = {}
        self._left = 0

    def read(self) -> Iterator[None]:
        """Read the words; what is none is left out."""
        number = 0
        for kind in KINDS:
            for word in self._list.of(kind):
                found = read_word(word, kind)
                if not isinstance(found, str):
                    self._add(*found)
                number += 1
                if number % SLICE == 0:
                    yield

    def _add(self, compacted: str, word: Word) -> None:
        at = self._compacted.setdefault(compacted, len(self.words))
        if at == len(self.words):
            self.words.append((word,))
            if self._left <= 0:
                self.parts.append([])
                self._left = AUTOMATON_BYTES
            self.parts[-1].append(compacted)
            self._left -= len(compacted.encode())
        else:
            self.words[at] += (word,)

    @staticmethod
    def automaton(part: list[str]) -> AhoCorasick:
        """What finds these."""
        return AhoCorasick(part, store_patterns=False)

    def matcher(self, automata: Sequence[AhoCorasick]) -> Matcher:
        """What was made, out of an automaton for each part, in order."""
        return Matcher.made(automata, self)


class Reading:
    """One way to read a text: as `written`, which may have letters for digits, and with repeats as
    `most` of them; 0: as they are."""

    __slots__ = ("_trace", "_written", "compacted", "most")

    def __init__(self, written: str, compacted: str, most: int = 0) -> None:
        self.compacted = compacted
        self.most = most
        self._written = written
        self._trace: Trace | None = None

    def trace(self) -> Trace:
        """Where each character of `compacted` comes from."""
        if self._trace is None:
            trace = Trace(self._written)
            self._trace = trace.squeezed(self.most) if self.most else trace
        return self._trace


def readings(text: str) -> list[Reading]:  # hot: once per message typed
    """All ways to read a text; mostly one."""
    found = []
    for written in (text, unleet(text)) if has_leet(text) else (text,):
        bare = compacted(written)
        found.append(Reading(written, bare))
        if has_repeats(bare):
            found += [Reading(written, squeeze(bare, most), most) for most in (1, 2)]
    return found


def is_word(word: Word, trace: Trace, start: int, end: int) -> bool:
    """Whether what was proposed is the word: it ends where words end, and what separates its
    characters is what one passes over."""
    text, gaps = trace.text, trace.gaps
    if word.left and not gaps[start] and start and edge(text[start - 1]) == word.left:
        return False
    if word.right and not gaps[end] and end < len(text) and edge(text[end]) == word.right:
        return False
    inner = range(start + 1, end)
    spaced = [
        at
        for at in inner
        if gaps[at] == SPACE and (not word.gaps or word.gaps[at - start] != SPACE)
    ]
    if all(not (edge(text[at - 1]) and edge(text[at])) for at in spaced):
        return True
    return all(gaps[at] for at in inner)


def judge(matchers: Iterable[Matcher], text: str) -> Judged | None:
    """What lists make of a text; None where nothing of it is on any. For what is typed, and as well
    for names and announcements."""
    read = readings(text)
    hits: list[Hit] = []
    for matcher in matchers:
        hits += matcher.hits(read)
    if not hits:
        return None
    kinds = {hit.kind for hit in hits}
    masked = text if "mask" not in kinds else _masked(text, hits)
    return Judged(masked, "refuse" in kinds, "shadow" in kinds, tuple(hits))


def _masked(text: str, hits: Iterable[Hit]) -> str:
    hidden = {at for hit in hits if hit.kind == "mask" for at in hit.clusters}
    return "".join(MASK if at in hidden else cluster for at, cluster in enumerate(clusters(text)))


def shown(matchers: Iterable[Matcher], text: str) -> str | None:
    """A name or an announcement as it may be shown to all, masked; None where it may not be."""
    judged = judge(matchers, text)
    if judged is None:
        return text
    return None if judged.refused or judged.shadowed else judged.text


def words(lists: Callable[[str], Sequence[Matcher] | None], counts: "memoryview[int]") -> Check:
    """The gate's check: a text on a list is refused, masked, or shown to its sender only, and so is
    one of a guest whose chosen name is on it. It is not said by which word. Moderators are above
    them.

    lists   finds those that hold in a room; None: they are not known yet
    counts  has what is masked or shadowed; what is refused its caller counts
    """

    def check(attempt: Attempt) -> Verdict:
        matchers = lists(attempt.room)
        if (matchers is not None and not matchers) or attempt.role in STAFF:
            return PASS
        if matchers is None:
            return UNKNOWN
        judged = judge(matchers, attempt.text)
        chosen = chosen_name(attempt.who) if attempt.who.role == GUEST else ""
        name = judge(matchers, chosen) if chosen else None
        if judged is None and name is None:
            return PASS
        judged, name = judged or Judged(attempt.text), name or Judged(chosen)
        if judged.refused or name.refused:
            return REFUSED if judged.refused else NAME_REFUSED
        if judged.text != attempt.text or name.text != chosen:
            counts[ChatCount.MASKED] += 1
            attempt.text = judged.text
            attempt.who = renamed(attempt.who, name.text) if chosen else attempt.who
        if judged.shadowed or name.shadowed:
            counts[ChatCount.SHADOWED] += 1
            attempt.shadowed = True
        return PASS

    return check
