#!/usr/bin/env python3
"""How long an epoch over a table of texts takes, by how batches are padded: to the longest of texts of like length, to the
longest of any, to one length. Times are those of the updates, from the trainer's own log."""
import argparse
import json
import pathlib
import subprocess
import tempfile

WAYS = {"bucket": ["--padding", "bucket"], "batch": ["--padding", "batch"]}


def epoch(arguments, flags, folder):
    """Seconds of all updates, and of those of the second half, when every length has been seen."""
    log = pathlib.Path(folder) / "log"
    command = [arguments.gannet, "tune", arguments.model, "--task", "text-classification", "--train", arguments.train, "--vocab",
               arguments.vocab, "--epochs", str(arguments.epochs), "--threads", str(arguments.threads), "--log", str(log), "-o",
               str(pathlib.Path(folder) / "tuned.onnx")] + flags
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    lines = [json.loads(line) for line in (log / "training.jsonl").read_text().splitlines()]
    steps = [line["seconds"] for line in lines if line["kind"] == "step"]
    return steps[-1], steps[-1] - steps[len(steps) // 2], len(steps)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--train", required=True)
    parser.add_argument("--vocab", required=True)
    parser.add_argument("--gannet", default="build/dev/gannet")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--length", type=int, default=64, help="the one length")
    parser.add_argument("--rounds", type=int, default=1, help="of all ways in turn; the fastest counts")
    arguments = parser.parse_args()
    ways = WAYS | {"fixed": ["--padding", "fixed", "--max-length", str(arguments.length)]}
    fastest = {}
    for _ in range(arguments.rounds):
        for name, flags in ways.items():
            with tempfile.TemporaryDirectory() as folder:
                took = epoch(arguments, flags, folder)
            fastest[name] = min(fastest.get(name, took), took)
    print("| padding | seconds | times | second half of the updates | times |\n|---|---|---|---|---|")
    whole, half, _ = fastest["bucket"]
    for name, (seconds, second_half, _) in fastest.items():
        print(f"| {name} | {seconds:.2f} | {seconds / whole:.2f} | {second_half:.2f} | {second_half / half:.2f} |")


if __name__ == "__main__":
    main()
