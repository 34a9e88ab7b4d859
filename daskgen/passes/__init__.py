"""What every engine shares: leaves, pinned tasks, the chunk cache, plans, progress, checkpoints."""

from __future__ import annotations

from daskgen.buffers import give_back, zeros
from daskgen.passes.cache import ChunkCache, cache_budget, worker_cache
from daskgen.passes.checkpoint import Checkpoint
from daskgen.passes.plan import MemoryItem, Plan
from daskgen.passes.progress import Progress, show_progress
from daskgen.passes.runner import PassRunner, run_map
from daskgen.passes.tree import TreeSum, leaf_bounds, n_leaves

__all__ = [
    "Checkpoint",
    "ChunkCache",
    "MemoryItem",
    "PassRunner",
    "Plan",
    "Progress",
    "TreeSum",
    "cache_budget",
    "give_back",
    "leaf_bounds",
    "n_leaves",
    "run_map",
    "show_progress",
    "worker_cache",
    "zeros",
]
