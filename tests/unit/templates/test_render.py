"""A boot script's template is rendered once per shape: it may print values and loop over lists, and nothing else."""

from pathlib import Path

import jinja2
import jinja2.meta
import pytest
from jinja2 import nodes

import templates
from templates import render

FOLDER = Path(templates.__file__).parent
NAMES = sorted(f"{room}/{path.name}" for room in ("grub", "ipxe") for path in (FOLDER / room).glob("*.j2"))
ALLOWED = (nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.For, nodes.Include, nodes.Const)


@pytest.mark.parametrize("name", NAMES)
def test_template_prints_and_loops_only(name: str) -> None:
    tree = jinja2.Environment(autoescape=False).parse((FOLDER / name).read_text())  # noqa: S701 (parsed, not rendered)
    assert [node for node in tree.find_all(nodes.Node) if not isinstance(node, ALLOWED)] == []
    assert all(not (loop.test or loop.else_ or loop.recursive) for loop in tree.find_all(nodes.For))


@pytest.mark.parametrize("arguments", [(), ("a",), ("a", "%s", "{0}", "\0010\002", "{{ x }}")])
def test_values_are_never_read_as_template(arguments: tuple[str, ...]) -> None:
    values = {"kernel_file": "%(x)s", "initrd_file": "\0011\002{1}", "arguments": arguments}
    quoted = "".join(f" '{word}'" for word in arguments)
    lines = render("grub/run_kernel.cfg.j2", values).splitlines()
    assert lines[:2] == ["echo 'innervate: loading %(x)s'", f"if linux '%(x)s'{quoted}; then"]
    assert lines[2] == "  if initrd '\0011\002{1}'; then boot; fi"


@pytest.mark.parametrize("arguments", [[], ["a"], ["b", "{", "%d"]])
@pytest.mark.parametrize("name", NAMES)
def test_rendered_text_is_what_jinja_makes_of_the_values(name: str, arguments: list[str]) -> None:
    environment = jinja2.Environment(  # noqa: S701 (a boot script, no HTML)
        loader=jinja2.FileSystemLoader(FOLDER), trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    tree = environment.parse((FOLDER / name).read_text())
    lists = {loop.iter.name for loop in tree.find_all(nodes.For) if isinstance(loop.iter, nodes.Name)}
    used = jinja2.meta.find_undeclared_variables(tree) | {"script_url"}
    values = {key: arguments if key in lists else f"{{{key}}}" for key in sorted(used)}
    assert render(name, values) == environment.get_template(name).render(values)


def test_missing_value_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError):
        render("grub/wait.cfg.j2", {"reason": "x"})


def test_order_of_values_does_not_matter() -> None:
    there = render("grub/wait.cfg.j2", {"reason": "x", "seconds": 5})
    assert there == render("grub/wait.cfg.j2", {"seconds": 5, "reason": "x"})
    assert "sleep 5\n" in there
