"""Which encodings a text may have that is not UTF-8.

Charset-normalizer's word where it knows the language; else what the words look like: most files have few that show it.
"""

import codecs
import re
import unicodedata
from itertools import pairwise

#: The usual ones; of two that make the same sense of a text the earlier is taken.
USUAL = (
    "cp1252", "cp1250", "cp1251", "cp1254", "cp1257", "cp1253", "cp932", "gb18030", "cp949", "big5", "euc_jp", "koi8_r",
    "cp866", "cp1255", "cp1256", "cp874", "iso8859_2", "cp850", "mac_roman",
)  # fmt: skip
LOOKED_AT = 1 << 14  # bytes of different cells
KNOWS_LANGUAGE = 0.2  # charset-normalizer's coherence; below, it has not seen enough
MOST = 3

#: What a letter's bytes are like in everyday words, by encodings of two bytes a letter.
EVERYDAY = {
    "cp932": re.compile(rb"[\x81-\x83\x88-\x9f\xe0-\xea]."),
    "gb18030": re.compile(rb"[\xb0-\xf7][\xa1-\xfe]"),
    "cp949": re.compile(rb"[\xb0-\xc8][\xa1-\xfe]"),
    "big5": re.compile(rb"[\xa4-\xc6]."),
    "euc_jp": re.compile(rb"[\xa1\xa4\xa5\xb0-\xf4][\xa1-\xfe]"),
}
#: Bytes that are not ASCII and what they stand with; letters of two bytes may have one of ASCII.
_CELLS = re.compile(rb"[^\x00-\x2f]*[\x80-\xff][^\x00-\x2f]*+")
_WORDS = re.compile(r"[^\s\d,;|\"]+")
#: Signs that may touch a letter.
_TOUCHING = "’‘‚“”„‹›«»–—…™®©°"
#: What cp1252 makes of other languages: Czech, Slovak, Polish, Hungarian, Croatian and Turkish words.
_UNWESTERN = re.compile("[ŠšŽž]|(?<=[a-z])þ|õ(?!e)|ø[íáéùì]|[íáéùì]ø|È(?=[a-z])|[ìù](?=[a-z])|iæ$|œ(?=[wclrm])")
_RARE_CYRILLIC = re.compile("[ЂЃЉЊЌЋЏђѓљњќћџ]")
#: How many letters that are not ASCII stand side by side in no word of a language in Latin letters.
_CROWDS = {"cp1252": 3, "cp850": 2, "mac_roman": 2}
_CROWD = 4
#: Characters that the name of an encoding may have; Python keeps each name that it was ever asked for.
LONGEST_NAME = 40
#: What every encoding of texts gives back as it was, byte by byte; the long word is too long for a host's name (IDNA).
_PROBE = "a,b\n" + "x" * 100


def text_encoding(name: str) -> str:
    """The usual name of an encoding.

    Raises:
        ValueError: it is none that a text can have, such as Python's ``hex``, ``bz2``, ``rot13`` and ``undefined``.
    """
    try:
        if len(name) > LONGEST_NAME:
            raise LookupError
        decoder = codecs.getincrementaldecoder(name)()
        read = "".join(decoder.decode(bytes([byte])) for byte in _PROBE.encode(name)) + decoder.decode(b"", final=True)
        if read != _PROBE:
            raise LookupError
    except (LookupError, ValueError, TypeError, AssertionError):  # TypeError: it gives bytes, or takes texts
        raise ValueError(f"there is no encoding {name[:LONGEST_NAME]!r}; utf-8 and cp1252 are usual ones") from None
    return codecs.lookup(name).name


def likely_encodings(block: bytes) -> tuple[str, ...]:
    """The encodings a text may have, the likeliest first.

    Args:
        block: a part of the text that is not UTF-8.
    """
    cells = b"\n".join(dict.fromkeys(_CELLS.findall(block)))[:LOOKED_AT]
    known, asian = _by_language(cells)
    faults = {encoding: found for encoding in USUAL if (found := _faults(cells, encoding)) < 1}
    ranked = sorted(faults, key=lambda encoding: (encoding != known, faults[encoding], encoding != asian))
    return tuple(ranked[:MOST]) or ("cp1252",)


def _by_language(cells: bytes) -> tuple[str | None, str | None]:
    """The encoding in which charset-normalizer knows the language, and its choice among those of East Asia."""
    from charset_normalizer import from_bytes  # takes a while to import, and few files need it

    found = list(from_bytes(cells, cp_isolation=list(USUAL)))
    known = next((match.encoding for match in found if match.coherence >= KNOWS_LANGUAGE), None)
    return known, next((match.encoding for match in found if match.encoding in EVERYDAY), None)


def _faults(cells: bytes, encoding: str) -> float:
    """The share of words that no language writes so; all where the encoding does not have such bytes."""
    text = cells.decode(encoding, errors="replace")
    if "\ufffd" in text[:-1]:  # the last letter may be cut
        return 1
    words = [word for word in _WORDS.findall(text) if not word.isascii()]
    fault = _fault_of_pairs if encoding in EVERYDAY else _fault
    return sum(fault(word, encoding) for word in words) / max(1, len(words))


def _fault(word: str, encoding: str) -> float:
    """How little a word looks like one, from 0 to 1, in an encoding of one byte a letter."""
    scripts = {unicodedata.name(letter, "?").split()[0] for letter in word if letter.isalpha()}
    if any(_is_odd(before, letter) for before, letter in pairwise(word)) or len(scripts) > 1:
        return 1
    if encoding != "cp1252" and len(word) < (2 if scripts == {"LATIN"} else 3):
        return 1  # too little to say anything but the usual
    if scripts == {"LATIN"}:
        crowd = _CROWDS.get(encoding, _CROWD)
        return 1 if re.search(rf"[^\x00-\x7f]{{{crowd}}}", word) else 0.5 * _is_unwestern(word, encoding)
    return 1 if scripts == {"CYRILLIC"} and _RARE_CYRILLIC.search(word) else 0


def _is_unwestern(word: str, encoding: str) -> bool:
    return encoding == "cp1252" and bool(_UNWESTERN.search(word))


def _is_odd(before: str, letter: str) -> bool:
    """Whether two characters do not stand side by side in any language."""
    if before.isascii() and letter.isascii():
        return False
    if before.isalpha() and letter.isalpha():
        return before.islower() and letter.isupper()
    if letter.isalpha():
        return not before.isascii() and before not in _TOUCHING + "¿¡"
    return before.isalpha() and not letter.isascii() and letter not in _TOUCHING and not unicodedata.combining(letter)


def _fault_of_pairs(word: str, encoding: str) -> float:
    """How little a word looks like one, from 0 to 1, in an encoding of two bytes a letter."""
    letters = [letter for letter in word if not letter.isascii() and letter.isalpha()]
    if not letters:
        return 1
    usual = sum(bool(EVERYDAY[encoding].fullmatch(letter.encode(encoding, errors="replace"))) for letter in letters)
    mixed = any(letter.isascii() and letter.islower() for letter in word)
    return max(1 - usual / len(letters), 0.5 * mixed)
