"""Compares Cairn's tokenizer with Hugging Face's, and writes tests/golden/tokenizer.json.

    python tests/reference/tokenizer.py vocabulary        write tests/fixtures/vocab.txt
    python tests/reference/tokenizer.py golden            write the golden file, from it
    python tests/reference/tokenizer.py compare CAIRN     compare ids and offsets; prints counts
    python tests/reference/tokenizer.py speed CAIRN       texts a second of both, one thread

All but golden want $CAIRN_DATA (default ../shared/data): squad/ and bert-base-uncased-vocab.txt.
"""
import json
import os
import random
import subprocess
import sys
import tempfile
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
DATA = os.environ.get("CAIRN_DATA", os.path.join(ROOT, "..", "shared", "data"))
VOCAB = os.path.join(DATA, "tokenizers", "bert-base-uncased-vocab.txt")
TINY = os.path.join(ROOT, "tests", "fixtures", "vocab.txt")
SEPARATOR = "\n<|next text|>\n"
SPECIAL = ["[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"]

NASTY = [
    "", " ", "\t\n\r", "Hello, World!", "  hello   world  ", "it's a-b_c$d^e`f~g|h<i>j=k+l",
    "un\u00e9 caf\u00e9 cafe\u0301 CAF\u00c9", "\u0130stanbul I\u0307 \u0131", "\u00df \u1e9e \u03a3\u03a3 \u03c3\u03c2",
    "\u6211\u60f3\u5728apple\u5de5\u4f5c1314151\u5929\uff5e", "\u3042\u3044\u30ab\u30ca \uff76\uff9e",
    "\ud55c\uad6d\uc5b4 \u1112\u1161\u11ab", "\U0001f600 \U0001f680\U0001f468\u200d\U0001f469\u200d\U0001f467!", "\u2705 ok\ufe0f",
    "soft\u00adhyphen zero\u200bwidth\u200djoin\u200cer", "nul\x00in side", "bad\ufffdchar", "bell\x07 \x1b[0m del\x7f \x85 \x80",
    "a\u0300\u0301\u0323b\u0327\u0316", "\u0301start", "o\u0308\u0304 \u1e69 s\u0323\u0307", "\u0344\u0327x a\u0344\u0327x",
    "x" * 99, "x" * 100, "x" * 101, "hello" * 25, "\u00e9" * 101, "e\u0301" * 100,
    "I saw [MASK] inside[MASK]text [mask]", "[CLS] a [SEP] b[SEP]", "[PAD][UNK] [UNK", "[[MASK]]",
    "narrow\u202fspace no\u00a0break thin\u2009space line\u2028sep\u2029par ideo\u3000graphic",
    "\u1680ogham", "\u200e\u202amarks\u202c", "\ufeffbom", "\u00ab quoted \u00bb \u201cq\u201d \u2018s\u2019 \u2026 \u2014 \u3002\u3001",
    "\u00a3 \u20ac \u00a9 \u2122 \u00b0 \u00d7 \u2190 \u2200", "1,234.56 3\u20444 \u00bd \u2167", "\u00c5ngstr\u00f6m \u212b \u2126 K\u212a",
    "\uf900 \U0002f800 \U00020000 \U0002b820 \U0002b920", "\u0915\u094d\u0937\u093f \u0e01\u0e33 \u0639\u0631\u0628\u064a\u0651\u064e", "\u037e \u1fef \u2e43",
    "\ue000 \U000f0000 \U0010ffff \ufffe", "##ing # #hello##ing", "a##b", "\u1bc9d\U0001d15e \U0001d16e\U0001d165",
    "\u0958 \u0340 \u2adc \ufb1d \uac01\u0301", "vi\u1ec7t \u01d5 \u1f80 \u1fb7", "hello\u0301world", "hel\u00adlo wor\u0000ld",
    "\u00a0\u00a0lead", "tail\u00a0", "a\u000bb\u000cc", "\u4e2d\u0301\u6587", "hello\u302e\U0001d165x hello\u302e\U0001d165",
    "HELLO W\u00d6RLD", "ALLCAPS \u0410\u0411\u0412 \u03b1\u0392",
]


def read_vocabulary(path):
    with open(path, encoding="utf-8", newline="\n") as f:
        return {line.rstrip("\n"): i for i, line in enumerate(f)}


def reference(path, added=(), specials=SPECIAL, **settings):
    vocabulary = read_vocabulary(path)
    t = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=100))
    settings = {"clean_text": True, "handle_chinese_chars": True, "strip_accents": None,
                "lowercase": True, **settings}
    t.normalizer = normalizers.BertNormalizer(**settings)
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    t.decoder = decoders.WordPiece()
    t.add_special_tokens([s for s in specials if s in vocabulary])
    t.add_tokens(list(added))
    return t


def line_of(encoding):
    return [[i, s, e] for i, (s, e) in zip(encoding.ids, encoding.offsets)]


VARIANTS = {
    "uncased": {},
    "cased": {"lowercase": False},
    "lower_keep_accents": {"strip_accents": False},
    "cased_strip": {"lowercase": False, "strip_accents": True},
    "no_clean": {"clean_text": False},
    "no_chinese": {"handle_chinese_chars": False},
    "raw": {"clean_text": False, "handle_chinese_chars": False, "lowercase": False},
    "added": {"added": [AddedToken("<new>"), AddedToken("[ROW]", single_word=True, normalized=False),
                        AddedToken("<l>", lstrip=True, normalized=False),
                        AddedToken("<r>", rstrip=True, normalized=False), AddedToken("caf\u00e9 x")]},
    "added_strip": {"added": [AddedToken("Abc", lstrip=True, rstrip=True),
                              AddedToken("Word", single_word=True), AddedToken("\u0130q")]},
}
ADDED_TEXTS = ["a <new>b <NEW> c", "x[ROW] [ROW]y [ROW] z", "a  <l>  b <r>  c<r> \u00a0<l>d", "CAFE X caf\u00e9 xx",
               "abcABC abc  x", "word words sword WORD, word\u0301", "i\u0307q \u0130q I\u0307Q iq", " <r> <r> <l> <l>"]


def write_vocabulary():
    """The pieces of BERT's vocabulary that the nasty texts need, and a few with capitals."""
    t = reference(VOCAB)
    used = {i for x in NASTY + ADDED_TEXTS for i in t.encode(x, add_special_tokens=False).ids}
    pieces = [t.id_to_token(i) for i in sorted(used)]
    own = ["Hello", "World", "\u00e9", "##\u00e9", "##E", "CA", "##F", "\u4e2d", "\ud55c", "##\u0301", "I", "##i\u0307",
           "##\U0001d165\u302e"]
    pieces = SPECIAL + [p for p in pieces if p not in SPECIAL] + own
    with open(TINY, "w", encoding="utf-8", newline="\n") as f:
        f.write("".join(p + "\n" for p in dict.fromkeys(pieces)))


def write_golden():
    out = []
    for name, settings in VARIANTS.items():
        t = reference(TINY, **settings)
        texts = NASTY + ADDED_TEXTS
        out.append({"name": name, "tokenizer": json.loads(t.to_str()),
                    "texts": [{"text": x.encode("utf-8").hex(), "tokens": line_of(t.encode(x, add_special_tokens=False))}
                              for x in texts]})
    with open(os.path.join(ROOT, "tests", "golden", "tokenizer.json"), "w") as f:
        f.write("[\n")
        f.write(",\n".join(json.dumps(o, separators=(",", ":")).replace('{"text"', '\n{"text"') for o in out))
        f.write("]\n")


def run(cairn, tokenizer, texts):
    """Ids and character offsets that Cairn gives for each text."""
    data = SEPARATOR.join(texts + [""]).encode("utf-8")
    done = subprocess.run([cairn, "tokenize", "--tokenizer", tokenizer, "--ids", "--offsets", "--separator",
                           SEPARATOR.replace("\n", "\\n")], input=data, stdout=subprocess.PIPE, check=True)
    lines = done.stdout.decode().split("\n")[:-1]
    assert len(lines) == len(texts), (len(lines), len(texts))
    return [[[int(x) for x in t.split(":")] for t in line.split()] for line in lines]


def squad_texts():
    with open(os.path.join(DATA, "squad", "dev-v1.1.json"), encoding="utf-8") as f:
        articles = json.load(f)["data"]
    paragraphs = [p for a in articles for p in a["paragraphs"]]
    return [p["context"] for p in paragraphs] + [q["question"] for p in paragraphs for q in p["qas"]]


def random_texts(count, seed):
    r = random.Random(seed)
    pools = [range(0x20, 0x7F), range(0, 0x100), range(0x100, 0x600), range(0x300, 0x370), range(0x600, 0x3000),
             range(0x3000, 0x3400), range(0x4E00, 0x5000), range(0xAC00, 0xAD00), range(0xF900, 0x10000),
             range(0x10000, 0x20000), range(0x1D100, 0x1D200), range(0x2B700, 0x2CF00), range(0x2F800, 0x2FA20),
             range(0, 0x110000)]
    words = ["hello", "World", "[MASK]", " ", "caf\u00e9", "##a", "[SEP]", "\u0327\u0301", "<new>", "<l>", "<r>", "Word"]
    for _ in range(count):
        chosen = r.sample(pools, r.randint(1, 4))
        text = ""
        for _ in range(r.randint(1, 40)):
            kind = r.random()
            if kind < 0.15:
                text += r.choice(words)
            elif kind < 0.3:
                text += r.choice(" \u0301\u0323\u0345\u0316a")
            else:
                c = r.choice(r.choice(chosen))
                text += chr(c) if not 0xD800 <= c < 0xE000 else ""
        yield text


def compare_one(cairn, name, path, texts, folder, **settings):
    t = reference(path, **settings)
    file = os.path.join(folder, "tokenizer.json")
    t.save(file)
    kept, want, panics = [], [], 0
    for x in texts:
        try:
            want.append(line_of(t.encode(x, add_special_tokens=False)))
            kept.append(x)
        except BaseException as e:  # tokenizers itself panics on some reordered marks
            if isinstance(e, KeyboardInterrupt):
                raise
            panics += 1
    got = run(cairn, file, kept)
    wrong = [(x, g, w) for x, g, w in zip(kept, got, want) if g != w]
    print(f"{name}: {len(kept)} texts, {sum(map(len, want))} tokens, {len(wrong)} differences"
          + (f" ({panics} texts on which tokenizers panics)" if panics else ""))
    for x, g, w in wrong[:3]:
        print("  ", ascii(x)[:300], "\n    got ", g[:40], "\n    want", w[:40])
    return len(wrong)


def compare(cairn):
    wrong = 0
    every = ["a" + chr(c) + "b" for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    with tempfile.TemporaryDirectory() as folder:
        wrong += compare_one(cairn, "squad dev", VOCAB, squad_texts(), folder)
        wrong += compare_one(cairn, "squad dev, cased", VOCAB, squad_texts(), folder, lowercase=False)
        wrong += compare_one(cairn, "every character", VOCAB, every, folder)
        for i, (name, settings) in enumerate(VARIANTS.items()):
            wrong += compare_one(cairn, "nasty, " + name, VOCAB, NASTY + ADDED_TEXTS, folder, **settings)
            wrong += compare_one(cairn, "random, " + name, VOCAB, list(random_texts(20000, i)), folder, **settings)
    return 1 if wrong else 0


def speed(cairn):
    texts = [x for x in squad_texts() if len(x) > 300] * 5
    t = reference(VOCAB)
    size = sum(len(x.encode()) for x in texts)
    start = time.perf_counter()
    for x in texts:
        t.encode(x, add_special_tokens=False)
    hf = time.perf_counter() - start
    start = time.perf_counter()
    t.encode_batch_fast(texts, add_special_tokens=False)
    batch = time.perf_counter() - start
    data = SEPARATOR.join(texts).encode()
    command = [cairn, "tokenize", "--tokenizer", VOCAB, "--ids", "--separator", SEPARATOR.replace("\n", "\\n")]

    def ours(data):
        start = time.perf_counter()
        subprocess.run(command, input=data, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        return time.perf_counter() - start

    empty = min(ours(b"") for _ in range(3))
    cairn_time = min(ours(data) for _ in range(3))
    print(f"{len(texts)} contexts, {size / 1e6:.1f} MB: tokenizers {hf:.2f} s, in a batch without offsets {batch:.2f} s;"
          f" cairn {cairn_time:.2f} s with start ({empty:.3f} s) and printing;"
          f" ratio {hf / cairn_time:.1f}, {batch / cairn_time:.1f}")
    return 0


if __name__ == "__main__":
    if sys.argv[1] == "vocabulary":
        write_vocabulary()
    elif sys.argv[1] == "golden":
        write_golden()
    else:
        sys.exit({"compare": compare, "speed": speed}[sys.argv[1]](sys.argv[2]))
