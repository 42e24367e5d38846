"""Writes datasets/unicode_ranges.c and unicode_changes.c: what `tokenizers` makes of every character.

BERT's published tokenizers classify characters by the Unicode version that `tokenizers` was built
with, which differs from the newest in some hundred places, so the ranges are asked from it.

    python tests/reference/unicode.py && clang-format -i datasets/unicode_*.c
"""
import os

import tokenizers
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers

OFF = dict(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False)
clean = normalizers.BertNormalizer(**{**OFF, "clean_text": True}).normalize_str
strip = normalizers.BertNormalizer(**{**OFF, "strip_accents": True}).normalize_str
lower = normalizers.BertNormalizer(**{**OFF, "lowercase": True}).normalize_str
nfd = normalizers.NFD().normalize_str
split = pre_tokenizers.BertPreTokenizer().pre_tokenize_str

CODE_POINTS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]


def is_reordered(c):
    """Has a combining class: it changes places with U+0334 (class 1) or with U+0345 (class 240)."""
    x = chr(c)
    if nfd(x) != x:
        return False
    return c in (0x334, 0x345) or nfd("a" + x + "\u0334") == "a\u0334" + x or (
        nfd("a\u0345" + x) == "a" + x + "\u0345")


def is_mark(c):
    """A nonspacing mark: dropped with the accents."""
    return nfd(chr(c)) == chr(c) and strip(chr(c)) == ""


words = Tokenizer(models.WordPiece({"[UNK]": 0, "=": 1}, unk_token="[UNK]"))
words.add_tokens([AddedToken("=", single_word=True, normalized=False)])


def is_word(c):
    """Keeps a single_word token beside it from matching: the regular expression \\w."""
    return words.encode("=" + chr(c)).ids[0] != 1


def ranges(test):
    found = []
    for c in CODE_POINTS:
        if test(c):
            if found and found[-1][1] == c - 1:
                found[-1][1] = c
            else:
                found.append([c, c])
    return found


def lower_ranges():
    """(first, last, stride, difference) of the characters whose lower case is one other character."""
    pairs = [(c, ord(lower(chr(c))) - c) for c in CODE_POINTS if lower(chr(c)) != chr(c) and c != 0x130]
    found = []
    for c, difference in pairs:
        if found:
            last = found[-1]
            step = c - last[1]
            if last[3] == difference and step <= 2 and (last[0] == last[1] or last[2] == step):
                last[1], last[2] = c, step
                continue
        found.append([c, c, 1, difference])
    return found


def write(file, name, what, rows, kind, text):
    print(f"/* {what} */\nconst {kind} {name}[] = {{", file=file)
    print(", ".join(text(r) for r in rows), file=file)
    print(f"}};\nconst size_t {name}_COUNT = sizeof {name} / sizeof *{name};\n", file=file)


def begin(name, what):
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "datasets", name)
    file = open(path, "w")
    print(f"/* {name} - {what}\n *\n * Written by tests/reference/unicode.py from tokenizers "
          f"{tokenizers.__version__}, not by hand. Sorted, inclusive.\n */", file=file)
    print('#include "datasets/unicode.h"\n', file=file)
    return file


def main():
    pair = lambda r: "{0x%X, 0x%X}" % tuple(r)
    with begin("unicode_ranges.c", "the classes of characters.") as f:
        write(f, "UNICODE_REMOVED", "Dropped by clean_text: U+0000, U+FFFD, control, format, private use.",
              ranges(lambda c: clean("a" + chr(c) + "b") == "ab"), "UnicodeRange", pair)
        write(f, "UNICODE_PUNCTUATION", "A token by itself: ASCII symbols and Unicode's P categories.",
              ranges(lambda c: len(split("a" + chr(c) + "b")) == 3), "UnicodeRange", pair)
        write(f, "UNICODE_MARKS", "Nonspacing marks (Mn), dropped with the accents.", ranges(is_mark),
              "UnicodeRange", pair)
        write(f, "UNICODE_WORD", "Part of a word, as a single_word token sees its neighbours.",
              ranges(is_word), "UnicodeRange", pair)
    with begin("unicode_changes.c", "the characters that normalisation changes.") as f:
        write(f, "UNICODE_DECOMPOSED", "Has a canonical decomposition.",
              ranges(lambda c: nfd(chr(c)) != chr(c)), "UnicodeRange", pair)
        write(f, "UNICODE_REORDERED", "Has a combining class, so normalisation moves it.",
              ranges(is_reordered), "UnicodeRange", pair)
        write(f, "UNICODE_LOWER", "Lower case of first, first + stride, ... last: add the difference.",
              lower_ranges(), "UnicodeLower", lambda r: "{0x%X, 0x%X, %d, %d}" % tuple(r))


main()
