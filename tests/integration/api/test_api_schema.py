"""Requests made from the OpenAPI document, and the answers held against it."""

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.config import SchemathesisConfig

from batch_jobs.deployments.api.app import ROUTERS
from support.api_server import Served

CONFIG = SchemathesisConfig.from_dict(
    {
        "checks": {
            # not all that is wrong can be said in a schema: contexts are the strategy's, a cursor excludes an offset
            "positive_data_acceptance": {"expected-statuses": [200, 201, 204, 400, 401, 403, 404, 409, 415, 422]},
            # a list of too many is most often a body of too many bytes, which is refused before it is read
            "negative_data_rejection": {
                "expected-statuses": [400, 401, 403, 404, 405, 406, 409, 413, 415, 422, 428, 429, "5xx"]
            },
        }
    }
)


#: No input of theirs is wrong by the document.
TAKES_ANYTHING = ("/healthz", "/readyz", "/files/{token}/{name}", "/streams/{token}")
ROUTES = sorted(
    (route.path, method)
    for router in ROUTERS
    for route in router.routes
    if route.include_in_schema
    for method in route.methods
)


@pytest.fixture(scope="module")
def document(shared: Served) -> schemathesis.BaseSchema:
    return schemathesis.openapi.from_url(f"{shared.url}/openapi.json", config=CONFIG)


@pytest.mark.parametrize(("path", "method"), ROUTES, ids=lambda value: value)
def test_every_answer_is_as_the_document_says_and_none_is_a_5xx(
    document: schemathesis.BaseSchema, shared: Served, path: str, method: str
):
    """All checks of Schemathesis, with right and with wrong input."""
    key = {"x-medusa-access-token": shared.keys["root"]}

    @given(case=document[path][method].as_strategy(generation_mode=GenerationMode.POSITIVE))
    @settings(max_examples=8, derandomize=True, suppress_health_check=list(HealthCheck))
    def answer_right(case: schemathesis.Case) -> None:
        case.call_and_validate(headers=key)

    @given(case=document[path][method].as_strategy(generation_mode=GenerationMode.NEGATIVE))
    @settings(max_examples=8, derandomize=True, suppress_health_check=list(HealthCheck))
    def answer_wrong(case: schemathesis.Case) -> None:
        case.call_and_validate(headers=key)

    answer_right()
    if path not in TAKES_ANYTHING:
        answer_wrong()
