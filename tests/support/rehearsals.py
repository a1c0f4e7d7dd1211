"""A kept report of a rehearsal, for tests that look at every table: as small as one can be."""

from __future__ import annotations

import json

from epro.scheduling import rehearsals
from epro.tx import begin, system

REPORT = '<html lang="zh-CN" data-lang="zh-CN"><title>{0}</title><h1>{0}</h1><script>alert(1)</script></html>'


def keep_a_rehearsal(study: str, seed: int = 1, **study_facts: str) -> bool:
    told = {
        "study": {"id": study, "version": "1.0", "digest": "0" * 64, **study_facts},
        "asked": {"participants": 20, "days": 90, "seed": seed},
        "evidence": [{"broken": 0}, {"broken": seed - 1}],
        "findings": [],
    }
    with begin(system("tests")) as tx:
        return rehearsals.keep(tx, json.dumps(told), REPORT.format(f"rehearsed with seed {seed}"))
