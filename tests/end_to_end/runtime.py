"""Drives `azure-functions-runtime`, the library that runs the app in Azure on Python 3.13.

The library takes messages as the Functions host sends them. They are protobuf there; it reads
attributes only, so plain objects do.
"""

from __future__ import annotations

import asyncio
import sys
import uuid
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from azure_functions_runtime import handle_event
from azure_functions_runtime.utils.threadpool import (
    start_threadpool_executor,
    stop_threadpool_executor,
)


class Message(SimpleNamespace):
    """Any message; its fields are its attributes, and one of them is the one that is set."""

    def WhichOneof(self, group: str) -> str:  # noqa: N802 - protobuf's name
        return str(self.__dict__.get(f"set_{group}", next(iter(self.__dict__))))


class StatusResult(Message):
    """Success and failure, by the names that the library uses."""

    Failure, Success = "Failure", "Success"


class BindingInfo(Message):
    """Directions and data types, by the numbers that `azure-functions` gives them."""

    undefined, out, inout = 0, 1, 2


class Messages:
    """Makes messages of any type: `protos.InvocationResponse(...)`."""

    StatusResult = StatusResult
    BindingInfo = BindingInfo

    def __getattr__(self, name: str) -> Any:
        return type(name, (Message,), {})


class Runtime:
    """The app in a folder, as Azure runs it."""

    def __init__(self, folder: Path) -> None:
        sys.modules.pop("function_app", None)  # an app is indexed once per import
        start_threadpool_executor()
        self.loop = asyncio.new_event_loop()
        answer = self._send(
            handle_event.worker_init_request,
            worker_init_request=Message(
                capabilities={}, function_app_directory=str(folder), worker_directory=""
            ),
        )
        assert answer.result.status == "Success", answer.result.exception
        found = self._send(handle_event.functions_metadata_request)
        self.functions = {f.name: f for f in found.function_metadata_results}

    def close(self) -> None:
        """Give back what the runtime holds."""
        stop_threadpool_executor()
        self.loop.close()

    def _send(self, handler: Any, **request: Any) -> Any:
        message = SimpleNamespace(
            request=SimpleNamespace(**request),
            properties={"protos": Messages(), "host": "127.0.0.1"},
        )
        return self.loop.run_until_complete(handler(message))

    def invoke(self, name: str, data: Message, argument: str = "req") -> Any:
        """Call a function and return what it returned; fails where it failed."""
        function_id = self.functions[name].function_id
        loaded = self._send(
            handle_event.function_load_request,
            function_load_request=Message(function_id=function_id),
        )
        assert loaded.result.status == "Success"
        answer = self._send(
            handle_event.invocation_request,
            invocation_request=Message(
                invocation_id=str(uuid.uuid4()),
                function_id=function_id,
                trace_context=Message(trace_parent="", trace_state="", attributes={}),
                retry_context=Message(retry_count=0, max_retry_count=0, exception=None),
                input_data=[Message(data=data, name=argument, set_rpc_data="data")],
                trigger_metadata={},
            ),
        )
        assert answer.result.status == "Success", answer.result.exception
        return answer.return_value

    def http(self, name: str, body: bytes, **headers: str) -> tuple[int, dict[str, str], bytes]:
        """Call a function with an HTTP trigger; returns status, headers and body."""
        request = Message(
            method="POST",
            url="http://127.0.0.1/api/rules",
            headers={key.replace("_", "-"): value for key, value in headers.items()},
            query={},
            params={},
            nullable_headers={},
            nullable_query={},
            nullable_params={},
            body=Message(bytes=body, set_data="bytes"),
        )
        answer = self.invoke(name, Message(http=request, set_data="http")).http
        return int(answer.status_code), dict(answer.headers), answer.body.bytes
