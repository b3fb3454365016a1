"""Functions that turn the arguments and overrides of commands into requests.

A configuration node is a dict with ``_target_``, the dotted name of a class or function, and its options.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simopt import catalogue
from simopt.app.config import settings
from simopt.app.config.compose import compose, parse
from simopt.errors import InputError, warn_renamed
from simopt.workflows.data import Data
from simopt.workflows.request import name_of
from simopt.workflows.run_request import RunRequest

if TYPE_CHECKING:  # these modules load torch, which a command that finds a stored run does not need
    from simopt.workflows.attribute import AttributeRequest
    from simopt.workflows.card import CardRequest
    from simopt.workflows.compare import CompareRequest
    from simopt.workflows.explain import ExplainRequest
    from simopt.workflows.joint import JointRequest
    from simopt.workflows.sensitivity_request import SensitivityRequest

Node = dict[str, Any]


def run(
    words: Sequence[str],
    config_dir: Path | None = None,
    *,
    chosen: Mapping[str, Any] | None = None,
    among: Sequence[str] = (),
    values_of: Callable[[Sequence[str]], Node] | None = None,
) -> RunRequest:
    """Return the request of a run.

    Parameters
    ----------
    words : sequence of str
        The settings in Hydra's grammar, and at most one file, which is the recording.
    config_dir : Path, optional
        A folder with YAML files of the user.
    chosen : mapping, optional
        Values of keys that ``words`` do not set, for instance the measure or the recording.
    among : sequence of str
        The settings ``measure=NAME`` of all jobs of a sweep, if this is one of them: an option goes to every
        measure that has it.
    values_of : callable, optional
        What composes overrides to the values of a run; None: :func:`simopt.app.config.compose.compose`.

    Raises
    ------
    InputError
        An override cannot be used.
    """
    settings.own_code()
    given, overrides = settings.recording(words, config_dir)
    composed = values_of or partial(compose, "run", config_dir=config_dir)
    if not any(text.lstrip("+").startswith("measure") for text in overrides):
        return RunRequest(**{**composed(overrides), **given, **(chosen or {})})
    named = [text for text in overrides if text.startswith("measure=")]
    others = [text for text in overrides if text not in named]
    default = next(group["measure"] for group in catalogue.root("run")["defaults"] if "measure" in group)
    nodes, rest = settings.measures([*(among or named), *others], [default], config_dir)
    if not among and len(nodes) > 1:
        names = ",".join(map(name_of, nodes))
        raise InputError(
            f"measure={names}: give one measure, or run several with simopt sweep measure={names}."
        )
    values = composed(rest)
    if values["measure"] == catalogue.read("measure", default):
        given["measure"] = nodes[among.index(named[-1]) if among else 0]
    else:  # an experiment chooses the measure or sets its options, which Hydra merges with the overrides
        values = composed(overrides)
    return RunRequest(**{**values, **given, **(chosen or {})})


def score(
    x: str,
    y: Path,
    overrides: Sequence[str],
    config_dir: Path | None = None,
    *,
    draws: int | None = None,
    snr: float | None = None,
    ids: str | None = None,
) -> CompareRequest:
    """Return the request of the scores of a file against a recording.

    Raises
    ------
    InputError
        A name is unknown, or a value or an option cannot be used.
    """
    from simopt.workflows.compare import DRAWS, CompareRequest

    named: list[str] = []
    whole = settings.every(overrides)
    if whole:
        from simopt.measures import distinct

        named = distinct()
        overrides = [text for text in overrides if not settings.every([text])]
    chosen, rest = settings.measures(overrides, ["cka"], config_dir, named=named)
    if draws is None:
        draws = 0 if whole else DRAWS
    recording, model, place = _data(x, y, y.name, rest, config_dir, ids)
    return CompareRequest(
        dataset=recording,
        Y=[model],
        measures=chosen,
        draws=draws,
        snr=snr,
        ids=ids,
        keep_going=whole,
        **place,
    )


def _data(
    x: str,
    y: Path,
    label: str,
    overrides: Sequence[str],
    config_dir: Path | None,
    ids: str | None = None,
) -> tuple[Data, Data, Node]:
    """Return X, Y called ``label``, and the values of ``log.dir`` and ``force``."""
    of_y, rest = settings.options_of_y(overrides)
    options, place = settings.dataset_options(
        rest,
        "give measure=NAME, measure.OPTION=VALUE, dataset.OPTION=VALUE, y.OPTION=VALUE, log.dir=FOLDER or "
        "force=true.",
    )
    recording = settings.named(x, config_dir, ids, **options)
    of_x = str(recording.node.get("path", ""))
    if Path(of_x).stem == y.stem:  # the folder tells the two files apart
        from simopt.report.tables import distinct_ends

        other = str(y.resolve())
        label = distinct_ends({of_x, other})[other]
    return recording, replace(mine(y, ids, **of_y), label=label), place


def mine(path: Path, ids: str | None = None, **options: Any) -> Data:
    """Return the data of the file Y with the label ``ids`` if given."""
    labels = {} if ids is None else {"labels": [ids]}
    node = catalogue.node("dataset", "file", path=str(path), **{**labels, **options})
    return Data(node, label=path.name, called="y")


def attribute(
    x: str, y: Path, overrides: Sequence[str], by: str, config_dir: Path | None = None
) -> AttributeRequest:
    """Return the request of an attribution.

    Raises
    ------
    InputError
        A name is unknown, or a value or an option cannot be used.
    """
    from simopt.workflows.attribute import AttributeRequest

    chosen, rest = settings.measures(overrides, ["cka"], config_dir)
    if len(chosen) != 1:
        raise InputError(f"`simopt attribute` takes one measure, but measure names {len(chosen)}; name one.")
    recording, model, others = _data(x, y, y.stem, rest, config_dir)
    return AttributeRequest(dataset=recording, Y=model, measure=chosen[0], by=by, **others)


def explain(
    x: str,
    y: Path,
    overrides: Sequence[str],
    config_dir: Path | None = None,
    **options: Any,
) -> ExplainRequest:
    """Return the request of an explanation.

    Raises
    ------
    InputError
        A name is unknown, or a value or an option cannot be used.
    """
    from simopt.workflows.explain import DEFAULT, ExplainRequest

    chosen, rest = settings.measures(overrides, DEFAULT, config_dir)
    of_y, rest = settings.options_of_y(rest)
    others = [text for text in rest if not settings.sets(text, "dataset")]
    recording = settings.named(x, config_dir, options.get("ids"), **settings.options_of(x, rest))
    fixed = {"dataset": recording, "measure": chosen[0]}
    # Composing needs a dataset of the catalogue, but `fixed` replaces it: any small one will do.
    template = _template([*others, "dataset=ultrametric"], config_dir, fixed)
    decoded = "decoder" in settings.roots(others)
    return ExplainRequest.of(
        recording,
        mine(y, options.get("ids"), **of_y),
        template,
        chosen,
        decoded=decoded,
        **options,
    )


def _template(overrides: Sequence[str], config_dir: Path | None, chosen: Node) -> RunRequest:
    """Return the request of a run, by default with the seeds of explanations.

    Options of a decoder without a decoder are those of the standard one.
    """
    from simopt.workflows.explain import SEEDS

    keys = [
        override.key_or_group
        for override in parse([text for text in overrides if not settings.is_file(text)])
    ]
    seeds: Node = {} if "seeds" in keys else {"seeds": SEEDS}
    decoder = any(key.startswith("decoder.") for key in keys) and "decoder" not in keys
    standard = ["decoder=standard"] if decoder else []
    return run([*standard, *overrides], config_dir, chosen={**chosen, **seeds})


def _with_log(overrides: Sequence[str]) -> list[str]:
    """Rewrite ``dir=FOLDER``, the former name of the key, as ``log.dir=FOLDER``."""
    if any(text.startswith("dir=") for text in overrides):
        warn_renamed("dir", "log.dir")
    return [f"log.{text}" if text.startswith("dir=") else text for text in overrides]


def sensitivity(words: Sequence[str], config_dir: Path | None = None) -> SensitivityRequest:
    """Return the request of sensitivities.

    Raises
    ------
    InputError
        A name is unknown, or a value or an option cannot be used.
    """
    from simopt.workflows.sensitivity_request import DEFAULT, SensitivityRequest

    given, overrides = settings.recording(words, config_dir)
    chosen, rest = settings.measures(overrides, DEFAULT, config_dir)
    values = compose("sensitivity", _with_log(rest), config_dir)
    if values["spectrum"] is not None and any(settings.sets(text, "dataset") for text in rest):
        raise InputError("spectrum=FILE and dataset=NAME exclude each other; give only one of them.")
    return SensitivityRequest(
        **{**values, **given, "measures": chosen, "keep_going": settings.every(overrides)}
    )


def joint(words: Sequence[str], config_dir: Path | None = None) -> list[JointRequest]:
    """Return the request of a joint range for each pair of measures.

    Raises
    ------
    InputError
        There are fewer than two measures, a name is unknown, or a value or an option cannot be used.
    """
    from simopt.workflows.joint import PAPER, JointRequest

    given, overrides = settings.recording(words, config_dir)
    paper = f"[{','.join(PAPER)}]"
    written = [
        f"{text.partition('=')[0]}={paper}" if text in ("measure=all_paper", "measures=all_paper") else text
        for text in overrides
    ]
    default = catalogue.root("joint")["measures"]
    chosen, rest = settings.measures(written, default, config_dir)
    if len(chosen) < 2:
        raise InputError(
            "A joint range needs at least two measures; give measure=cka,nbs or measure=all_paper."
        )
    values = compose("joint", _with_log(rest), config_dir)
    values["dataset"] = given.get("dataset") or Data.of(values["dataset"])  # one object, loaded once
    return [JointRequest(**{**values, "measures": pair}) for pair in itertools.combinations(chosen, 2)]


def cards(
    words: Sequence[str], *, against: Sequence[str] | None = None, config_dir: Path | None = None
) -> list[CardRequest]:
    """Return the request of a card for each measure that ``words`` name.

    ``words`` are names of measures, dotted paths of functions, and overrides.

    Raises
    ------
    InputError
        No measure is named, a name is unknown, or a value or an option cannot be used.
    """
    from simopt.workflows.card import PARTNERS, SEARCH, CardRequest

    files = [word for word in words if settings.is_file(word)]
    words = [word for word in words if word not in files]
    named = [word for word in words if "=" not in word]
    if "all" in named or settings.every(words):
        raise InputError("A card does not take measure=all; name one measure, or a few to set side by side.")
    overrides = [word for word in words if "=" in word]
    chosen, rest = settings.measures(overrides, [], config_dir, named=named)
    if not chosen:
        raise InputError("No measure is named; give one, for instance `simopt card cka dataset=majaj`.")
    searching = {key.key_or_group: key for key in parse(rest) if key.key_or_group in SEARCH}
    running = [text for text in rest if settings.roots([text]).isdisjoint(SEARCH)]
    template = _template([*files, *running], config_dir, {"measure": chosen[0]})
    free = {"dataset", "log", "device", "dtype", "force"}
    return [
        CardRequest(
            run=replace(template, measure=node),
            chosen=frozenset(settings.roots(running) - free),
            partners=tuple(dict.fromkeys(PARTNERS if against is None else against)),
            search=settings.plain_values(searching),
        )
        for node in chosen
    ]
