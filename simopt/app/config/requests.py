"""Requests of the commands, of their arguments and overrides."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.types import ChoiceSweep, Override, QuotedString
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from simopt import catalogue
from simopt.app.config.compose import compose, parse
from simopt.errors import InputError, warn_renamed
from simopt.workflows.data import Data
from simopt.workflows.request import measure_node
from simopt.workflows.run_request import RunRequest

if TYPE_CHECKING:  # those of analyses load torch, which a run that is found needs not
    from simopt.workflows.attribute import AttributeRequest
    from simopt.workflows.card import CardRequest
    from simopt.workflows.compare import CompareRequest
    from simopt.workflows.explain import ExplainRequest
    from simopt.workflows.joint import JointRequest
    from simopt.workflows.sensitivity_request import SensitivityRequest

Node = dict[str, Any]


def own_code() -> None:
    """Let ``_target_`` name functions and classes of the user's own, in the working directory."""
    import sys

    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))


def run(
    overrides: Sequence[str], config_dir: Path | None = None, *, chosen: Mapping[str, Any] | None = None
) -> RunRequest:
    """Return the request of a run.

    Parameters
    ----------
    overrides : sequence of str
    config_dir : Path, optional
    chosen : mapping, optional
        Values of keys that the overrides do not set: a measure, or the recording.

    Raises
    ------
    InputError
        An override that cannot be used.
    """
    own_code()
    return RunRequest(**{**compose("run", overrides, config_dir), **(chosen or {})})


def measures(
    overrides: Sequence[str], default: Sequence[str], config_dir: Path | None = None, key: str = "measure"
) -> tuple[list[Node], list[str]]:
    """Return the measures that overrides choose, their options over them, and the other overrides.

    ``measure=a,b``, ``measure=[a,b]`` and ``measure=all`` choose several, ``measure._target_=PATH`` a
    function of the user's own, ``measure.KEY=VALUE`` is an option of each.

    Raises
    ------
    InputError
        An unknown name or option.
    """
    own_code()
    names: list[str] = []
    options: Node = {}
    rest: list[str] = []
    for text, override in zip(overrides, parse(overrides), strict=True):
        own = override.key_or_group
        if own in ("measure", key):
            names += _names(override, text)
        elif own.startswith("measure."):
            options[own.partition(".")[2]] = override
        else:
            rest.append(text)
    values = _values(options)
    target = values.pop("_target_", None)
    if names == ["all"]:
        names = [name for name in catalogue.names("measure") if name != "function"]
    chosen: list[Any] = [_entry(name, config_dir) for name in dict.fromkeys(names)]
    if target is not None:
        chosen.append({"_target_": target, "name": "function"})
    return [measure_node(node, **values) for node in chosen or default], rest


def every(overrides: Sequence[str]) -> bool:
    """Return whether all measures are chosen."""
    return any(text.removeprefix("measure=").strip("[]'\" ") == "all" for text in overrides)


def _names(override: Override, text: str) -> list[str]:
    value = override.value()
    listed = value.list if isinstance(value, ChoiceSweep) else value if isinstance(value, list) else [value]
    names = [each.text if isinstance(each, QuotedString) else str(each) for each in listed]
    if not names or "" in names or "None" in names:
        raise InputError(f"{text!r}: give measure=NAME, measure=NAME,NAME or measure=all.")
    return names


def _entry(name: str, config_dir: Path | None) -> str | Node:
    """Return a name of the catalogue, or the node that a yaml in the user's own folder has."""
    if config_dir is None or catalogue.has("measure", name):
        return name
    node: Node = compose("run", [f"measure={name}"], config_dir)["measure"]
    return node


def _values(options: Mapping[str, Override]) -> Node:
    """Return the values of options, dots in their names leading to inner ones."""
    tree = OmegaConf.create({})
    try:
        for name, override in options.items():
            if override.is_sweep_override() or override.is_delete():
                raise InputError(f"{override.input_line}: give one value, as {override.key_or_group}=VALUE.")
            OmegaConf.update(tree, name, override.value(), merge=True)
        values: Any = OmegaConf.to_container(tree, resolve=True)
    except OmegaConfBaseException as error:
        raise InputError(f"{str(error).splitlines()[0]}.") from error
    return {str(key): value for key, value in values.items()}


def options_of(overrides: Sequence[str], group: str, usage: str) -> tuple[Node, Node]:
    """Return the options of a group that overrides set, and the values of ``log.dir`` and ``force``.

    Raises
    ------
    InputError
        An override of another key; ``usage`` says what there is.
    """
    options: dict[str, Override] = {}
    others: Node = {}
    for text, override in zip(overrides, parse(overrides), strict=True):
        key = override.key_or_group
        if key.startswith(f"{group}."):
            options[key.partition(".")[2]] = override
        elif key in ("log.dir", "dir"):
            others["log"] = _values({"dir": override})
        elif key == "force":
            others["force"] = override.value()
        else:
            raise InputError(f"{text!r}: {usage}")
    return _values(options), others


def score(
    x: str,
    y: Path,
    overrides: Sequence[str],
    *,
    draws: int | None = None,
    snr: float | None = None,
    ids: str | None = None,
) -> CompareRequest:
    """Return the request of the scores of a file against a recording.

    Raises
    ------
    InputError
        A name, a value or an option that cannot be used.
    """
    from simopt.workflows.compare import DRAWS, CompareRequest

    usage = (
        "`simopt score X Y` takes measure=NAME, measure=NAME,NAME, measure=all, measure.OPTION=VALUE, "
        "dataset.OPTION=VALUE, log.dir and force."
    )
    chosen, rest = measures(overrides, ["cka"])
    if every(overrides):
        from simopt.measures import distinct

        chosen = [measure_node(name) for name in distinct()]
    options, others = options_of(rest, "dataset", usage)
    usual = 0 if every(overrides) else DRAWS
    return CompareRequest(
        dataset=Data.named(x, ids, **options),
        Y=[mine(y, ids)],
        measures=chosen,
        draws=usual if draws is None else draws,
        snr=snr,
        ids=ids,
        keep_going=every(overrides),
        **others,
    )


def mine(path: Path, ids: str | None = None) -> Data:
    """Return the data of a user's file, constant units included, with the label ``ids`` if one is named."""
    labels = {} if ids is None else {"labels": [ids]}
    node = catalogue.node("dataset", "file", path=str(path), constant_units="keep", **labels)
    return Data(node, label=path.name)


def attribute(x: str, y: Path, overrides: Sequence[str], by: str) -> AttributeRequest:
    """Return the request of an attribution.

    Raises
    ------
    InputError
        A name, a value or an option that cannot be used.
    """
    from simopt.workflows.attribute import AttributeRequest

    usage = (
        "`simopt attribute X Y` takes measure=NAME, measure.OPTION=VALUE, dataset.OPTION=VALUE, log.dir and "
        "force."
    )
    chosen, rest = measures(overrides, ["cka"])
    if len(chosen) != 1:
        raise InputError(f"{len(chosen)} measures are named; `simopt attribute` takes one measure.")
    options, others = options_of(rest, "dataset", usage)
    own = replace(mine(y), label=y.stem)
    return AttributeRequest(dataset=Data.named(x, **options), Y=own, measure=chosen[0], by=by, **others)


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
        A name, a value or an option that cannot be used.
    """
    from simopt.workflows.explain import DEFAULT, ExplainRequest

    chosen, rest = measures(overrides, DEFAULT, config_dir)
    if any(text.lstrip("+~").startswith(("dataset=", "dataset@")) for text in rest):
        raise InputError(f"The recording is {x}; give options of it, dataset.KEY=VALUE, and no dataset=.")
    of_data = [text for text in rest if text.lstrip("+~").startswith("dataset.")]
    others = [text for text in rest if text not in of_data]
    recording = Data.named(x, options.get("ids"), **options_of(of_data, "dataset", "")[0])
    fixed = {"dataset": recording, "measure": chosen[0]}
    # The recording itself needs no composing: any dataset stands for it.
    usual = _of_seeds([*others, "dataset=ultrametric"], config_dir, fixed)
    decoded = "decoder" in _roots(others)
    return ExplainRequest.of(
        recording, mine(y, options.get("ids")), usual, chosen, decoded=decoded, **options
    )


def _of_seeds(overrides: Sequence[str], config_dir: Path | None, chosen: Node) -> RunRequest:
    """Return the request of a run of as many seeds as interpretations take, unless others are chosen."""
    from simopt.workflows.explain import SEEDS

    seeds: Node = {} if "seeds" in _roots(overrides) else {"seeds": SEEDS}
    return run(_with_decoder(overrides), config_dir, chosen={**chosen, **seeds})


def _roots(overrides: Sequence[str]) -> set[str]:
    """Return the first names of the keys that overrides set."""
    return {each.key_or_group.partition(".")[0].partition("/")[0] for each in parse(overrides)}


def _with_decoder(overrides: Sequence[str]) -> list[str]:
    """Choose the standard decoder where options of a decoder are given, and none is chosen."""
    keys = [each.key_or_group for each in parse(overrides)]
    lacks = "decoder" not in keys and any(key.startswith("decoder.") for key in keys)
    return ["decoder=standard", *overrides] if lacks else list(overrides)


def _with_log(overrides: Sequence[str]) -> list[str]:
    """Write ``dir=FOLDER``, the former name of the key, as ``log.dir=FOLDER``."""
    if any(text.startswith("dir=") for text in overrides):
        warn_renamed("dir", "log.dir")
    return [f"log.{text}" if text.startswith("dir=") else text for text in overrides]


def sensitivity(overrides: Sequence[str], config_dir: Path | None = None) -> SensitivityRequest:
    """Return the request of sensitivities.

    Raises
    ------
    InputError
        A name, a value or an option that cannot be used.
    """
    from simopt.workflows.sensitivity_request import DEFAULT, SensitivityRequest

    chosen, rest = measures(overrides, DEFAULT, config_dir)
    values = compose("sensitivity", _with_log(rest), config_dir)
    if values["spectrum"] is not None and any(text.lstrip("+~").startswith("dataset") for text in rest):
        raise InputError("give dataset=NAME or spectrum=FILE, not both.")
    return SensitivityRequest(**{**values, "measures": chosen, "keep_going": every(overrides)})


def joint(overrides: Sequence[str], config_dir: Path | None = None) -> list[JointRequest]:
    """Return the requests of joint ranges, one for each pair of measures.

    Raises
    ------
    InputError
        Fewer than two measures, or a name, a value or an option that cannot be used.
    """
    from simopt.workflows.joint import PAPER, JointRequest

    paper = f"[{','.join(PAPER)}]"
    written = [
        f"{text.partition('=')[0]}={paper}" if text in ("measure=all_paper", "measures=all_paper") else text
        for text in overrides
    ]
    usual = catalogue.root("joint")["measures"]
    chosen, rest = measures(written, usual, config_dir, key="measures")
    if len(chosen) < 2:
        raise InputError("measures: give two or more, as measure=cka,nbs, or measure=all_paper.")
    values = compose("joint", _with_log(rest), config_dir)
    values["dataset"] = Data.of(values["dataset"])  # one object, loaded once
    return [JointRequest(**{**values, "measures": pair}) for pair in itertools.combinations(chosen, 2)]


def cards(
    given: Sequence[str], *, against: Sequence[str] | None = None, config_dir: Path | None = None
) -> list[CardRequest]:
    """Return the requests of cards: of names of measures, dotted paths of functions, and overrides.

    Raises
    ------
    InputError
        No measure, or a name, a value or an option that cannot be used.
    """
    from simopt.workflows.card import PARTNERS, CardRequest

    named = [each for each in given if "=" not in each]
    if "all" in named or every(given):
        raise InputError("a card is of one measure; name one or a few that are to stand side by side.")
    own, rest = measures([each for each in given if "=" in each], [], config_dir)
    options = [each for each in given if each.startswith("measure.")]
    written = [[f"{'measure._target_' if '.' in name else 'measure'}={name}", *options] for name in named]
    chosen = [*(node for texts in written for node in measures(texts, [], config_dir)[0]), *own]
    if not chosen:
        raise InputError("no measure is named; give one, for instance `simopt card cka dataset=majaj`.")
    searching = [each for each in parse(rest) if each.key_or_group in _SEARCH_KEYS]
    running = [each for each in rest if parse([each])[0].key_or_group not in _SEARCH_KEYS]
    usual = _of_seeds(running, config_dir, {"measure": chosen[0]})
    free = {"dataset", "log", "device", "dtype", "force"}
    requests = [
        CardRequest(
            run=replace(usual, measure=node),
            chosen=frozenset(_roots(running) - free),
            partners=tuple(dict.fromkeys(PARTNERS if against is None else against)),
            search=_values({each.key_or_group: each for each in searching}),
        )
        for node in chosen
    ]
    twice = [each.key for each in requests]
    if len(set(twice)) < len(twice):
        raise InputError(f"{', '.join(twice)}: a measure is named twice.")
    return requests


_SEARCH_KEYS = ("starts", "rounds", "steps", "levels", "units")
