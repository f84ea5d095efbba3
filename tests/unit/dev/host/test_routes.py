import pytest

from dev.host.routes import match_route, parse_route


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
        ("api/{*rest}", "/api", {}),
        ("api/{*rest}", "/api/a/b/c", {"rest": "a/b/c"}),
        ("api/{**rest}", "/api/a/b", {"rest": "a/b"}),
        ("{*rest}", "/", {}),
        ("{*rest}", "/a/b", {"rest": "a/b"}),
        ("{*rest}", "/a%0Ab", {"rest": "a\nb"}),
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
        ("/items/x", "parameter"),
        ("/items/x/y", "rest"),
        ("/items", "rest"),
        ("/", "everything"),
        ("/item", "everything"),
    ],
)
def test_the_most_specific_route_wins(path: str, name: str) -> None:
    routes = [
        parse_route("everything", "{*path}"),
        parse_route("rest", "items/{*rest}"),
        parse_route("parameter", "items/{id}"),
        parse_route("literal", "items/new"),
    ]
    found = match_route(routes, "GET", path)
    assert found is not None
    assert found[0].name == name


def test_methods_choose_between_functions_of_one_route() -> None:
    routes = [parse_route("read", "x", ["get"]), parse_route("write", "x", ["POST", "PUT"])]
    found = [match_route(routes, method, "/x") for method in ("GET", "PUT", "HEAD")]
    assert [route and route[0].name for route in found] == ["read", "write", None]


@pytest.mark.parametrize("template", ["x/{id:int}", "x/{id?}", "x/{id", "x/{a}.{b}"])
def test_a_template_that_cannot_be_matched_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match="route"):
        parse_route("f", template)
