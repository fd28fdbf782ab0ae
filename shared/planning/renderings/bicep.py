"""A Bicep file with the generated rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shared.planning.renderings.template import NSG_TYPE, Reference, template_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.planning.generation import GeneratedRules


def render_bicep(generated: GeneratedRules) -> str:
    """Write the file; every parameter has the intent's value as its default."""
    template = template_of(generated)
    lines = [f"// {line}" for line in template.heading]
    for parameter in template.parameters:
        kind = "string[]" if isinstance(parameter.default, list) else "string"
        lines += [
            "",
            f"@description({quoted(parameter.description)})",
            f"param {parameter.name} {kind} = {value_of(parameter.default)}",
        ]
    lines += [
        "",
        f"resource networkSecurityGroup '{NSG_TYPE}@{template.api_version}' = {{",
        "  name: networkSecurityGroupName",
        "  location: location",
        "  properties: {",
        "    securityRules: [",
        *(f"      {line}" for rule in template.security_rules for line in rule_lines(rule)),
        "    ]",
        "  }",
        "}",
        "",
        "output networkSecurityGroupId string = networkSecurityGroup.id",
    ]
    return "\n".join(lines) + "\n"


def rule_lines(rule: dict[str, Any]) -> Iterator[str]:
    """Yield one rule's lines."""
    yield "{"
    yield f"  name: {quoted(rule['name'])}"
    yield "  properties: {"
    for field, value in rule["properties"].items():
        yield f"    {field}: {value_of(value)}"
    yield "  }"
    yield "}"


def value_of(value: Any) -> str:
    """Spell one value: a reference, a number, a string or a list of strings."""
    if isinstance(value, Reference):
        return value.parameter
    if isinstance(value, list):
        return f"[{', '.join(quoted(item) for item in value)}]"
    return quoted(value) if isinstance(value, str) else str(value)


def quoted(text: str) -> str:
    r"""Spell a string: `\`, `'` and `${` are escaped, as Bicep's grammar demands."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'").replace("${", "\\${") + "'"
