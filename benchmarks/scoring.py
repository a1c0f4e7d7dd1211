"""How many LupusQoL responses a second: one by one, vectorised, and from file to file.

python benchmarks/scoring.py [RESPONSES]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from time import perf_counter, process_time
from typing import Any

import numpy as np
import orjson
from click.testing import CliRunner

from epro.cli.instrument import instrument as command
from epro.questionnaires.bulk import encode, score_codes
from epro.questionnaires.instrument import Instrument
from epro.questionnaires.kinds import NOT_APPLICABLE
from epro.questionnaires.library import bundled_instrument
from epro.questionnaires.scoring import score

UNANSWERED_SHARE = 0.05


def main(number: int = 100_000) -> None:
    lupusqol = bundled_instrument("lupusqol")
    answers = made_up(lupusqol, number)
    few = answers[: max(1, number // 20)]
    report("one by one (check and score)", len(few), lambda: [score(lupusqol, one) for one in few])
    codes = encode(lupusqol, answers)
    report("vectorised, from codes", number, lambda: score_codes(lupusqol, codes))
    report("vectorised, from answers (check, encode, score)", number, lambda: from_answers(lupusqol, answers))
    many = np.tile(codes, (-(-1_000_000 // number), 1))[:1_000_000]
    report("a million, vectorised, from codes", len(many), lambda: score_codes(lupusqol, many))
    with tempfile.TemporaryDirectory() as folder:
        from_file(Path(folder), answers)
        for times in (1, 10):
            memory(Path(folder), answers, times)


def made_up(instrument: Instrument, number: int) -> list[dict[str, Any]]:
    """Answers, one in twenty missing or, where offered, not applicable. The same every time."""
    random = Random(20240428)
    return [{item.id: made_up_answer(random, item) for item in instrument.items} for _ in range(number)]


def made_up_answer(random: Random, item: Any) -> Any:
    if random.random() >= UNANSWERED_SHARE:
        return random.choice(item.codes)
    return NOT_APPLICABLE if item.not_applicable else None


def from_answers(instrument: Instrument, answers: list[dict[str, Any]]) -> None:
    score_codes(instrument, encode(instrument, answers))


def from_file(folder: Path, answers: list[dict[str, Any]]) -> None:
    source, sink = folder / "answers.ndjson", folder / "scores.ndjson"
    lines = (orjson.dumps({"id": f"r{at}", "answers": one}) for at, one in enumerate(answers))
    source.write_bytes(b"\n".join(lines) + b"\n")
    call = ["score", "lupusqol", str(source), str(sink)]
    report("epro instrument score, file to file", len(answers), lambda: run(call))
    print(f"  in {source.stat().st_size / 1e6:.1f} MB, out {sink.stat().st_size / 1e6:.1f} MB")


def memory(folder: Path, answers: list[dict[str, Any]], times: int) -> None:
    """The most memory that the command ever has, in a process of its own: the same however long the file is."""
    source = folder / "long.ndjson"
    with open(source, "wb") as writing:
        for at in range(times):
            writing.writelines(
                orjson.dumps({"id": f"r{at}-{n}", "answers": one}) + b"\n" for n, one in enumerate(answers)
            )
    call = ["instrument", "score", "lupusqol", str(source), str(folder / "long-scores.ndjson")]
    done = subprocess.run([sys.executable, "-c", CHILD, *call], capture_output=True, text=True, check=True)
    print(f"file of {times * len(answers):>9,} responses: {int(done.stdout) / 1024:.0f} MiB at most")


CHILD = """
import re, sys
from epro.cli import epro
try:
    epro.main(sys.argv[1:], standalone_mode=False)
finally:
    print(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
"""


def run(call: list[str]) -> None:
    result = CliRunner().invoke(command, call)
    if result.exit_code:
        raise SystemExit(result.output)


def report(what: str, number: int, work: Callable[[], object]) -> None:
    """The best of three, on the wall and of the processor: the machine may be busy with other things."""
    runs = [timed(work) for _ in range(3)]
    wall, processor = min(one[0] for one in runs), min(one[1] for one in runs)
    print(
        f"{what:<50} {number / wall:>12,.0f} responses/s on the wall, {number / processor:>12,.0f} of the processor's"
        f" ({processor / number * 1e6:.2f} us each)",
        flush=True,
    )


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds on the wall, and of the processor."""
    start, used = perf_counter(), process_time()
    work()
    return perf_counter() - start, process_time() - used


if __name__ == "__main__":
    main(*(int(given) for given in sys.argv[1:2]))
