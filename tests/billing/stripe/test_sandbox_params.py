"""Form-encoded parameters: read by type, and refused as Stripe refuses them."""

from typing import Any

import pytest

from billing.sandbox import params
from billing.sandbox.refusals import RefusalError

READERS: dict[str, params.Reader] = {
    "text": params.text(5, may_be_empty=False),
    "number": params.integer,
    "flag": params.boolean,
    "rate": params.decimal,
    "word": params.choice("red", "blue"),
    "currency": params.currency,
    "metadata": params.metadata,
    "point": params.hash_of({"x": params.integer}, required=("x",)),
    "points": params.list_of(params.hash_of({"x": params.integer}), limit=2),
    "created": params.bounds,
}


def read(body: str) -> Any:
    return params.read_params(params.decode_form(body), READERS)


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("", {}),
        ("text=a+b&number=-5&flag=true", {"text": "a b", "number": -5, "flag": True}),
        ("rate=1.25&word=red&currency=usd", {"rate": "1.25", "word": "red", "currency": "usd"}),
        ("metadata[a]=1&metadata[b]=", {"metadata": {"a": "1", "b": ""}}),
        ("metadata=", {"metadata": {}}),
        ("point[x]=1", {"point": {"x": 1}}),
        ("points[0][x]=1&points[1][x]=2", {"points": [{"x": 1}, {"x": 2}]}),
        ("points=", {"points": []}),
        ("created=7", {"created": {"gte": 7, "lte": 7}}),
        ("created[gt]=1&created[lt]=9", {"created": {"gt": 1, "lt": 9}}),
    ],
)
def test_parameters_are_read_with_their_types(body: str, found: dict[str, Any]) -> None:
    assert read(body) == found


@pytest.mark.parametrize(
    "body",
    [
        "text",
        "text=%ff",
        "text[=1",
        "text=a&text[b]=1",
        "text[a]=1",
        "text=",
        "text=longer",
        "number=1.5",
        "number=999999999999999",
        "flag=yes",
        "rate=1e3",
        "word=green",
        "currency=USD",
        "metadata=x",
        f"metadata[{'k' * 41}]=1",
        f"metadata[a]={'v' * 501}",
        "metadata[a][b]=1",
        "&".join(f"metadata[k{number}]=1" for number in range(51)),
        "point=1",
        "point[y]=1",
        "point[x]=1&point[y]=1",
        "points[1][x]=1",
        "points[0][x]=1&points[1][x]=1&points[2][x]=1",
        "unknown=1",
    ],
)
def test_parameters_that_stripe_would_refuse_are_refused_and_not_saved(body: str) -> None:
    with pytest.raises(RefusalError) as caught:
        read(body)
    assert (caught.value.status, caught.value.is_saved) == (400, False)


def test_a_required_parameter_is_asked_for_by_name() -> None:
    with pytest.raises(RefusalError, match=r"Missing required param: point\[x\]\."):
        params.hash_of({"x": params.integer}, required=("x",))({}, "point")
