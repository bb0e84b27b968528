"""A self-contained HTML5 document: its template, style, script, and the policy that shuts it off."""

import base64
import functools
import hashlib
from importlib.resources import files

import jinja2

from sde_jax.errors import InputError


def document(template: str, title: str, **parts: object) -> str:
    """The document that `template` makes of `parts`, to be written as UTF-8.

    Images, style and script are within it, and its Content-Security-Policy lets it load nothing and run nothing
    else. Every string appears as text. Raises InputError where the title is empty.
    """
    if not title.strip():
        raise InputError("the page's title is empty; expected a name")
    script = _resource("page.js")
    page = _template(template).render(
        title=title, policy=_policy(script), style=_resource("page.css"), script=script, **parts
    )
    # A name from the command line may hold a byte that is not UTF-8, which Python keeps as a lone surrogate.
    return page.encode("utf-8", "replace").decode("utf-8")


def _resource(name: str) -> str:
    return files("sde_jax.report").joinpath(name).read_text("utf-8")


@functools.cache
def _template(name: str) -> jinja2.Template:
    loader = jinja2.FunctionLoader(_resource)
    return jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, loader=loader).get_template(name)


def _policy(script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'"
    )
