"""``simopt datasets``: list the datasets, download the files of one, or describe one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from simopt.app.terminal import completion
from simopt.app.terminal.console import Output, command, download_bar, print_json, say
from simopt.app.terminal.options import AsJson, ConfigDir, FigureFile, Recording

if TYPE_CHECKING:
    from simopt.datasets import Dataset

app = typer.Typer(
    help="List the datasets, download the files of a recording, or describe one dataset.\n\n"
    "Example: simopt datasets show majaj",
    rich_markup_mode=None,
)

Name = Annotated[
    str, typer.Argument(autocompletion=completion.datasets, help="The name of a dataset, for instance majaj.")
]
Options = Annotated[
    list[str] | None,
    typer.Argument(metavar="OPTION=VALUE", help="Options of the dataset, for instance source=real."),
]


@app.callback(invoke_without_command=True)
@command
def datasets(context: typer.Context, output: Output) -> None:
    """List the datasets with shape, labels, source, size, license and citation.

    Example: simopt datasets
    """
    if context.invoked_subcommand is not None:
        return
    from simopt import datasets as catalogue
    from simopt.app.terminal.tables import datasets_table

    cards = [catalogue.describe(name) for name in catalogue.names()]
    output.deliver(cards, lambda: [datasets_table(cards)])


@app.command()
@command
def fetch(name: Name, as_json: AsJson = False) -> None:
    """Download a recording, check its files and read it.

    The files are stored in the folder $SIMOPT_DATA or, if it is not set, in your user cache.

    Example: simopt datasets fetch majaj
    """
    from simopt import datasets as catalogue
    from simopt.datasets.fetch import folder

    recording = catalogue.recording(name)
    with download_bar(name) as progress:
        dataset = recording.real(progress)
    shape = list(dataset.responses.shape)
    files = [str(folder(name) / file.name) for file in recording.files]
    if as_json:
        print_json({"name": name, "shape": shape, "files": files})
    else:
        say(f"{name}: {' x '.join(map(str, shape))}", *files)


@app.command()
@command
def show(
    output: Output,
    name: Recording,
    options: Options = None,
    figure: FigureFile = None,
    config_dir: ConfigDir = None,
) -> None:
    """Show the spectrum and labels of a dataset or a file.

    The output includes the participation ratio, and how well each label can be decoded from the data.

    Example: simopt datasets show recording.h5 --figure spectrum.png
    """
    from simopt import catalogue
    from simopt.app.config import settings
    from simopt.app.terminal.tables import dataset_table
    from simopt.workflows.data import Data

    settings.own_code()
    overrides = [f"dataset.{option}" for option in options or []]
    chosen, _ = settings.dataset_options(overrides, "give an option of the dataset as OPTION=VALUE.")
    if name == "file":
        data = Data(catalogue.node("dataset", name, **chosen))
    else:
        data = settings.named(name, config_dir, **chosen)
    dataset = data.dataset
    card = {**_card(dataset), "order": {key: dataset.labels[key].tolist() for key in data.averaged}}
    if figure is not None:
        from simopt.report.figures import save_spectrum

        save_spectrum(dataset.spectrum(), f"{dataset.name} ({dataset.source})", figure)
    output.deliver(card, lambda: [dataset_table(card)])


def _card(dataset: Dataset) -> dict[str, Any]:
    import numpy as np

    from simopt.analysis.decoding import reference_decoding

    spectrum = dataset.spectrum()
    cumulative = np.cumsum(spectrum)  # (K,), shares of variance; rounding may leave it below 1 by 1e-16
    return {
        "name": dataset.name,
        "source": dataset.source,
        "shape": list(dataset.responses.shape),
        "spectrum": spectrum.tolist(),
        "pcs_holding": {
            str(share): int(np.searchsorted(cumulative, share - 1e-12) + 1) for share in (0.8, 0.9, 0.99)
        },
        "participation_ratio": dataset.participation_ratio(),
        "labels": reference_decoding(dataset),
        "citation": dataset.citation,
    }
