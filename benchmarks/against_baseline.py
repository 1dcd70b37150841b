"""What benchmarks of a model tell: its time over a peer's, and over its baseline's arithmetic."""

import sys
from collections.abc import Callable, Mapping, Sequence

from benchmarks.machine_peak import GIGA, machine_state
from benchmarks.processes import report


def take_turns(sides: Sequence[Callable[[], None]], runs: int) -> None:
    """Runs every side once to warm up and then `runs` times, one after the other.

    Args:
        sides: all that is compared.
        runs: of each.
    """
    for _ in range(runs + 1):
        for run in sides:
            run()


def compare(
    medians: Mapping[str, float],
    macs: Mapping[str, Mapping[str, int]],
    *,
    name: str,
    baseline: str,
) -> dict[str, object]:
    """Sets a model's time over its baseline's against their arithmetic.

    Args:
        medians: seconds by side, "ours" and "baseline" among them.
        macs: multiply-accumulates by part, for both configs.
        name: of the model's config.
        baseline: of the baseline's config.

    Returns:
        `over_macs`, what it is made of, and the seconds of all sides.
    """
    gmacs = {config: sum(parts.values()) / GIGA for config, parts in macs.items()}
    macs_ratio = gmacs[name] / gmacs[baseline]
    times_ratio = medians["ours"] / medians["baseline"]
    return {
        "times_ratio": round(times_ratio, 3),
        "macs_ratio": round(macs_ratio, 3),
        "over_macs": round(times_ratio / macs_ratio, 3),
        "seconds": {side: round(value, 4) for side, value in medians.items()},
        "gmacs": {config: round(value, 1) for config, value in gmacs.items()},
    }


def show(name: str, result: Mapping) -> None:
    """Writes a table of the parts, before and after, to standard error.

    Args:
        name: of the config.
        result: of its measurement.
    """
    sys.stderr.write(
        f"{name}: {result['seconds']}, over_macs {result['over_macs']}, "
        f"peak {result['peak_gmacs_a_second']} GMACs/s\n"
    )
    for part, row in result["after"].items():
        old = result["before"][part]
        sys.stderr.write(
            f"  {part:18} {row['gmacs']:8.2f} GMACs {old['ms']:9.1f} ms {old['fraction']:6.2f}"
            f"  -> {row['ms']:9.1f} ms {row['fraction']:6.2f}\n"
        )


def report_models(benchmark: str, results: Mapping[str, Mapping], **settings: object) -> None:
    """Writes the line of JSON of a benchmark of models; its ratio is the smallest of theirs.

    Args:
        benchmark: its name.
        results: by config.
        settings: of the benchmark.
    """
    slowest = min(results.values(), key=lambda one: one["ratio"])
    report(
        {
            "name": benchmark,
            "ratio": slowest["ratio"],
            "ours": slowest["seconds"]["ours"],
            "peer": slowest["seconds"]["peer"],
            **settings,
            "machine": machine_state(),
            "models": results,
        }
    )
