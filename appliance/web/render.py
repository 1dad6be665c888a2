"""Views as HTML. Whatever a view says is text: it is cleaned and escaped on its way."""

from functools import cache
from hashlib import sha256
from pathlib import Path
from secrets import token_hex

from jinja2 import Environment, PackageLoader, StrictUndefined

from appliance.frontend import outlook, units
from appliance.frontend.clusters import api_text, backend_text, cluster_standing, is_trouble, node_text, ready_text
from appliance.frontend.pace import pace, place_text
from appliance.frontend.words import identity_text, lease_left, link_text, pool_text
from appliance.manual import help as manual
from appliance.model.standing import STANDINGS, Standing, standing
from appliance.model.text import clean

_STATIC = Path(__file__).with_name("static")
_LONGEST = 2000
_UNKNOWN = token_hex(8)
CSRF, WHO, ROLE = (f"{name}-{_UNKNOWN}" for name in ("csrf", "who", "role"))
"""What is another thing for each viewer stands in the pages as a word that nobody else can write: a part is drawn once
for all."""

GLYPHS: dict[Standing, str] = {
    Standing.FAILED: "✖",
    Standing.HELD: "■",
    Standing.SILENT: "?",
    Standing.DEGRADED: "!",
    Standing.STUCK: "▲",
    Standing.RUNNING: "▶",
    Standing.RESCUE: "✚",
    Standing.IDLE: "○",
    Standing.ACTIVE: "●",
    Standing.UNKNOWN: "·",
    Standing.RETIRED: "-",
}
"""Colour alone never says it."""


def render(template: str, **context: object) -> str:
    return _environment().get_template(f"{template}.html.j2").render(**context)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("templates", "web"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters.update(
        said=_said,
        duration=units.duration,
        moment=units.moment,
        clock=units.clock,
        size=units.size,
        rate=units.rate,
    )
    environment.globals.update(
        percent=units.percent,
        measure=units.measure,
        pace=pace,
        place_text=place_text,
        outlook=outlook,
        pool_text=pool_text,
        lease_left=lease_left,
        standing=standing,
        identity_text=identity_text,
        api_text=api_text,
        backend_text=backend_text,
        cluster_standing=cluster_standing,
        node_text=node_text,
        node_trouble=is_trouble,
        ready_text=ready_text,
        link_text=link_text,
        standings=STANDINGS,
        glyphs=GLYPHS,
        asset=_asset,
        manual=manual,
        csrf=CSRF,
        who=WHO,
        role=ROLE,
    )
    return environment


def _said(text: object, limit: int = _LONGEST) -> str:
    return clean(str(text), limit)


@cache
def _asset(name: str) -> str:
    """Its address, which is another one when its content is: a browser may keep it for ever."""
    return f"/static/{name}?v={sha256((_STATIC / name).read_bytes()).hexdigest()[:12]}"
