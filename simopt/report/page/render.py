"""A document as one HTML file that loads no other file; the same content gives the same bytes.

The content security policy of the page forbids all addresses, and all scripts except the two of the page,
which it identifies by their hashes.
"""

from __future__ import annotations

import base64
import hashlib
from importlib import resources
from importlib.metadata import version
from pathlib import Path

from jinja2 import Environment, PackageLoader
from markupsafe import Markup

from simopt import __version__, checks
from simopt.report.document import Document
from simopt.report.page.plots import DARK, THEME
from simopt.store.errors import writing
from simopt.store.whole import put


def save(document: Document, path: Path) -> Path:
    """Write a document as an HTML page, create its folder if needed, and return its path.

    Raises
    ------
    InputError
        The path does not end in .html, or the file cannot be written.
    """
    checks.suffix(path, ".html")
    environment = Environment(loader=PackageLoader("simopt.report", "page"), autoescape=True)
    # NaN is not JSON: the page must fail here, and not in the browser.
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    package = resources.files(__package__)
    plotly = resources.files("plotly").joinpath("package_data", "plotly.min.js")
    # A "</script" inside a script would end it early; in JavaScript "<\\/" is the same text.
    scripts = [
        Markup(file.read_text("utf-8").replace("</script", "<\\/script"))
        for file in (plotly, package.joinpath("page.js"))
    ]
    page = environment.get_template("page.html").render(
        title=document.title,
        sections=document.sections,
        footer=f"Made by simopt {__version__}, with plotly {version('plotly')}. It loads no files.",
        hashes=Markup(" ".join(map(_hash, scripts))),
        theme=THEME,
        dark=DARK,
        plotly=scripts[0],
        script=scripts[1],
    )
    with writing(path):
        put(path, page.encode("utf-8", "backslashreplace"))
    return path


def _hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
