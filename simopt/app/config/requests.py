"""Functions that turn the arguments and overrides of commands into requests.

A configuration node is a dict with ``_target_``, the dotted name of a class or function, and its options.
"""

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
from simopt.workflows.request import measure_nodes
from simopt.workflows.run_request import RunRequest

if TYPE_CHECKING:  # these modules load torch, which a command that finds a stored run does not need
    from simopt.workflows.attribute import AttributeRequest
    from simopt.workflows.card import CardRequest
    from simopt.workflows.compare import CompareRequest
    from simopt.workflows.explain import ExplainRequest
    from simopt.workflows.joint import JointRequest
    from simopt.workflows.sensitivity_request import SensitivityRequest

Node = dict[str, Any]


def own_code() -> None:
    """Put the working directory on ``sys.path``, so that ``_target_`` can name the user's own modules."""
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
        The settings in Hydra's grammar.
    config_dir : Path, optional
        A folder with YAML files of the user.
    chosen : mapping, optional
        Values for keys that the overrides do not set, for instance the measure or the recording.

    Raises
    ------
    InputError
        An override cannot be used.
    """
    own_code()
    return RunRequest(**{**compose("run", overrides, config_dir), **(chosen or {})})


def measures(
    overrides: Sequence[str], default: Sequence[str], config_dir: Path | None = None
) -> tuple[list[Node], list[str]]:
    """Return the measures that overrides choose, with their options, and the remaining overrides.

    ``measure=a,b``, ``measure=[a,b]`` and ``measure=all`` choose several measures; the former key
    ``measures`` is read as well. ``measure._target_=PATH`` chooses a function of the user.
    ``measure.KEY=VALUE`` sets an option of every chosen measure.

    Parameters
    ----------
    overrides : sequence of str
        The settings in Hydra's grammar.
    default : sequence of str
        The measures that are chosen if the overrides name none.
    config_dir : Path, optional
        A folder with YAML files of the user.

    Returns
    -------
    nodes : list of dict
        The configuration node of each chosen measure.
    rest : list of str
        The overrides that do not concern measures.

    Raises
    ------
    InputError
        A name or an option is unknown, or a measure is named twice.
    """
    own_code()
    names: list[str] = []
    options: Node = {}
    rest: list[str] = []
    for text, override in zip(overrides, parse(overrides), strict=True):
        name = override.key_or_group
        if name in ("measure", "measures"):
            names += _names(override, text)
        elif name.startswith("measure."):
            options[name.partition(".")[2]] = override
        else:
            rest.append(text)
    values = _values(options)
    target = values.pop("_target_", None)
    if names == ["all"]:
        names = [name for name in catalogue.names("measure") if name != "function"]
    chosen: list[Any] = [_entry(name, config_dir) for name in names]
    if target is not None:
        chosen.append({"_target_": target, "name": "function"})
    return [*measure_nodes(chosen or list(default), **values)], rest


def every(overrides: Sequence[str]) -> bool:
    """Return whether overrides choose all measures."""
    return any(text.removeprefix("measure=").strip("[]'\" ") == "all" for text in overrides)


def _names(override: Override, text: str) -> list[str]:
    value = override.value()
    listed = value.list if isinstance(value, ChoiceSweep) else value if isinstance(value, list) else [value]
    names = [name.text if isinstance(name, QuotedString) else str(name) for name in listed]
    if not names or "" in names or "None" in names:
        raise InputError(f"{text!r} names no measure; give measure=NAME, measure=NAME,NAME or measure=all.")
    return names


def _entry(name: str, config_dir: Path | None) -> str | Node:
    """Return a name of the catalogue as it is, or the node of a YAML file in the user's own folder."""
    if config_dir is None or catalogue.has("measure", name):
        return name
    node: Node = compose("run", [f"measure={name}"], config_dir)["measure"]
    return node


def _values(options: Mapping[str, Override]) -> Node:
    """Return the values of options; dots in their names lead to nested mappings."""
    tree = OmegaConf.create({})
    try:
        for name, override in options.items():
            if override.is_sweep_override() or override.is_delete():
                raise InputError(f"{override.input_line}: give one value, {override.key_or_group}=VALUE.")
            OmegaConf.update(tree, name, override.value(), merge=True)
        values: Any = OmegaConf.to_container(tree, resolve=True)
    except OmegaConfBaseException as error:
        raise InputError(f"{str(error).splitlines()[0]}.") from error
    return {str(key): value for key, value in values.items()}


def dataset_options(overrides: Sequence[str], usage: str) -> tuple[Node, Node]:
    """Return the options of the dataset that overrides set, and the values of ``log.dir`` and ``force``.

    Raises
    ------
    InputError
        An override sets another key. The message ends with ``usage``, which lists the allowed keys.
    """
    options: dict[str, Override] = {}
    others: Node = {}
    for text, override in zip(overrides, parse(overrides), strict=True):
        key = override.key_or_group
        if key.startswith("dataset."):
            options[key.partition(".")[2]] = override
        elif key in ("log.dir", "dir"):
            others["log"] = _values({"dir": override})
        elif key == "force":
            others["force"] = override.value()
        else:
            raise InputError(f"{text!r} is no setting here; {usage}")
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
        A name is unknown, or a value or an option cannot be used.
    """
    from simopt.workflows.compare import DRAWS, CompareRequest

    chosen, rest = measures(overrides, ["cka"])
    if every(overrides):
        from simopt.measures import distinct

        chosen = [*measure_nodes(distinct())]
    if draws is None:
        draws = 0 if every(overrides) else DRAWS
    recording, model, others = _data(x, y, y.name, rest, ids)
    return CompareRequest(
        dataset=recording,
        Y=[model],
        measures=chosen,
        draws=draws,
        snr=snr,
        ids=ids,
        keep_going=every(overrides),
        **others,
    )


def _data(
    x: str, y: Path, label: str, overrides: Sequence[str], ids: str | None = None
) -> tuple[Data, Data, Node]:
    """Return X, Y called ``label``, and the values of ``log.dir`` and ``force``."""
    options, others = dataset_options(
        overrides,
        "give measure=NAME, measure.OPTION=VALUE, dataset.OPTION=VALUE, log.dir=FOLDER or force=true.",
    )
    recording = Data.named(x, ids, **options)
    of_x = str(recording.node.get("path", ""))
    if Path(of_x).stem == y.stem:  # the folder tells the two files apart
        from simopt.report.tables import distinct_ends

        of_y = str(y.resolve())
        label = distinct_ends({of_x, of_y})[of_y]
    return recording, replace(mine(y, ids), label=label), others


def mine(path: Path, ids: str | None = None) -> Data:
    """Return the data of the file Y with all units, also constant ones, and the label ``ids`` if given."""
    labels = {} if ids is None else {"labels": [ids]}
    node = catalogue.node("dataset", "file", path=str(path), constant_units="keep", **labels)
    return Data(node, label=path.name)


def attribute(x: str, y: Path, overrides: Sequence[str], by: str) -> AttributeRequest:
    """Return the request of an attribution.

    Raises
    ------
    InputError
        A name is unknown, or a value or an option cannot be used.
    """
    from simopt.workflows.attribute import AttributeRequest

    chosen, rest = measures(overrides, ["cka"])
    if len(chosen) != 1:
        raise InputError(f"`simopt attribute` takes one measure, but measure names {len(chosen)}; name one.")
    recording, model, others = _data(x, y, y.stem, rest)
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

    chosen, rest = measures(overrides, DEFAULT, config_dir)
    if any(text.lstrip("+~").startswith(("dataset=", "dataset@")) for text in rest):
        raise InputError(f"dataset=NAME is not allowed, as the recording is {x}; only set dataset.KEY=VALUE.")
    of_data = [text for text in rest if text.lstrip("+~").startswith("dataset.")]
    others = [text for text in rest if text not in of_data]
    recording = Data.named(x, options.get("ids"), **dataset_options(of_data, "")[0])
    fixed = {"dataset": recording, "measure": chosen[0]}
    # Composing needs a dataset of the catalogue, but `fixed` replaces it: any small one will do.
    template = _template([*others, "dataset=ultrametric"], config_dir, fixed)
    decoded = "decoder" in _roots(others)
    return ExplainRequest.of(
        recording, mine(y, options.get("ids")), template, chosen, decoded=decoded, **options
    )


def _template(overrides: Sequence[str], config_dir: Path | None, chosen: Node) -> RunRequest:
    """Return the request of a run, by default with the seeds of explanations.

    Options of a decoder without a decoder are those of the standard one.
    """
    from simopt.workflows.explain import SEEDS

    keys = [override.key_or_group for override in parse(overrides)]
    seeds: Node = {} if "seeds" in keys else {"seeds": SEEDS}
    decoder = any(key.startswith("decoder.") for key in keys) and "decoder" not in keys
    standard = ["decoder=standard"] if decoder else []
    return run([*standard, *overrides], config_dir, chosen={**chosen, **seeds})


def _roots(overrides: Sequence[str]) -> set[str]:
    """Return the first names of the keys that overrides set."""
    return {override.key_or_group.partition(".")[0].partition("/")[0] for override in parse(overrides)}


def _with_log(overrides: Sequence[str]) -> list[str]:
    """Rewrite ``dir=FOLDER``, the former name of the key, as ``log.dir=FOLDER``."""
    if any(text.startswith("dir=") for text in overrides):
        warn_renamed("dir", "log.dir")
    return [f"log.{text}" if text.startswith("dir=") else text for text in overrides]


def sensitivity(overrides: Sequence[str], config_dir: Path | None = None) -> SensitivityRequest:
    """Return the request of sensitivities.

    Raises
    ------
    InputError
        A name is unknown, or a value or an option cannot be used.
    """
    from simopt.workflows.sensitivity_request import DEFAULT, SensitivityRequest

    chosen, rest = measures(overrides, DEFAULT, config_dir)
    values = compose("sensitivity", _with_log(rest), config_dir)
    if values["spectrum"] is not None and any(text.lstrip("+~").startswith("dataset") for text in rest):
        raise InputError("spectrum=FILE and dataset=NAME exclude each other; give only one of them.")
    return SensitivityRequest(**{**values, "measures": chosen, "keep_going": every(overrides)})


def joint(overrides: Sequence[str], config_dir: Path | None = None) -> list[JointRequest]:
    """Return the request of a joint range for each pair of measures.

    Raises
    ------
    InputError
        There are fewer than two measures, a name is unknown, or a value or an option cannot be used.
    """
    from simopt.workflows.joint import PAPER, JointRequest

    paper = f"[{','.join(PAPER)}]"
    written = [
        f"{text.partition('=')[0]}={paper}" if text in ("measure=all_paper", "measures=all_paper") else text
        for text in overrides
    ]
    default = catalogue.root("joint")["measures"]
    chosen, rest = measures(written, default, config_dir)
    if len(chosen) < 2:
        raise InputError(
            "A joint range needs at least two measures; give measure=cka,nbs or measure=all_paper."
        )
    values = compose("joint", _with_log(rest), config_dir)
    values["dataset"] = Data.of(values["dataset"])  # one object, loaded once
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

    named = [word for word in words if "=" not in word]
    if "all" in named or every(words):
        raise InputError("A card does not take measure=all; name one measure, or a few to set side by side.")
    by_key, rest = measures([word for word in words if "=" in word], [], config_dir)
    options = [word for word in words if word.startswith("measure.")]
    written = [[f"{'measure._target_' if '.' in name else 'measure'}={name}", *options] for name in named]
    chosen = measure_nodes(
        [*(node for texts in written for node in measures(texts, [], config_dir)[0]), *by_key]
    )
    if not chosen:
        raise InputError("No measure is named; give one, for instance `simopt card cka dataset=majaj`.")
    searching = {key.key_or_group: key for key in parse(rest) if key.key_or_group in SEARCH}
    running = [text for text in rest if _roots([text]).isdisjoint(SEARCH)]
    template = _template(running, config_dir, {"measure": chosen[0]})
    free = {"dataset", "log", "device", "dtype", "force"}
    return [
        CardRequest(
            run=replace(template, measure=node),
            chosen=frozenset(_roots(running) - free),
            partners=tuple(dict.fromkeys(PARTNERS if against is None else against)),
            search=_values(searching),
        )
        for node in chosen
    ]
