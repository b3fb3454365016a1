"""The words of a command: what they say of the recording, of measures, and of their options.

A word is a setting in Hydra's grammar, ``KEY=VALUE``, or the path of a file. A path is a value: no character
of it has a meaning in the grammar.

A configuration node is a dict with ``_target_``, the dotted name of a class or function, and its options.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.types import ChoiceSweep, Override, QuotedString
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from simopt import catalogue, checks
from simopt.app.config.compose import compose, parse
from simopt.errors import InputError
from simopt.workflows.data import Data
from simopt.workflows.request import measure_nodes, name_of

if TYPE_CHECKING:
    from simopt.measures import Measure

Node = dict[str, Any]


def own_code() -> None:
    """Put the working directory on ``sys.path``, so that ``_target_`` can name the user's own modules."""
    import sys

    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))


def recording(words: Sequence[str], config_dir: Path | None = None) -> tuple[Node, list[str]]:
    """Return the recording that is named by a file among the words of a command, and the overrides.

    The path of a file is a value: no character of it has a meaning in Hydra's grammar.

    Returns
    -------
    given : dict
        ``{"dataset": Data}``; empty if no word is a file.
    overrides : list of str
        The other words. If a file is given, they hold no options of the dataset.

    Raises
    ------
    InputError
        A word is neither a file nor a setting, two words are files, or a dataset is named as well.
    """
    files = [word for word in words if is_file(word)]
    overrides = [word for word in words if word not in files]
    for word in overrides:
        if "=" not in word:
            _refuse_name(word, config_dir)
    if not files:
        return {}, overrides
    if len(files) > 1:
        raise InputError(f"{files[0]} and {files[1]}: only one recording is taken; name one file.")
    return {"dataset": Data.named(files[0], **options_of(files[0], overrides))}, [
        *(text for text in overrides if not sets(text, "dataset.")),
        # Composing needs a dataset of the catalogue, but the recording replaces it: any small one will do.
        "dataset=ultrametric",
    ]


def is_file(word: str) -> bool:
    """Return whether a word of a command is meant as a file, and not as a setting or a name."""
    from simopt.datasets import formats  # which loads h5py

    of_data = Path(word).suffix.lower() in formats.KINDS
    exists = os.path.isfile(word)  # noqa: PTH113, it also takes a word that no file can have as its name
    return of_data and exists if "=" in word else of_data or exists


def _refuse_name(word: str, config_dir: Path | None) -> None:
    """Refuse a name that stands alone, with the setting that was meant."""
    for group in ("measure", "dataset"):
        near = [name for name in (word, word.lower()) if _known(group, name, config_dir)]
        if near:
            raise InputError(f"{word!r} is a name and no setting; write {group}={near[0]}.")


def options_of(x: str, overrides: Sequence[str]) -> Node:
    """Return the options of the dataset that overrides set; X is named by the words of the command."""
    if any(sets(text, "dataset=", "dataset@") for text in overrides):
        raise InputError(f"dataset=NAME is not allowed, as the recording is {x}; only set dataset.KEY=VALUE.")
    return dataset_options([text for text in overrides if sets(text, "dataset.")], "")[0]


def sets(text: str, *keys: str) -> bool:
    """Return whether the key of an override begins with one of ``keys``."""
    return text.lstrip("+~").startswith(keys)


def _known(group: str, name: str, config_dir: Path | None) -> bool:
    """Return whether a name is in the catalogue, or in the user's own folder."""
    own = config_dir is not None and (config_dir / group / f"{name}.yaml").is_file()
    return own or catalogue.has(group, name)


def entry(group: str, name: str, config_dir: Path | None) -> str | Node:
    """Return a name of the catalogue as it is, or the node of a YAML file in the user's own folder.

    Raises
    ------
    InputError
        The name is neither in the catalogue nor in the folder.
    """
    if config_dir is None or catalogue.has(group, name):
        return name
    if not _known(group, name, config_dir):
        own = [path.stem for path in (config_dir / group).glob("*.yaml")]
        raise checks.unknown(name, [*catalogue.names(group), *own], group, also=catalogue.aliases(group))
    node: Node = compose("run", [f"{group}={name}"], config_dir)[group]
    return node


def measure(name: str, config_dir: Path | None = None) -> Measure:
    """Return the measure with a name of the catalogue or of the user's own folder."""
    from simopt.measures import build  # which loads torch

    own_code()
    return build(catalogue.node("measure", entry("measure", name, config_dir)))


def measures(
    overrides: Sequence[str],
    default: Sequence[str],
    config_dir: Path | None = None,
    *,
    named: Sequence[str] = (),
) -> tuple[list[Node], list[str]]:
    """Return the measures that overrides choose, with their options, and the remaining overrides.

    ``measure=a,b``, ``measure=[a,b]`` and ``measure=all`` choose several measures, and so does the former key
    ``measures``. ``measure=one:a,two:a`` gives two variants of a measure names of their own. A dotted name,
    and ``measure._target_=PATH``, is a function of the user. ``measure.KEY=VALUE`` sets an option of every
    chosen measure that has it, and ``measure.NAME.KEY=VALUE`` that of one.

    Parameters
    ----------
    overrides : sequence of str
        The settings in Hydra's grammar.
    default : sequence of str
        The measures that are chosen if none is named.
    config_dir : Path, optional
        A folder with YAML files of the user.
    named : sequence of str
        Measures that are chosen in addition, before those of the overrides.

    Returns
    -------
    nodes : list of dict
        The configuration node of each chosen measure.
    rest : list of str
        The overrides that do not concern measures.

    Raises
    ------
    InputError
        A name or an option is unknown, no measure has an option, or two measures have the same name.
    """
    own_code()
    names = list(named)
    options: dict[str, Override] = {}
    rest: list[str] = []
    for text, override in zip(overrides, parse(overrides), strict=True):
        name = override.key_or_group
        if name in ("measure", "measures"):
            names += _names(override, text)
        elif name.startswith("measure."):
            options[name.partition(".")[2]] = override
        else:
            rest.append(text)
    if "_target_" in options:
        names.append(str(plain_values({"_target_": options.pop("_target_")})["_target_"]))
    if "all" in names:
        listed = [name for name in catalogue.names("measure") if name != "function"]
        names = [*listed, *(name for name in names if name not in ("all", *listed))]
    nodes: list[Node] = []
    for choice in names or default:
        label, _, name = choice.rpartition(":")
        node = _measure(label, name, config_dir)
        prefix = f"{name_of(node)}."
        own = {key.removeprefix(prefix): options.pop(key) for key in [*options] if key.startswith(prefix)}
        nodes.append(catalogue.node("measure", node, **plain_values(own)))
    return [*measure_nodes(nodes, **plain_values(options))], rest


def _measure(label: str, name: str, config_dir: Path | None) -> Node:
    """Return the node of a measure under the name ``label``, or its own if that is empty."""
    if label and _known("measure", label, config_dir):
        raise InputError(f"{label}:{name}: {label} is another measure; choose a name that none has.")
    own = "." in name and not _known("measure", name, config_dir)
    listed = {"_target_": name, "name": "function"} if own else entry("measure", name, config_dir)
    node = catalogue.node("measure", listed)
    return {**node, "name": label} if label else node


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


def plain_values(options: Mapping[str, Override]) -> Node:
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
            others["log"] = plain_values({"dir": override})
        elif key == "force":
            others["force"] = override.value()
        else:
            raise InputError(f"{text!r} is no setting here; {usage}")
    return plain_values(options), others


def named(x: str, config_dir: Path | None, ids: str | None = None, **options: Any) -> Data:
    """Return the data of X: a file, a dataset of the catalogue, or one of the user's own folder."""
    own = config_dir is not None and (config_dir / "dataset" / f"{x}.yaml").is_file()
    if own and not Path(x).is_file():
        return Data(catalogue.node("dataset", entry("dataset", x, config_dir), **options))
    return Data.named(x, ids, **options)


def options_of_y(overrides: Sequence[str]) -> tuple[Node, list[str]]:
    """Return the options of the file Y, written ``y.OPTION=VALUE``, and the other overrides."""
    parsed = list(zip(overrides, parse(overrides), strict=True))
    options = {o.key_or_group.removeprefix("y."): o for _, o in parsed if o.key_or_group.startswith("y.")}
    return plain_values(options), [text for text, o in parsed if not o.key_or_group.startswith("y.")]


def roots(overrides: Sequence[str]) -> set[str]:
    """Return the first names of the keys that overrides set."""
    return {override.key_or_group.partition(".")[0].partition("/")[0] for override in parse(overrides)}
