"""Damages files of every kind, fits hostile tables and kills runs, for as long as asked: `make fuzz SECONDS=60 SEED=0`.

With --quota the number of cases is given instead of the time: 20,000 files, as many of every kind; see `QUOTAS`.

Every outcome must be a value or one clear error. Anything else (a foreign exception, a crash of native code, a damaged
file that is read as something else, a gigabyte for a small file, a case without end) is printed and makes it fail.
"""

import argparse
import json
import math
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
sys.path[:0] = [str(HERE), str(ROOT)]

from kinds import KINDS  # noqa: E402
from runs import KILLED, RUNS  # noqa: E402
from worker import work  # noqa: E402

from edgewise.io.whole import write_whole  # noqa: E402
from studies.environment import environment  # noqa: E402

WHOLE = [kind for kind in KINDS if kind.endswith(", hostile table")]
SHARES = dict.fromkeys(WHOLE, 2.0) | {"killed": 3.0}
"""Of the time, for whole runs; the kinds of files have 1 each."""
FILES = [kind for kind in KINDS if kind not in (*WHOLE, "hostile table")]
QUOTAS = dict.fromkeys(FILES, -(-20_000 // len(FILES))) | dict.fromkeys(WHOLE, 50) | {"killed": 40}
QUOTAS |= {"hostile table": 5_000, "fit, hostile table": 200}
"""Cases of every kind with --quota."""
STUCK = 60.0
GOOD = ("read", "refused", "done", *(f"{name}: done" for name in KILLED))


@dataclass
class Count:
    """The outcomes of one kind, and the first case of each that should not be."""

    outcomes: Counter = field(default_factory=Counter)
    examples: dict = field(default_factory=dict)

    def add(self, outcome: str, **case: object) -> None:
        self.outcomes[outcome] += 1
        if outcome not in GOOD:
            self.examples.setdefault(outcome, case)

    @property
    def bad(self) -> int:
        return sum(count for outcome, count in self.outcomes.items() if outcome not in GOOD)


def files(kind: str, seed: int, seconds: float, cases: float) -> Count:
    """Damaged files of a kind, in processes of their own; one that dies or is stuck is counted, and the next begins."""
    count, end, first = Count(), time.monotonic() + seconds, 0
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        log.touch()
        while (left := end - time.monotonic()) > 0 and first < cases:
            status = _ended(_forked(Path(folder), kind, seed, first, left, cases, log), log)
            begun, ended = _noted(log, count)
            log.write_text("")
            if status == 0:
                break
            if begun is None:
                raise RuntimeError(
                    f"the worker of {kind!r} does not begin: {(Path(folder) / 'errors').read_text()[-500:]}"
                )
            if begun != ended:
                count.add("stuck" if status is None else f"crash: status {status}", n=begun)
            first = begun + 1
    return count


def _forked(folder: Path, *given: object) -> int:
    """A process that runs the worker: a copy of this one, which has imported everything and has one thread."""
    process = os.fork()
    if process:
        return process
    try:
        os.chdir(folder)
        for name, number in ((os.devnull, 1), (str(folder / "errors"), 2)):
            os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT), number)
        work(*map(str, given))
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def _ended(process: int, log: Path) -> int | None:
    """The exit status; None for a process that is killed: it wrote nothing in a minute of the processor, or in ten."""
    size, since, spent = -1, time.monotonic(), 0.0
    while not (ended := os.waitpid(process, os.WNOHANG))[0]:
        time.sleep(0.05)
        if log.stat().st_size != size:
            size, since, spent = log.stat().st_size, time.monotonic(), _spent(process)
        elif (size and _spent(process) - spent > STUCK) or time.monotonic() - since > 10 * STUCK:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            return None
    return os.waitstatus_to_exitcode(ended[1])


def _spent(process: int) -> float:
    """Seconds that a process had of the processor; 0 where the system does not tell: others may keep it busy."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _noted(log: Path, count: Count) -> tuple[int | None, int | None]:
    """Count the outcomes that a worker noted; the last case that it began, and the last that it ended."""
    begun = ended = None
    for line in log.read_text().splitlines():
        note = json.loads(line)
        if "outcome" in note:
            ended = note["n"]
            count.add(note["outcome"], n=ended, damage=note["damage"], message=note["message"])
        else:
            begun = note["n"]
    return begun, ended


def whole_runs(kind: str, seed: int, seconds: float, cases: float) -> Count:
    """Whole runs of the command line."""
    count, end, n = Count(), time.monotonic() + seconds, 0
    while time.monotonic() < end and n < cases:
        with tempfile.TemporaryDirectory() as folder:
            outcome, line = RUNS[kind](Path(folder), random.Random(f"{seed} {kind} {n}"), n)
        count.add(outcome, n=n, message=line)
        n += 1
    return count


def main() -> int:
    """Share the time among the kinds, print the counts, write them, and say whether all outcomes were good."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", choices=[*KINDS, *RUNS], nargs="+", default=None)
    parser.add_argument("--quota", type=float, default=None, help="this share of QUOTAS, such as 1")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "fuzz.json")
    given = parser.parse_args()
    kinds = given.only or [*KINDS, *RUNS]
    whole = sum(SHARES.get(kind, 1.0) for kind in kinds)
    counted = given.quota is not None
    shares = {
        kind: (math.inf, round(given.quota * QUOTAS[kind]))
        if counted
        else (given.seconds * given.jobs * SHARES.get(kind, 1.0) / whole, math.inf)
        for kind in kinds
    }
    started = environment()
    with multiprocessing.get_context("fork").Pool(given.jobs) as pool:
        tasks = {
            kind: pool.apply_async(whole_runs if kind in RUNS else files, (kind, given.seed, *shares[kind]))
            for kind in kinds
        }
        counts = {}
        for kind, task in tasks.items():
            counts[kind] = task.get()
            _print(kind, counts[kind])
    total, bad = (sum(c.outcomes.total() for c in counts.values()), sum(c.bad for c in counts.values()))
    print(f"{total:,} cases, {bad} that should not be; seed {given.seed}")
    result = {
        "study": "fuzz",
        "settings": {"seconds": given.seconds, "quota": given.quota, "seed": given.seed, "jobs": given.jobs},
        "environment": started,
        "rows": [{"kind": kind, "outcomes": dict(c.outcomes), "examples": c.examples} for kind, c in counts.items()],
        "summary": {"cases": total, "bad": bad},
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    write_whole(given.out, json.dumps(result, indent=1) + "\n")
    print(f"written to {given.out}")
    return 1 if bad else 0


def _print(kind: str, count: Count) -> None:
    shown = ", ".join(f"{n:,} {outcome}" for outcome, n in count.outcomes.most_common())
    print(f"{kind:26s} {count.outcomes.total():7,}  {shown}", flush=True)
    for outcome, case in count.examples.items():
        print(f"    {outcome}: {case}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
