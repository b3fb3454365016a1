"""Tables of ``simopt report`` for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from simopt.app.terminal.published_table import published_tables
from simopt.app.terminal.tables import good_scores_table, runs_table

if TYPE_CHECKING:
    from simopt.analysis.sensitivity import Sensitivities
    from simopt.ranges.result import JointRange
    from simopt.report import Collected
    from simopt.report.published import Comparison


def report_tables(collected: Collected, compared: Sequence[Comparison] | None = None) -> list[Table]:
    """Return the tables of what was found: runs, good scores, analyses, a comparison with the paper."""
    tables = []
    if collected.summaries:
        tables.append(runs_table(collected.summaries))
    if any(summary.good_scores for summary in collected.summaries):
        tables.append(good_scores_table(collected.summaries))
    tables += [_sensitivity(found) for found in collected.sensitivities]
    for _, group in groupby(collected.joints, key=lambda found: (found.dataset, found.source)):
        tables += _joint(list(group))
    return tables if compared is None else tables + published_tables(compared)


def _sensitivity(found: Sensitivities) -> Table:
    from simopt.app.terminal.sensitivity_tables import sensitivity_tables

    *_, table = sensitivity_tables(found)
    strengths = ", ".join(f"{strength:g}" for strength in found.strengths)
    table.title = Text(
        f"{found.dataset} ({found.source}): what the measures see; {found.perturbation} {strengths}"
    )
    return table


def _joint(found: list[JointRange]) -> list[Table]:
    """Return the verdicts of the pairs that have a region, and of each other pair what was found."""
    from simopt.app.terminal.joint_tables import joint_tables, verdicts_table

    tables = []
    regions = [each for each in found if each.region is not None]
    if regions:
        tables.append(verdicts_table(regions))
        tables[0].title = Text(f"{found[0].dataset} ({found[0].source}): joint ranges")
    for each in found:
        if each.region is None:
            tables += joint_tables(each, None)
    return tables
