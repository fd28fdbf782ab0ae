"""The functions of an app, read from its `function_app` as the Functions host reads them."""

from __future__ import annotations

import importlib
import inspect
import json
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from azure.functions.decorators.function_app import FunctionRegister
from starlette.concurrency import run_in_threadpool

from local.routes import Route, compile_route

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class LocalFunction:
    """One function with its trigger.

    Attributes:
        name: unique in the app.
        bindings: all bindings as the app declares them, the trigger among them.
        call: the function itself.
    """

    name: str
    bindings: tuple[dict[str, Any], ...]
    call: Callable[..., Any]

    @property
    def trigger(self) -> dict[str, Any]:
        """The binding that triggers it."""
        return next(b for b in self.bindings if b["type"].lower().endswith("trigger"))

    @property
    def is_http(self) -> bool:
        """Whether HTTP requests trigger it."""
        return bool(self.trigger["type"] == "httpTrigger")

    @property
    def methods(self) -> list[str]:
        """The HTTP methods that it answers; none declared means every one."""
        return [str(method).upper() for method in self.trigger.get("methods") or ()]

    @property
    def needs_key(self) -> bool:
        """Whether Azure asks its callers for a key."""
        return str(self.trigger.get("authLevel")).lower() != "anonymous"

    def route(self, prefix: str) -> Route:
        """Return its route behind the app's prefix; the name where it declares none."""
        return compile_route(f"{prefix}/{self.trigger.get('route') or self.name}".strip("/"))

    def outputs(self, kind: str) -> dict[str, dict[str, Any]]:
        """Return its output bindings of a type, by the names of their arguments."""
        found = (b for b in self.bindings if b["type"].lower() == kind and b["name"] != "$return")
        return {binding["name"]: binding for binding in found}

    async def invoke(self, value: Any, **outputs: Any) -> Any:
        """Call it with its trigger's value: a coroutine as one, anything else in a thread."""
        arguments = {self.trigger["name"]: value, **outputs}
        if inspect.iscoroutinefunction(self.call):
            return await self.call(**arguments)
        return await run_in_threadpool(self.call, **arguments)


@cache
def load_functions(module_name: str = "function_app") -> tuple[LocalFunction, ...]:
    """Import an app and return its functions; raises `ValueError` where it has not one app.

    An app can be indexed once per process: a second time its function names count as taken.
    """
    module = importlib.import_module(module_name)
    apps = [value for value in vars(module).values() if isinstance(value, FunctionRegister)]
    if len(apps) != 1:
        raise ValueError(f"{module_name} defines {len(apps)} function apps; one is needed")
    return tuple(
        LocalFunction(
            name=str(function.get_function_name()),
            bindings=tuple(json.loads(binding) for binding in function.get_raw_bindings()),
            call=function.get_user_function(),
        )
        for function in apps[0].get_functions()
    )
