"""Self-contained HTML pages: one style, embedded pictures, no external resources."""

from base64 import b64encode
from importlib.resources import files

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

__all__ = ["embedded", "page"]


def page(template: str, **values: object) -> str:
    """Return an HTML page from a template of this package; values are escaped."""
    folder = files("analysis.evaluation")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    style = Markup(folder.joinpath("page.css").read_text(encoding="utf-8"))  # noqa: S704 - our own file
    source = folder.joinpath(template).read_text(encoding="utf-8")
    return environment.from_string(source).render(style=style, **values)


def embedded(picture: bytes) -> str:
    """Return an SVG document as the source of an image."""
    return f"data:image/svg+xml;base64,{b64encode(picture).decode()}"
