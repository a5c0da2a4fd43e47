#!/usr/bin/env python3
"""Compares the token ids of `gannet tokenize` with those of Hugging Face's `tokenizers`, and the time that one thread takes.

  bench/token_ids.py [--gannet build/release/gannet] [--data ../shared/data] [--count 10000] [--trained FOLDER] [--json FILE]

Texts are SST-2's sentences and IMDB's reviews. Tokenizers are BERT's (both vocabularies) and GPT-2's from the data folder,
and three that are trained on the texts first and kept in FOLDER: Unigram as XLM-R and T5 have it, byte-pair encoding of
whole texts with byte fallback as Llama 2 has it, and byte-level with the expression of cl100k. Times are the fastest of
three passes, in texts a second; Hugging Face's is `encode_batch_fast`, which keeps no offsets. Ends with status 1 when an
id differs.
"""
import os

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time

from tokenizers import BertWordPieceTokenizer, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

CL100K = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def read_texts(data, count):
    def column(file):
        lines = (data / file).read_text(encoding="utf-8").split("\n")
        at = lines[0].split("\t").index("sentence" if "sentence" in lines[0] else "text")
        return [line.split("\t")[at] for line in lines[1:] if line]
    return {"sst2": column("sst2/train.tsv")[:count],
            "imdb": sum((column(f"imdb/{part}.tsv") for part in ("train", "test", "unlabeled")), [])[:count]}


def unigram(texts):
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.train_from_iterator(texts, trainers.UnigramTrainer(vocab_size=8000, special_tokens=["<s>", "<pad>", "</s>", "<unk>"],
                                                                 unk_token="<unk>", show_progress=False))
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>",
                                                             special_tokens=[("<s>", 0), ("</s>", 2)])
    return tokenizer


def whole_bpe(texts):
    special = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")  # for training alone
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=8000, special_tokens=special, limit_alphabet=200, show_progress=False))
    tokenizer.pre_tokenizer = None
    tokenizer.decoder = decoders.ByteFallback()
    return tokenizer


def cl100k(texts):
    tokenizer = Tokenizer(models.BPE(ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(CL100K), "isolated"),
                                                       pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=8000, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                                                             show_progress=False))
    return tokenizer


def make_tokenizers(data, folder, texts):
    """Yields name, file for Gannet, the flag that takes it, and Hugging Face's tokenizer."""
    given = data / "tokenizer/reftests/models"
    for name in ("bert-base-uncased", "bert-base-cased"):
        file = given / name / "vocab.txt"
        yield name, file, "--vocab", BertWordPieceTokenizer(str(file), lowercase="uncased" in name)._tokenizer
    yield "gpt2", given / "gpt2/tokenizer.json", "--tokenizer", Tokenizer.from_file(str(given / "gpt2/tokenizer.json"))
    folder.mkdir(parents=True, exist_ok=True)
    for name, train in (("unigram", unigram), ("bpe of whole texts", whole_bpe), ("cl100k", cl100k)):
        file = folder / f"{name.replace(' ', '_')}.json"
        if not file.exists():
            train(texts["imdb"][:1000] + texts["sst2"]).save(str(file))
        yield name, file, "--tokenizer", Tokenizer.from_file(str(file))


def run_gannet(program, flag, file, texts, *more):
    command = [program, "tokenize", flag, str(file), "--jsonl", texts, "--threads", "1", *more]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: {done.stderr}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def fastest(function, passes=3):
    best = float("inf")
    for _ in range(passes):
        start = time.perf_counter()
        function()
        best = min(best, time.perf_counter() - start)
    return best


def compare(entry, data_name, texts, program, folder):
    name, file, flag, tokenizer = entry
    tokenizer.no_truncation()
    tokenizer.no_padding()
    path = pathlib.Path(folder) / f"{data_name}.jsonl"
    if not path.exists():
        path.write_text("".join(json.dumps(text) + "\n" for text in texts))
    expected = [encoding.ids for encoding in tokenizer.encode_batch(texts)]
    actual = [line["ids"] for line in run_gannet(program, flag, file, path)]
    different = [i for i in range(len(texts)) if i >= len(actual) or actual[i] != expected[i]]
    for i in different[:3]:
        print(f"{name}, {data_name}, text {i}: {texts[i][:200]!r}\n  Hugging Face {expected[i][:40]}\n  Gannet       {actual[i][:40]}")
    theirs = fastest(lambda: tokenizer.encode_batch_fast(texts))
    ours = run_gannet(program, flag, file, path, "--time")[0]["seconds"]
    return {"tokenizer": name, "texts": data_name, "count": len(texts), "different": len(different), "gannet": ours,
            "huggingface": theirs, "times": theirs / ours}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gannet", default="build/release/gannet")
    parser.add_argument("--data", type=pathlib.Path, default=pathlib.Path(os.environ.get("GANNET_DATA", "../shared/data")))
    parser.add_argument("--count", type=int, default=10000)
    parser.add_argument("--trained", type=pathlib.Path, default=pathlib.Path(tempfile.gettempdir()) / "gannet-tokenizers")
    parser.add_argument("--json", type=pathlib.Path)
    arguments = parser.parse_args()
    texts = read_texts(arguments.data, arguments.count)
    rows = []
    print(f"{'tokenizer':20} {'texts':6} {'count':>6} {'differ':>6} {'Gannet/s':>10} {'HF/s':>10} {'times':>6}")
    with tempfile.TemporaryDirectory() as folder:
        for entry in make_tokenizers(arguments.data, arguments.trained, texts):
            for data_name, some in texts.items():
                row = compare(entry, data_name, some, arguments.gannet, folder)
                rows.append(row)
                print(f"{entry[0]:20} {data_name:6} {row['count']:6} {row['different']:6} {row['count'] / row['gannet']:10.0f} "
                      f"{row['count'] / row['huggingface']:10.0f} {row['times']:6.1f}", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1))
    sys.exit(any(row["different"] for row in rows))


main()
