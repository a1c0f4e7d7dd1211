"""What the log of the trail costs: sealing a million events, one more seal at the end of them, an export, its check.

Processor time of this process; on PostgreSQL the server's own comes on top.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.installation import BENCH, application, databases
from epro import trail
from epro.cli.trail import VERIFIER
from epro.responses import integrity
from epro.trail import exporting, sealing
from epro.trail.models import ChainHead
from epro.tx import begin, look

EVENTS = 1_000_000
PORTION = 10_000
CHAINS = 200
RUN = """import runpy, sys
sys.argv = sys.argv[1:]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    lines = open("/proc/self/status").read().split("\\n")
    print(*(line.split(":")[1].strip() for line in lines if line.startswith("VmHWM")), file=sys.stderr)
"""


def main() -> None:
    count = int(sys.argv[2]) if len(sys.argv) > 2 else EVENTS
    for kind in sys.argv[1:2] or ("sqlite", "postgresql"):
        with databases(kind) as environ, application(environ).app_context():
            fill(count)
            sealed = timed(sealing.seal)
            with begin(BENCH) as tx:
                trail.record(tx, trail.study_chain(tx), "bench.done", "bench", "last")
            once_more = timed(sealing.seal)
            print(
                f"{kind:<11} {count:,} events sealed in {sealed:.1f} s, one more in {once_more * 1000:.0f} ms"
            )
            with tempfile.TemporaryDirectory() as folder:
                check(Path(folder) / "trail.ndjson")


def fill(count: int) -> None:
    """Events of many chains, each linked as real ones are; nothing but the trail is written."""
    for portion in range(0, count, PORTION):
        with begin(BENCH) as tx:
            name = f"bench-{portion // PORTION % CHAINS}"
            tx.session.merge(ChainHead(study_id=name, chain="study", chain_seq=0, chain_mac=trail.START))
            tx.session.flush()
            head = trail.study_chain(tx, name)
            with tx.together():
                for number in range(PORTION):
                    trail.record(
                        tx, head, "bench.done", "bench", number, note="as long as an entry mostly is " * 8
                    )


def check(file: Path) -> None:
    def write() -> None:
        with look(BENCH) as tx, file.open("w", encoding="utf-8") as to:
            to.writelines(line + "\n" for line in exporting.lines(tx, None, integrity.digests))

    print(f"            exported in {timed(write):.1f} s, {file.stat().st_size / 2**20:.0f} MiB", flush=True)
    with look(BENCH) as tx:
        key = sealing.public_key(tx)
    began = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    words = [sys.executable, "-c", RUN, str(VERIFIER), "check", str(file), "--key", key]
    told = subprocess.run(words, capture_output=True, text=True, check=True)
    seconds = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - began
    print(
        f"            checked in {seconds:.1f} s, {told.stderr.strip()}: {told.stdout.splitlines()[0]}",
        flush=True,
    )


def timed(work: Callable[[], Any]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


if __name__ == "__main__":
    main()
