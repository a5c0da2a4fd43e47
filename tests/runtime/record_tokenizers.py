#!/usr/bin/env python3
"""Writes tokenizers.json beside it: small tokenizers, texts, and the ids that Hugging Face's `tokenizers` gives.

  tests/runtime/record_tokenizers.py

Needs the package `tokenizers`. The tests only read the file. "models" are shared by "cases"; a case is the rest of a
tokenizer.json, the name of its model, and encodings: [text or [text, pair], ids, type_ids or null
where all are 0].
"""
import base64
import json
import pathlib
import struct

import tokenizers
from tokenizers import Tokenizer, models, trainers

CORPUS = [
    "The quick brown fox jumps over the lazy dog, doesn't it? It's 1984 again: they've said so!",
    "A wonderfully unaffected performance -- the film's best scenes are in Paris; its worst aren't.",
    "def f(x):\n    return x * 2  # twice\n\n\tif x > 100:\r\n\t\tprint('large')",
    "Café crème brûlée à la carte, naïve Zürich Ångström œuvre ÉCOLE",
    "世界 hello 世界 こんにちは カタカナ 안녕하세요 привет Привет мир",
    "  leading and trailing  spaces   and\ttabs \n",
    "the the the there then these those that this thing things think thinking",
]

TEXTS = [
    "", " ", "a", "The quick brown fox", "Hello, world!", "it's they've I'LL don't 'tis 's 'S",
    "unaffected performances aren't worst", "  two  spaces   three ", "tabs\tand\nnew\r\nlines\n\n\nmore \n x",
    "Café cafe\u0301 CRÈME œuvre ß İstanbul Ǆ ǅ", "世界hello世界です。カタカナー한국어", "1984 12345 3.14 ½ ² ٣ 5th x2",
    "a.b,c;d--e...f (g) [h] {i} <j> \"k\"", "control\u0000\u0001\u0007\u200b\u200d\ufeff\ufffd\u00ad end\u2028x\u2029y\u00a0z\u3000w",
    "emoji 😀👍🏽👩‍👩‍👧 flags 🇫🇷🇩🇪", "[CLS] a [MASK] b[MASK]c [SEP] <s></s> <extra> mask", "the<extra>thing <extra>  spaced  <extra>",
    "▁already▁meta ▁ x", "ﬁ ﬀ № ™ Ⅷ ｆｕｌｌ ㍿ ﷺ", "क्षत्रिय தமிழ் ไทย ำ עברית العَرَبِيَّة", "x" * 104 + " y", "e\u0301\u0302 a\u0327\u0308o",
    "snake_case camelCase HTTPServer v1.2.3 #tag @user http://a.b/c?d=e", "'s'S \u017f '\u017f ''ll", "Do you need a THIN lower\u0130?",
]
PAIRS = [["The quick brown fox", "it's the lazy dog, doesn't it?"], ["", "a"], ["世界", ""],
         ["a b c d e f g h", "i j k l m n o p q r s t"]]
SPECIAL = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]", "<unk>", "<s>", "</s>", "<pad>"]


def trained(model, trainer, pre_tokenizer=None):
    tokenizer = Tokenizer(model)
    if pre_tokenizer:
        tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.train_from_iterator(CORPUS, trainer)
    return json.loads(tokenizer.to_str())["model"]


def with_bytes(bpe):
    bpe = json.loads(json.dumps(bpe))
    at = len(bpe["vocab"])
    for byte in range(256):
        bpe["vocab"][f"<0x{byte:02X}>"] = at + byte
    return bpe


def make_models():
    from tokenizers import pre_tokenizers as p
    all_models = {}
    all_models["word_piece"] = trained(models.WordPiece(unk_token="[UNK]"), trainers.WordPieceTrainer(
        vocab_size=400, special_tokens=SPECIAL, show_progress=False), p.BertPreTokenizer())
    # Without splitting, so that tokens go across words and every split shows.
    whole = trained(models.BPE(unk_token="<unk>"), trainers.BpeTrainer(vocab_size=420, special_tokens=SPECIAL, show_progress=False))
    all_models["bpe"] = whole
    all_models["bpe_fused"] = dict(whole, fuse_unk=True)
    all_models["bpe_dropping"] = dict(whole, unk_token=None)
    all_models["bpe_bytes"] = with_bytes(whole)
    all_models["bpe_bytes"]["byte_fallback"] = True
    all_models["bpe_strings"] = dict(whole, merges=[" ".join(m) for m in whole["merges"] if " " not in m[0] + m[1]], ignore_merges=True)
    all_models["bpe_affixes"] = trained(models.BPE(unk_token="<unk>", continuing_subword_prefix="##", end_of_word_suffix="</w>"),
        trainers.BpeTrainer(vocab_size=300, special_tokens=SPECIAL, show_progress=False, continuing_subword_prefix="##",
                            end_of_word_suffix="</w>"), p.WhitespaceSplit())
    all_models["byte_level"] = trained(models.BPE(), trainers.BpeTrainer(
        vocab_size=420, initial_alphabet=p.ByteLevel.alphabet(), show_progress=False), p.ByteLevel(use_regex=False, add_prefix_space=False))
    unigram = trained(models.Unigram(), trainers.UnigramTrainer(
        vocab_size=150, special_tokens=SPECIAL, unk_token="<unk>", show_progress=False), p.Metaspace())
    all_models["unigram"] = unigram
    both = json.loads(json.dumps(unigram))
    both["vocab"] += [[f"<0x{byte:02X}>", -20.0] for byte in range(256)]
    both["byte_fallback"] = True
    all_models["unigram_bytes"] = both
    words = sorted({word for line in CORPUS for word in line.split()})
    all_models["word_level"] = {"type": "WordLevel", "unk_token": "<unk>", "vocab": {word: i for i, word in enumerate(SPECIAL + words)}}
    return all_models


def double_array(replacements):
    """SentencePiece's precompiled table: a Darts-clone double array of the keys, then the texts."""
    texts, values = b"", {}
    for key, text in replacements.items():
        values[key.encode()] = len(texts)
        texts += text.encode() + b"\0"
    trie = {}
    for key, value in values.items():
        node = trie
        for byte in key:
            node = node.setdefault(byte, {})
        node[None] = value
    units, used = {0: 0}, {0}

    def place(node, at):
        labels = [0 if label is None else label for label in node]
        base = next(b for b in range(1, 1 << 20) if not any((b ^ label) in used for label in labels) and (at ^ b) < 1 << 21)
        units[at] |= (at ^ base) << 10 | (1 << 8 if None in node else 0)
        used.update(base ^ label for label in labels)
        for label, child in node.items():
            if label is None:
                units[base] = 1 << 31 | child
            else:
                units[base ^ label] = label
        for label, child in node.items():
            if label is not None:
                place(child, base ^ label)

    place(trie, 0)
    array = [units.get(i, 0) for i in range(max(units) + 256)]
    return struct.pack("<I", 4 * len(array)) + struct.pack(f"<{len(array)}I", *array) + texts


def seq(kind, *steps):
    return {"type": "Sequence", kind: list(steps)}


def split(pattern, behavior, invert=False, kind="Regex"):
    return {"type": "Split", "pattern": {kind: pattern}, "behavior": behavior, "invert": invert}


GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
CL100K = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN = CL100K.replace("{1,3}", "")
O200K = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def bert_normalizer(clean=True, chinese=True, accents=None, lower=True):
    return {"type": "BertNormalizer", "clean_text": clean, "handle_chinese_chars": chinese, "strip_accents": accents, "lowercase": lower}


def byte_level(prefix=False, regex=True):
    return {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": True, "use_regex": regex}


def metaspace(scheme="always", divide=True):
    return {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": divide}


def added(content, model, **flags):
    token = {"id": model["vocab"].get(content, 0) if isinstance(model["vocab"], dict) else 0, "content": content, "single_word": False,
             "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return dict(token, **flags)


def template(first, second):
    special = {name: {"id": name, "ids": [i + 1], "tokens": [name]} for i, name in enumerate(["[CLS]", "[SEP]"])}
    special["two"] = {"id": "two", "ids": [6, 7], "tokens": ["<s>", "</s>"]}

    def parts(items):
        return [{"Sequence": {"id": name[1:], "type_id": kind}} if name[0] == "$" else {"SpecialToken": {"id": name, "type_id": kind}}
                for name, kind in items]
    return {"type": "TemplateProcessing", "single": parts(first), "pair": parts(second), "special_tokens": special}


def make_cases(all_models):
    charsmap = base64.b64encode(double_array({
        "\t": " ", "\n": " ", "\r": " ", "\u00a0": " ", "\u3000": " ", "ﬁ": "fi", "ﬀ": "ff", "№": "No", "™": "TM", "Ⅷ": "VIII",
        "ｆ": "f", "ｕ": "u", "ｌ": "l", "㍿": "株式会社", "\u0001": "", "\u200b": "", "\ufeff": " ", "e\u0301": "é", "…": "...", "½": "1⁄2",
    })).decode()
    bert = {"normalizer": bert_normalizer(), "pre_tokenizer": {"type": "BertPreTokenizer"},
            "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 2], "cls": ["[CLS]", 1]}}
    cases = [("word_piece", bert)]
    cases += [("word_piece", dict(bert, normalizer=bert_normalizer(*options))) for options in
              ((True, True, False, True), (True, False, True, False), (False, True, None, False), (False, False, False, True))]
    normalizers = [{"type": name} for name in ("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Nmt")]
    normalizers += [{"type": "Strip", "strip_left": left, "strip_right": right} for left, right in ((True, True), (True, False), (False, True))]
    normalizers += [{"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
                    {"type": "Replace", "pattern": {"Regex": r"\s{2,}|[.,]"}, "content": "e"}, {"type": "Precompiled", "precompiled_charsmap": charsmap},
                    seq("normalizers", {"type": "NFD"}, {"type": "StripAccents"}, {"type": "Lowercase"}), seq("normalizers")]
    cases += [("bpe", {"normalizer": normalizer}) for normalizer in normalizers]
    behaviors = ("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous")
    pre_tokenizers = [{"type": name} for name in ("BertPreTokenizer", "Whitespace", "WhitespaceSplit", "UnicodeScripts")]
    pre_tokenizers += [{"type": "Punctuation", "behavior": behavior} for behavior in behaviors]
    pre_tokenizers += [{"type": "Digits", "individual_digits": flag} for flag in (True, False)]
    pre_tokenizers += [split(r"\s", behavior) for behavior in behaviors] + [split(r"\w+", behavior, True) for behavior in behaviors]
    pre_tokenizers += [split("e", "Isolated", False, "String"), split(r"(?=[A-Z])", "Isolated"), split(r"a*", "MergedWithNext"), split(r"^", "Isolated"),
                       {"type": "CharDelimiterSplit", "delimiter": "e"}, {"type": "FixedLength", "length": 3}]
    pre_tokenizers += [split(pattern, "Isolated") for pattern in (GPT2, CL100K, QWEN, O200K)] + [split(CL100K, "Removed", True)]
    pre_tokenizers += [seq("pretokenizers", {"type": "WhitespaceSplit"}, {"type": "Punctuation", "behavior": "Isolated"}), seq("pretokenizers")]
    cases += [("bpe", {"pre_tokenizer": pre_tokenizer}) for pre_tokenizer in pre_tokenizers]
    cases += [(name, {}) for name in all_models if name not in ("word_piece", "byte_level")]
    cases += [("bpe_affixes", {"pre_tokenizer": {"type": "WhitespaceSplit"}}), ("word_level", {"pre_tokenizer": {"type": "WhitespaceSplit"}})]
    cases += [("byte_level", {"pre_tokenizer": byte_level(prefix, regex), "post_processor": byte_level()}) for prefix in (True, False) for regex in (True, False)]
    cases += [("byte_level", {"pre_tokenizer": seq("pretokenizers", split(CL100K, "Isolated"), byte_level(False, False))}),
              ("byte_level", {"pre_tokenizer": seq("pretokenizers", {"type": "Punctuation", "behavior": "Contiguous"}, byte_level(),
                                                   {"type": "Digits", "individual_digits": False}, split("[0-9][0-9][0-9]", "Isolated"))}),
              ("byte_level", {"normalizer": {"type": "ByteLevel"}})]
    cases += [("unigram", {"pre_tokenizer": metaspace(scheme, divide)}) for scheme in ("always", "first", "never") for divide in (True, False)]
    cases += [("unigram", {"normalizer": {"type": "Strip", "strip_left": True, "strip_right": False}, "pre_tokenizer": metaspace("first")}),
              ("unigram", {"pre_tokenizer": seq("pretokenizers", {"type": "WhitespaceSplit"}, metaspace("first"))}),
              ("unigram_bytes", {"pre_tokenizer": metaspace()}),
              ("unigram", {"normalizer": seq("normalizers", {"type": "Precompiled", "precompiled_charsmap": charsmap},
                                             {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}),
                           "pre_tokenizer": metaspace()})]
    extra = all_models["bpe"]
    for flags in ({}, {"lstrip": True}, {"rstrip": True}, {"lstrip": True, "rstrip": True}, {"single_word": True}, {"normalized": True, "special": False}):
        tokens = [added("[MASK]", extra, **flags), added("<extra>", extra, **flags), added("THIN", extra, **flags)]
        cases.append(("bpe", {"added_tokens": tokens, "normalizer": {"type": "Lowercase"}}))
    cases.append(("unigram", {"added_tokens": [added("<extra>", all_models["unigram"]), added("[MASK]", all_models["unigram"])], "pre_tokenizer": metaspace("first")}))
    cases.append(("word_piece", dict(bert, added_tokens=[added(name, all_models["word_piece"]) for name in SPECIAL])))
    cases += [("word_piece", dict(bert, post_processor=processor)) for processor in (
        None, {"type": "RobertaProcessing", "sep": ["</s>", 7], "cls": ["<s>", 6], "trim_offsets": True, "add_prefix_space": False},
        template([("[CLS]", 0), ("$A", 0), ("[SEP]", 2)], [("two", 1), ("$B", 1), ("[SEP]", 0), ("$A", 3), ("[SEP]", 1)]),
        seq("processors", byte_level(), template([("$A", 0), ("two", 0)], [("$A", 0), ("$B", 1), ("two", 1)])))]
    for strategy in ("LongestFirst", "OnlyFirst"):
        for direction in ("Right", "Left"):
            cases.append(("word_piece", dict(bert, truncation={"direction": direction, "max_length": 16, "strategy": strategy, "stride": 0})))
    return cases


def encode(tokenizer, text):
    encoding = tokenizer.encode(*text) if isinstance(text, list) else tokenizer.encode(text)
    return [text, encoding.ids, encoding.type_ids if any(encoding.type_ids) else None]


def main():
    all_models = make_models()
    cases = []
    for model, parts in make_cases(all_models):
        parts = {key: value for key, value in parts.items() if value is not None or key == "post_processor"}
        file = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None, "pre_tokenizer": None,
                "post_processor": None, "decoder": None, "model": all_models[model]}
        tokenizer = Tokenizer.from_str(json.dumps(dict(file, **parts)))
        encodings = []
        for text in TEXTS + PAIRS:
            try:
                encodings.append(encode(tokenizer, text))
            except Exception as error:  # such as a text too short for OnlyFirst
                print(f"{model} {list(parts)}: {text!r}: {error}")
        cases.append({"model": model, "parts": parts, "encodings": encodings})
    result = {"recorded_with": f"tokenizers {tokenizers.__version__}", "models": all_models, "cases": cases}
    path = pathlib.Path(__file__).with_name("tokenizers.json")
    path.write_text("{\n" + ",\n".join(
        [f'"recorded_with": {json.dumps(result["recorded_with"])}', '"models": {\n' + ",\n".join(
            f"{json.dumps(name)}: {json.dumps(model, ensure_ascii=False, separators=(',', ':'))}" for name, model in all_models.items()) + "\n}",
         '"cases": [\n' + ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases) + "\n]"]) + "\n}\n")
    print(len(cases), "cases,", path.stat().st_size, "bytes")


main()
