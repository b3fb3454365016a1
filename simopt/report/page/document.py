"""A page that stands alone: sections of tables and plots in one HTML file; the same content, the same bytes.

It loads nothing, and tells the browser so: the content security policy allows no address, and no script but
the two of the page, by their hashes.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from simopt import __version__, checks
from simopt.errors import InputError
from simopt.report.page.markup import data, figure, text
from simopt.report.page.plots import Plot
from simopt.store.whole import put

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable


class Document:
    """Sections of a page, in the order in which they are added, and the plots in them."""

    def __init__(self) -> None:
        self.plots: list[Plot] = []
        self.sections: list[tuple[str, str, str]] = []

    def section(self, name: str, heading: str, content: str) -> None:
        """Add a section, an id, a heading as text and its content as HTML, that the menu leads to."""
        self.sections.append((name, heading, content))

    def figure(self, plot: Plot, level: int = 3) -> str:
        """Return the HTML of a plot, its heading of a level."""
        self.plots.append(plot)
        return figure(len(self.plots) - 1, plot.title, plot.sentence, level)

    def drawn(self, name: str, heading: str, plots: Iterable[Plot]) -> None:
        """Add a section of plots, if there are any."""
        content = "".join(map(self.figure, plots))
        if content:
            self.section(name, heading, content)

    def save(self, title: str, path: Path) -> Path:
        """Write the page, its folder made if need be, and return its path.

        Raises
        ------
        InputError
            Another suffix than .html, plotly is not installed, or the file cannot be written.
        """
        checks.suffix(path, ".html")
        page = self._filled(title)
        try:
            put(path, page.encode("utf-8", "backslashreplace"))
        except OSError as error:
            raise InputError(
                f"{path}: cannot be written ({(error.strerror or str(error)).lower()})."
            ) from error
        return path

    def _filled(self, title: str) -> str:
        package = resources.files(__package__)
        try:
            folder = resources.files("plotly")
        except ModuleNotFoundError as error:
            raise InputError(
                'a page needs plotly, which is not installed: pip install "simopt[html]".'
            ) from error
        plotly = folder.joinpath("package_data", "plotly.min.js").read_text("utf-8")
        scripts = [each.replace("</script", "<\\/script") for each in (plotly, _own(package, "page.js"))]
        hashes = " ".join(map(_hash, scripts))
        return Template(_own(package, "page.html")).substitute(
            title=text(title),
            hashes=hashes,
            style=_own(package, "page.css"),
            nav="".join(f'<a href="#{name}">{text(heading)}</a>' for name, heading, _ in self.sections),
            body="\n".join(
                f'<section aria-labelledby="{name}"><h2 id="{name}" tabindex="-1">{text(heading)}</h2>\n'
                f"{content}</section>"
                for name, heading, content in self.sections
            ),
            footer=text(f"Made by simopt {__version__}, with plotly {version('plotly')}. Nothing is loaded."),
            plots=data([plot.as_json() for plot in self.plots]),
            plotly=scripts[0],
            script=scripts[1],
        )


def _own(package: Traversable, name: str) -> str:
    return package.joinpath(name).read_text("utf-8")


def _hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
