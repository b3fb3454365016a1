"""``simopt sweep``: every combination of overrides, as one run each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from simopt.app.terminal.console import command, out, print_json, say
from simopt.app.terminal.options import AsJson, ConfigDir, Debug, Overrides

if TYPE_CHECKING:
    from simopt.app.sweep.plan import Outcome

DryRun = Annotated[bool, typer.Option("--dry-run", help="List what would run, and write nothing.")]


def sweep(
    overrides: Overrides = None,
    config_dir: ConfigDir = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Run every combination of overrides; finished runs are skipped, interrupted ones go on.

    Values to combine are written measure=cka,nbs, seeds=[0],[1] or optimizer.lr=choice(0.1,0.01). Jobs run
    here, one after the other, or by hydra/launcher=joblib on all cores, submitit_local, submitit_slurm, gpu
    (one at a time). +experiment=NAME takes a recipe. A job that fails is listed at the end; the others go on.

    Example: simopt sweep measure=cka,nbs dataset=majaj,mante seeds=[0],[1] hydra/launcher=joblib
    """
    with command(debug):
        from simopt.app.sweep import launch
        from simopt.app.sweep import plan as sweeps
        from simopt.app.sweep.board import Board, outcomes_table, plan_table

        plan = sweeps.plan(overrides or [], config_dir)
        if dry_run:
            rows = [
                {
                    "job": job.title,
                    "todo": job.todo,
                    "path": str(job.path or "") or None,
                    "reason": job.reason,
                }
                for job in plan.jobs
            ]
            print_json(rows) if as_json else out().print(plan_table(plan))
            raise typer.Exit(1 if any(job.todo == sweeps.FAILED for job in plan.jobs) else 0)
        with sweeps.opened(plan) as folder:
            with Board(plan, folder) as board:
                failure = sweeps.carry_out(plan, folder, board.watch)
            ended = sweeps.outcomes(plan, folder, failure)
            interrupted = launch.stopped(folder)
        if as_json:
            print_json([_as_json(outcome) for outcome in ended])
        else:
            out().print(outcomes_table(ended))
        unfinished = [outcome for outcome in ended if not outcome.done]
        if unfinished:
            told = "\n".join(f"  {each.job.title}: {each.how}. {each.reason}".rstrip() for each in unfinished)
            text = f"simopt: {len(unfinished)} of {len(ended)} jobs did not finish ({folder}):\n{told}"
            say(text, style="red", error=True)
            raise typer.Exit(130 if interrupted else 1)


def _as_json(outcome: Outcome) -> dict[str, Any]:
    from simopt.errors import StorageError
    from simopt.report.tables import summary

    facts = {"job": outcome.job.title, "outcome": outcome.how, "reason": outcome.reason}
    try:
        stored = {} if outcome.path is None else summary(outcome.path).as_json()
    except StorageError:
        stored = {}
    return {"path": None if outcome.path is None else str(outcome.path), **stored, **facts}
