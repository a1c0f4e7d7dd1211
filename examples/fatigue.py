"""Fatigue over time by visit, from `epro export csv --study S --out FOLDER`: python examples/fatigue.py FOLDER"""

import sys
from pathlib import Path

import matplotlib
import polars as pl

matplotlib.use("Agg")
from matplotlib import pyplot as plt

folder = Path(sys.argv[1])
value = pl.col("QSSTRESN").cast(pl.Float64)
scores = pl.read_csv(folder / "long.csv", infer_schema=False).filter(
    pl.col("QSTESTCD") == "LUPQFA", pl.col("COUNTS") == "Y", value.is_not_null()
)
by_visit = scores.group_by(pl.col("VISITNUM").cast(pl.Float64), "VISIT").agg(
    value.mean().alias("mean"),
    (value.std() / value.len().sqrt()).fill_null(0).alias("se"),
    value.len().alias("n"),
)
visits = by_visit.drop_nulls("VISITNUM").sort("VISITNUM")
print(visits)
plt.errorbar(visits["VISIT"], visits["mean"], visits["se"], marker="o", capsize=4)
plt.ylim(0, 100)
plt.xlabel("Visit")
plt.ylabel("LupusQoL fatigue (0-100, higher is better), mean and SE")
plt.savefig(folder / "fatigue-python.png", dpi=120)
