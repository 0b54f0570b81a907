"""The API's description of itself: OpenAPI, written from the routes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from pydantic import BaseModel
from spectree import Response, SecurityScheme, SpecTree
from spectree.model_adapter.protocol import SchemaMode
from spectree.model_adapter.pydantic_adapter import PydanticModelAdapter
from spectree.models import SecureType, SecuritySchemeData

from api.shapes import Problem
from settings import Role

F = TypeVar("F", bound=Callable[..., Any])

PROBLEM = "application/problem+json"
KEY = "ApiKey"


class Models(PydanticModelAdapter):
    """Describes a model once, however many routes answer with it: a fifth of the API's start."""

    def __init__(self) -> None:
        super().__init__()
        self._described: dict[tuple[object, ...], dict[str, Any]] = {}

    def json_schema(
        self, model: type[Any], *, ref_template: str, mode: SchemaMode = "validation"
    ) -> dict[str, Any]:
        key = (model, ref_template, mode)
        if key not in self._described:
            self._described[key] = super().json_schema(model, ref_template=ref_template, mode=mode)
        return self._described[key]


SPEC = SpecTree(
    "starlette",
    title="Fairhouse",
    version="1",
    path="spec",
    mode="strict",
    model_adapter=cast(Any, Models()),
    naming_strategy=lambda model: model.__name__,
    nested_naming_strategy=lambda _, child: child,
    security_schemes=[
        SecurityScheme(name=KEY, data=SecuritySchemeData(type=SecureType.HTTP, scheme="bearer"))
    ],
)


def describe(
    answer: type[BaseModel],
    *problems: int,
    query: type[BaseModel] | None = None,
    body: type[BaseModel] | None = None,
    headers: type[BaseModel] | None = None,
    role: Role | None = None,
    tag: str,
) -> Callable[[F], F]:
    """Put a route into the description. Validation is the route's own, with our own errors.

    With a `role` it is for services whose API key has it.
    """
    asked = (401, 403) if role else ()
    brought = (400, 413, 415) if body else ()
    said: dict[str, Any] = {
        f"HTTP_{status}": Problem for status in (*problems, *asked, *brought, 503)
    }
    if query is not None or body is not None:
        said["HTTP_422"] = Problem
    made: Callable[[F], F] = SPEC.validate(
        query=query,
        json=body,
        headers=headers,
        security={KEY: []} if role else None,
        resp=Response(HTTP_200=answer, **said),
        tags=(tag,),
        skip_validation=True,
    )
    return made


def openapi() -> dict[str, Any]:
    """The OpenAPI document, with problems under their own media type."""
    document: dict[str, Any] = SPEC.spec
    for path in document["paths"].values():
        for operation in path.values():
            for status, said in operation.get("responses", {}).items():
                content = said.get("content", {})
                if int(status) >= 400 and "application/json" in content:
                    content[PROBLEM] = content.pop("application/json")
    return document
