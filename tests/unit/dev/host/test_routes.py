import pytest

from dev.host.routes import match_route, parse_route

GUID = "6b4444c0-0000-4000-8000-000000000001"


@pytest.mark.parametrize(
    ("template", "path", "values"),
    [
        ("api/users", "/api/users", {}),
        ("api/users", "/API/Users/", {}),
        ("api/users", "/api/users/x", None),
        ("api/{name}", "/api/Bob", {"name": "Bob"}),
        ("api/{name}", "/api/a/b", None),
        ("api/{name}", "/api/", None),
        ("api/{name}", "/api/a%20b%C3%A9", {"name": "a bé"}),
        ("api/{name}", "/api/a%2Fb", {"name": "a%2Fb"}),
        ("api/{name?}", "/api", {}),
        ("api/{name?}", "/api/x", {"name": "x"}),
        ("api/{*rest}", "/api", {}),
        ("api/{*rest}", "/api/a/b/c", {"rest": "a/b/c"}),
        ("api/{**rest}", "/api/a/b", {"rest": "a/b"}),
        ("{*rest}", "/", {}),
        ("{*rest}", "/a/b", {"rest": "a/b"}),
        ("n/{id:int}", "/n/-12", {"id": "-12"}),
        ("n/{id:int}", "/n/1x", None),
        ("n/{id:alpha}", "/n/abc", {"id": "abc"}),
        ("n/{id:alpha}", "/n/a1", None),
        ("n/{id:guid}", f"/n/{GUID}", {"id": GUID}),
        ("n/{id:guid}", "/n/6b44", None),
        ("files/{name}.{kind}", "/files/a.txt", {"name": "a", "kind": "txt"}),
        ("a.b", "/axb", None),
    ],
)
def test_a_template_matches(template: str, path: str, values: dict[str, str] | None) -> None:
    found = match_route([parse_route("f", template)], "GET", path)
    assert (found and found[1]) == values


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/items/new", "literal"),
        ("/items/5", "constrained"),
        ("/items/x", "parameter"),
        ("/items/x/y", "rest"),
    ],
)
def test_the_most_specific_route_wins(path: str, name: str) -> None:
    routes = [
        parse_route("rest", "items/{*rest}"),
        parse_route("parameter", "items/{id}"),
        parse_route("constrained", "items/{id:int}"),
        parse_route("literal", "items/new"),
    ]
    found = match_route(routes, "GET", path)
    assert found is not None
    assert found[0].name == name


def test_methods_choose_between_functions_of_one_route() -> None:
    routes = [parse_route("read", "x", ["get"]), parse_route("write", "x", ["POST", "PUT"])]
    found = [match_route(routes, method, "/x") for method in ("GET", "PUT", "HEAD")]
    assert [route and route[0].name for route in found] == ["read", "write", None]


@pytest.mark.parametrize("template", ["x/{id:odd}", "x/{id", "x/{a-b}"])
def test_a_template_that_cannot_be_matched_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match="route"):
        parse_route("f", template)
