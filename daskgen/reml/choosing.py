"""Exact or stochastic: which of the two will be faster on this machine, and whether the exact way fits in memory."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from daskgen import limits
from daskgen.passes import MemoryItem, Plan
from daskgen.reml.probes import first_probes
from daskgen.reml.relationships import Relationships
from daskgen.reml.study import Group, Study

__all__ = ["Predicted", "chosen_method", "most_columns", "predict_costs"]

log = logging.getLogger("daskgen.reml")

# Seconds on one core, from benchmarks/results/reml_crossing.json, reml_one.json and reml_large.json (two threads).
_MATRIX = 1.0e-11  # float64 relationship matrix, per sample x sample x variant
_EIGEN = 3.5e-10  # eigenvectors, per sample^3
_INVERSE = 3e-11  # one average-information step with dense matrices, per sample^3
_DECODE, _COLUMN = 3.0e-10, 6.3e-11  # streamed product, per genotype; per genotype and vector
_START, _PASS = 0.5, 0.02  # either way; a pass without its products

ONE_PASSES, SEVERAL_PASSES = 16, 55
"""Passes of a fit with one component and with several, of unrelated samples; families and structure take up to three
times as many."""

UNIMPORTANT = 5.0
"""Seconds below which the exact way is taken without a comparison."""


@dataclass(frozen=True)
class Predicted:
    """Seconds of both ways, bytes of the exact one."""

    exact: float
    stochastic: float
    exact_bytes: int

    def choose(self, memory: int) -> str:
        """ "exact" or "stochastic"."""
        if self.exact_bytes > memory:
            return "stochastic"
        return "exact" if self.exact <= max(self.stochastic, UNIMPORTANT) else "stochastic"


def predict_costs(n: int, m: int, components: int, phenotypes: int, probes: int, threads: int) -> Predicted:
    """For n samples, m variants, so many components, phenotypes of the same samples, probes and threads.

    With the first number of probes: where their Monte-Carlo error turns out too large, more are taken, in up to 2.5
    times the seconds.
    """
    several = components > 1
    factorise = (12 * phenotypes * (components + 2) * _INVERSE if several else _EIGEN) * float(n) ** 3
    exact = _START + (_MATRIX * float(n) ** 2 * m + factorise) / threads
    passes = SEVERAL_PASSES * phenotypes if several else ONE_PASSES
    columns = probes + (1 if several else phenotypes)
    stochastic = _START + passes * (_PASS + float(n) * m * (_DECODE + _COLUMN * columns) / threads)
    matrices = 2 * components + 4 if several else 5
    return Predicted(exact, stochastic, 8 * n * n * matrices)


def most_columns(n: int, memory_limit: int | str | None) -> int:
    """Columns of n samples that the space of a stochastic fit may have: a quarter of the memory, in float32."""
    return int(limits.memory_limit(memory_limit) // (16 * n))


def chosen_method(method: str, study: Study, group: Group, relationships: Relationships, n_probes: int | None) -> str:
    """ "exact" or "stochastic"; PlanError where the exact way is asked for and does not fit in memory."""
    threads = study.runner.executor().n_threads
    components = int((relationships.counted > 0).sum())
    probes = n_probes or first_probes(group.n, components)
    costs = predict_costs(group.n, relationships.n_variants, components, len(group.phenotypes), probes, threads)
    memory = limits.memory_limit(study.memory_limit)
    way = costs.choose(memory) if method == "auto" else method
    plan = (_exact_plan if way == "exact" else _streamed_plan)(
        group, relationships, components, probes, costs.exact_bytes, memory
    )
    plan.check()
    plan.notes.append(
        f"predicted on {threads} thread{'s' * (threads > 1)}: exact {costs.exact:,.0f} s, "
        f"stochastic {costs.stochastic:,.0f} s with {probes} probes"
    )
    for line in plan.lines():
        log.info("%s", line)
    return way


def _exact_plan(
    group: Group, relationships: Relationships, components: int, probes: int, needed: int, memory: int
) -> Plan:
    matrices = MemoryItem(f"matrices of {group.n:,} x {group.n:,} samples", needed, lower='method="stochastic"')
    title = f"exact, {_counted(components, 'component')}, {group.n:,} samples x {relationships.n_variants:,} variants"
    return Plan(title, memory=[matrices], memory_limit=memory)


def _streamed_plan(
    group: Group, relationships: Relationships, components: int, probes: int, needed: int, memory: int
) -> Plan:
    columns = probes + (len(group.phenotypes) if components == 1 else 1)
    plan = relationships.parts[0].operator.plan(columns, passes=None)
    plan.title = f"stochastic, {_counted(components, 'component')}, {probes} probes"
    vectors = 8 * group.n * columns * 6
    if components == 1:
        vectors += 4 * group.n * columns * ONE_PASSES  # the space
    if components > 1:
        # Products of every component with probes and solutions: kept, new, and what a pass returns.
        vectors += group.n * columns * components * (4 + 8 + 8)
    name = f"probes and solves, {columns} vectors x {group.n:,} samples"
    plan.memory.insert(0, MemoryItem(name, vectors, lower="fewer probes (--n-probes)"))
    return plan


def _counted(n: int, what: str) -> str:
    return f"{n} {what}{'s' * (n != 1)}"
