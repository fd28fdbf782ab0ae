"""An ARM template with the generated rules."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from shared.planning.renderings.template import NSG_TYPE, Reference, template_of

if TYPE_CHECKING:
    from shared.planning.generation import GeneratedRules

SCHEMA = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"


def render_arm(generated: GeneratedRules) -> str:
    """Write the template; every parameter has the intent's value as its default."""
    template = template_of(generated)
    document = {
        "$schema": SCHEMA,
        "contentVersion": "1.0.0.0",
        "metadata": {"description": " ".join(template.heading)},
        "parameters": {
            parameter.name: {
                "type": "array" if isinstance(parameter.default, list) else "string",
                "defaultValue": literal(parameter.default),
                "metadata": {"description": parameter.description},
            }
            for parameter in template.parameters
        },
        "resources": [
            {
                "type": NSG_TYPE,
                "apiVersion": template.api_version,
                "name": "[parameters('networkSecurityGroupName')]",
                "location": "[parameters('location')]",
                "properties": {"securityRules": [literal(r) for r in template.security_rules]},
            }
        ],
        "outputs": {
            "networkSecurityGroupId": {
                "type": "string",
                "value": f"[resourceId('{NSG_TYPE}', parameters('networkSecurityGroupName'))]",
            }
        },
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def literal(value: Any) -> Any:
    """Spell a value so that ARM takes it as it is: `[` begins an expression, `[[` does not."""
    if isinstance(value, Reference):
        return f"[parameters('{value.parameter}')]"
    if isinstance(value, dict):
        return {key: literal(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [literal(inner) for inner in value]
    return f"[{value}" if isinstance(value, str) and value.startswith("[") else value
