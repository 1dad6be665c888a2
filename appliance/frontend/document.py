"""Documents to keep, to print and to give away: HTML that needs nothing but itself. Whatever a view says is text."""

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from appliance.frontend import units
from appliance.frontend.words import link_text
from appliance.model.standing import standing
from appliance.model.text import clean

_LONGEST = 2000


def drawn(template: str, **context: object) -> str:
    return _environment().get_template(f"{template}.html.j2").render(**context)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("templates", "document"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters.update(said=_said, duration=units.duration, moment=units.moment, size=units.size)
    environment.globals.update(standing=standing, link_text=link_text)
    return environment


def _said(text: object, limit: int = _LONGEST) -> str:
    return clean(str(text), limit)
