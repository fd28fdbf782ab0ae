"""Route templates as the Functions host reads them: ASP.NET Core's, without case.

Source: "Azure Functions HTTP trigger", Microsoft Learn, "Customize the HTTP endpoint".
"""

from __future__ import annotations

import re
from dataclasses import dataclass

CONSTRAINTS = {
    None: r"[^/]+",
    "alpha": r"[A-Za-z]+",
    "int": r"-?[0-9]+",
    "guid": r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}",
}
PARAMETER = re.compile(r"\{(\*?)(\w+)(?::(\w+))?(\??)\}")


@dataclass(frozen=True, slots=True)
class Route:
    """A compiled template.

    Attributes:
        template: as the function declares it, behind the route prefix.
        pattern: matches a whole path without its leading slash.
    """

    template: str
    pattern: re.Pattern[str]

    def match(self, path: str) -> dict[str, str] | None:
        """Return the route parameters of a path, or None where it is another route's."""
        found = self.pattern.fullmatch(path.strip("/"))
        if found is None:
            return None
        return {name: value for name, value in found.groupdict().items() if value is not None}

    @property
    def specificity(self) -> tuple[int, ...]:
        """Orders routes: literal segments are tried before parameters, catch-alls last."""
        segments = self.template.split("/")
        return tuple(
            2 if part.startswith("{*") else 1 if part.startswith("{") else 0 for part in segments
        )


def compile_route(template: str) -> Route:
    """Compile a template; raises `ValueError` for what this host does not understand."""
    pattern = ""
    for segment in template.strip("/").split("/"):
        parameter = PARAMETER.fullmatch(segment)
        if parameter is None:
            if "{" in segment:
                raise ValueError(f"route {template!r}: cannot read the segment {segment!r}")
            pattern += "/" + re.escape(segment)
            continue
        catch_all, name, constraint, optional = parameter.groups()
        if constraint not in CONSTRAINTS:
            raise ValueError(f"route {template!r}: unknown constraint {constraint!r}")
        group = f"/(?P<{name}>{'.*' if catch_all else CONSTRAINTS[constraint]})"
        pattern += f"(?:{group})?" if catch_all or optional else group
    return Route(template, re.compile(pattern.removeprefix("/"), re.IGNORECASE))
