"""``simopt sweep``: a job for every combination of settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from simopt.app.terminal.console import Output, command, print_json, say
from simopt.app.terminal.options import ConfigDir, Words

if TYPE_CHECKING:
    from simopt.app.sweep.launch import Record
    from simopt.app.sweep.plan import Job

DryRun = Annotated[bool, typer.Option("--dry-run", help="List the jobs, but run and write nothing.")]


@command
def sweep(
    output: Output,
    words: Words = None,
    config_dir: ConfigDir = None,
    dry_run: DryRun = False,
) -> None:
    """Run every combination of settings; finished runs are skipped, interrupted runs are resumed.

    Separate the values of a setting by commas: measure=cka,nbs or seeds=[0],[1].
    optimizer.lr=choice(0.1,0.01) works as well. +experiment=NAME loads a prepared sweep.

    By default, jobs run on this machine, one after the other. hydra/launcher=joblib runs them on all cores,
    submitit_local and submitit_slurm submit them, and gpu runs them one at a time on a GPU. If a job fails,
    all other jobs go on, and the last lines name the failed job.

    Example: simopt sweep measure=cka,nbs dataset=majaj,mante seeds=[0],[1] hydra/launcher=joblib
    """
    from simopt.app.sweep import launch
    from simopt.app.sweep import plan as sweeps
    from simopt.app.sweep.board import Board, outcomes_table, plan_table

    plan = sweeps.plan(words or [], config_dir)
    if dry_run:
        if output.as_json:
            print_json(
                [
                    {"job": job.title, "todo": job.todo, "path": job.path, "reason": job.reason}
                    for job in plan.jobs
                ]
            )
        else:
            output.show([plan_table(plan)])
        raise typer.Exit(1 if any(job.todo == launch.FAILED for job in plan.jobs) else 0)
    with sweeps.opened(plan) as folder:
        with Board(plan, folder) as board:
            failure = sweeps.carry_out(plan, folder, board.watch)
        outcomes = sweeps.outcomes(plan, folder, failure)
        interrupted = launch.stopped(folder)
    ended = list(zip(plan.jobs, outcomes, strict=True))
    if output.as_json:
        print_json([_ended(job, end) for job, end in ended])
    else:
        output.show([outcomes_table(plan, outcomes)])
    failed = [f"  {job.title}: {end.how}. {end.reason}".rstrip() for job, end in ended if not end.done]
    if failed:
        heading = f"simopt: {len(failed)} of {len(ended)} jobs did not finish ({folder}):"
        say(heading, *failed, style="red", error=True)
        raise typer.Exit(130 if interrupted else 1)


def _ended(job: Job, end: Record) -> dict[str, Any]:
    from simopt.errors import StorageError
    from simopt.report.tables import summarize
    from simopt.store import reader

    facts = {"job": job.title, "outcome": end.how, "reason": end.reason}
    try:
        stored = summarize(reader.read(Path(end.path))).as_json() if end.path else {}
    except StorageError:
        stored = {}
    return {"path": end.path or None, **stored, **facts}
