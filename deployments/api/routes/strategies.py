"""The routes of strategies: what jobs there can be, and a sample of their input."""

from fastapi import APIRouter
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from batch_jobs.deployments.api.authentication import holding
from batch_jobs.deployments.api.authorization import Caller, Right
from batch_jobs.deployments.api.dependencies import Parts
from batch_jobs.deployments.api.errors import NothingThere
from batch_jobs.deployments.api.openapi import STRATEGIES, refusals
from batch_jobs.strategies.sdk.errors import StrategyUnknown

router = APIRouter(prefix="/admin/batch-jobs/strategies", tags=["strategies"])


@router.get(
    "",
    summary="List what jobs there can be",
    response_class=JSONResponse,
    responses={200: STRATEGIES, **refusals(401, 403)},
)
@holding(Right.READ)
def list_strategies(api: Parts, caller: Caller) -> Response:
    """Each type that the key is for, with the JSON schema of its context."""
    found = sorted(api.workspace.strategies.by_type.items())
    shown = [
        {
            "type": batch_type,
            "identifier": strategy.identifier,
            "description": strategy.description(),
            "context": strategy.Context.model_json_schema(),
        }
        for batch_type, strategy in found
        if caller.may_type(batch_type)
    ]
    return JSONResponse({"strategies": shown})


@router.get(
    "/{batch_type}/template",
    summary="Get a sample input",
    response_class=PlainTextResponse,
    responses={200: {"description": "A file that can be imported as it is"}, **refusals(401, 403, 404)},
)
@holding(Right.READ)
def template(batch_type: str, api: Parts, caller: Caller) -> Response:
    """A sample input of a strategy that works as it is."""
    if not caller.may_type(batch_type):
        raise StrategyUnknown(batch_type, [], 0)
    sample = api.workspace.strategies.get(batch_type).build_template()
    if not sample:
        raise NothingThere(f"{batch_type} reads no file, so it has no template")
    return PlainTextResponse(sample)
