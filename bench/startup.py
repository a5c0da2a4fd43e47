#!/usr/bin/env python3
"""How long a process takes from its start to its answer, and where the time goes.

  bench/startup.py [--runs N] COMMAND ARGUMENT...

Prints the median and the tenth and ninetieth percentile of the wall time in milliseconds, and the processor time of user and
system in one run.
"""
import argparse
import os
import statistics
import subprocess
import time


def timed(command):
    start = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return 1e3 * (time.perf_counter() - start)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    for _ in range(5):
        timed(arguments.command)
    before = os.times()
    times = sorted(timed(arguments.command) for _ in range(arguments.runs))
    after = os.times()
    tenths = statistics.quantiles(times, n=10)
    user = 1e3 * (after.children_user - before.children_user) / arguments.runs
    system = 1e3 * (after.children_system - before.children_system) / arguments.runs
    print(f"{statistics.median(times):.2f} ms ({tenths[0]:.2f} to {tenths[-1]:.2f}), user {user:.2f} ms, system {system:.2f} ms")


if __name__ == "__main__":
    main()
