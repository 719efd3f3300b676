"""The routes of strategies: what jobs there can be, and a sample of their input."""

from fastapi import APIRouter
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from batch_jobs.deployments.api.auth import Right
from batch_jobs.deployments.api.dependencies import CurrentApi, CurrentCaller, requires
from batch_jobs.deployments.api.errors import NothingThere
from batch_jobs.deployments.api.openapi import STRATEGIES, refusals
from batch_jobs.strategies.sdk.errors import StrategyUnknown

router = APIRouter(prefix="/admin/batch-jobs/strategies", tags=["strategies"])


@router.get(
    "",
    dependencies=[requires(Right.READ)],
    summary="List what jobs there can be",
    response_class=JSONResponse,
    responses={200: STRATEGIES, **refusals(401, 403)},
)
def list_strategies(api: CurrentApi, caller: CurrentCaller) -> Response:
    """Each type that the key is for, with the JSON schema of its context."""
    found = sorted(api.strategies.by_type.items())
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
    dependencies=[requires(Right.READ)],
    summary="Get a sample input",
    response_class=PlainTextResponse,
    responses={200: {"description": "A file that can be imported as it is"}, **refusals(401, 403, 404)},
)
def template(batch_type: str, api: CurrentApi, caller: CurrentCaller) -> Response:
    """A sample input of a strategy that works as it is."""
    if not caller.may_type(batch_type):
        raise StrategyUnknown(batch_type, [], 0)
    sample = api.strategies.get(batch_type).build_template()
    if not sample:
        raise NothingThere(f"{batch_type} reads no file, so it has no template")
    return PlainTextResponse(sample)
