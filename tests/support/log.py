"""The trail sealed and checked, with a node of the tree, for tests that look at every table."""

from __future__ import annotations

from epro.trail import checks, sealing
from epro.trail.models import TreeNode
from epro.tx import begin, system

FAR = 1 << 40  # where no tree of a test comes to


def keep_a_log() -> None:
    """What there is, sealed; a check; and a node, which a real log has from 256 entries on."""
    sealing.seal()
    with begin(system("tests")) as tx:
        tx.add(TreeNode(stratum=1, node=FAR, hash=bytes(32)))
        checks.keep(tx, 0, 0, [])
