"""The three methods, in the order in which they are preferred."""

from __future__ import annotations

from lightning_twosome.scoring import cache, duplicate, tree
from lightning_twosome.scoring.rows import Method

METHODS = {
    method.name: method
    for method in (
        Method("tree", "one packed row per decision", tree.score_tree, tree.positions, tree.columns),
        Method(
            "cache",
            "one prompt forward, expanded over its actions",
            cache.score_cache,
            cache.positions,
            cache.columns,
            joins=cache.same_trunk_length,
        ),
        Method(
            "duplicate",
            "one full row per action",
            duplicate.score_duplicate,
            duplicate.positions,
            duplicate.columns,
            single=True,
        ),
    )
}
