"""What is printed of the records of :mod:`benchmarks.iteration`."""

from __future__ import annotations

from statistics import median
from typing import Any


def summarize(records: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians over iterations and repeats; ratios are medians of the iterations' own ratios."""

    def middle(*keys: str) -> float:
        return median(_read(record, keys) for record in records)

    summary: dict[str, Any] = {
        "seconds": middle("ours", "seconds"),
        "rollout_seconds": middle("ours", "rollout_seconds"),
        "update_seconds": middle("ours", "update_seconds"),
        "positions_forward": middle("ours", "positions", "forward"),
        "positions_forward_backward": middle("ours", "positions", "forward_backward"),
        "decisions": middle("decisions"),
        "learned_from": middle("learned_from"),
        "peak_megabytes": _largest(records, "ours"),
        "unique_share": middle("unique_share"),
        "entropy_share": middle("entropy_share"),
    }
    if "naive" not in records[0]:
        return summary
    for key in ("seconds", "rollout_seconds", "update_seconds"):
        summary[f"naive_{key}"] = middle("naive", key)
        summary[f"ratio_{key.removesuffix('_seconds')}"] = median(r["naive"][key] / r["ours"][key] for r in records)
    for iteration in sorted({record["iteration"] for record in records}):
        ratios = [r["naive"]["seconds"] / r["ours"]["seconds"] for r in records if r["iteration"] == iteration]
        summary[f"ratio_iteration_{iteration}"] = median(ratios)
    summary["naive_peak_megabytes"] = _largest(records, "naive")
    summary["naive_positions_forward"] = middle("naive", "positions", "forward")
    summary["naive_positions_forward_backward"] = middle("naive", "positions", "forward_backward")
    summary["differences"] = {
        name: max(record["differences"][name] for record in records) for name in records[0]["differences"]
    }
    return summary


def _read(record: Any, keys: tuple[str, ...]) -> float:
    for key in keys:
        record = record[key]
    return record


def _largest(records: list[dict[str, Any]], side: str) -> float | None:
    peaks = [record[side]["peak_megabytes"] for record in records]
    return None if None in peaks else max(peaks)


def _side(name: str, summary: dict[str, Any], prefix: str = "") -> str:
    """One side's seconds, decisions a second in rollout and update, positions and, on a GPU, peak memory."""
    rollout, update = summary[f"{prefix}rollout_seconds"], summary[f"{prefix}update_seconds"]
    peak = summary[f"{prefix}peak_megabytes"]
    return (
        f"  {name:6} {summary[f'{prefix}seconds']:9.2f} s   rollout {rollout:8.2f} "
        f"({summary['decisions'] / rollout:,.1f} decisions/s)   update {update:8.2f} "
        f"({summary['learned_from'] / update:,.1f} decisions/s)   positions "
        f"{summary[f'{prefix}positions_forward']:,.0f} forward, "
        f"{summary[f'{prefix}positions_forward_backward']:,.0f} forward+backward"
        + ("" if peak is None else f"   peak {peak:,.0f} MB above the weights")
    )


def describe(summary: dict[str, Any]) -> str:
    """A summary in a few lines."""
    lines = [_side("ours", summary)]
    if "naive_seconds" in summary:
        differences = ", ".join(f"{name} {value:.1e}" for name, value in summary["differences"].items())
        by_iteration = ", ".join(
            f"{value:.1f}x" for key, value in summary.items() if key.startswith("ratio_iteration_")
        )
        lines += [
            _side("naive", summary, "naive_"),
            f"  ratio  {summary['ratio_seconds']:9.1f} x   rollout {summary['ratio_rollout']:7.1f}x   update "
            f"{summary['ratio_update']:7.1f}x   by iteration {by_iteration}",
            f"  unique decisions {summary['unique_share']:.0%}, entropy {summary['entropy_share']:.2f} of uniform",
            f"  largest differences: {differences}",
        ]
    return "\n".join(lines)
