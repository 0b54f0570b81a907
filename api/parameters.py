"""What a request asks for, checked: unknown or repeated parameters are refused, not ignored."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel
from starlette.requests import Request

from api.errors import Problem

M = TypeVar("M", bound=BaseModel)
LONGEST = 128


def asked(request: Request, model: type[M]) -> M:
    """The query as a model. Raises `ValidationError`, or `Problem` 422 for a name it lacks."""
    given = request.query_params.multi_items()
    for name in dict(given):
        if name not in model.model_fields:
            known = ", ".join(sorted(model.model_fields))
            raise Problem(422, "invalid", f"there is no parameter {name[:64]!r} (known: {known})")
    if len(given) != len(dict(given)):
        raise Problem(422, "invalid", "a parameter is given twice")
    return model.model_validate(dict(given))


def named(request: Request, name: str) -> str:
    """A part of the path. Raises `Problem` 404 for what can name nothing."""
    value = str(request.path_params[name])
    if len(value) > LONGEST or not value.isprintable():
        raise Problem(404, f"unknown_{name}", f"there is no {name} of that name")
    return value
