"""Route templates, read as ASP.NET Core reads them."""

from __future__ import annotations

import pytest

from local.routes import compile_route

GUID = "0b1f6471-1bf0-4dda-aec3-cb9272f09590"


@pytest.mark.parametrize(
    ("template", "path", "parameters"),
    [
        ("api/rules", "/api/rules", {}),
        ("api/rules", "/API/Rules/", {}),
        ("api/rules", "/api/rules/x", None),
        ("api/rule.s", "/api/ruleXs", None),
        ("api/guards/{name}", "/api/guards/lustre-1", {"name": "lustre-1"}),
        ("api/guards/{name}", "/api/guards", None),
        ("api/guards/{name}", "/api/guards/a/b", None),
        ("api/guards/{name?}", "/api/guards", {}),
        ("api/n/{id:int}", "/api/n/12", {"id": "12"}),
        ("api/n/{id:int}", "/api/n/x", None),
        ("api/o/{id:guid}", f"/api/o/{GUID}", {"id": GUID}),
        ("api/o/{id:guid}", "/api/o/12", None),
        ("api/files/{*rest}", "/api/files/a/b", {"rest": "a/b"}),
        ("api/files/{*rest}", "/api/files", {}),
    ],
)
def test_a_path_matches_a_template(template, path, parameters) -> None:
    assert compile_route(template).match(path) == parameters


@pytest.mark.parametrize("template", ["api/{id:even}", "api/{a}{b}", "api/x{a}"])
def test_what_is_not_understood_is_refused(template) -> None:
    with pytest.raises(ValueError, match="route"):
        compile_route(template)


def test_literal_routes_are_tried_first() -> None:
    templates = ["api/{*rest}", "api/guards/{name}", "api/guards/health", "api/rules"]
    ordered = sorted(map(compile_route, templates), key=lambda route: route.specificity)
    assert [route.template for route in ordered][-1] == "api/{*rest}"
    order = [route.template for route in ordered]
    assert order.index("api/guards/health") < order.index("api/guards/{name}")
