"""The local Functions host behaves as the one in Azure does."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import azure.functions as func
import httpx
import pytest

from local.functions import load_functions
from local.host import FunctionsHost
from tests import ROOT
from tests.conftest import free_ports, serving

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)


@app.route("echo/{name?}", methods=["POST", "PUT"])
def echo(req: func.HttpRequest) -> func.HttpResponse:
    seen = {
        "method": req.method,
        "url": req.url,
        "query": dict(req.params),
        "route": dict(req.route_params),
        "header": req.headers.get("X-Several"),
        "body": req.get_body().hex(),
    }
    return func.HttpResponse(json.dumps(seen), mimetype="application/json")


@app.route("binary", auth_level=func.AuthLevel.ANONYMOUS)
async def binary(req: func.HttpRequest) -> func.HttpResponse:
    headers = {"X-Answer": "42", "Set-Cookie": "a=b; Path=/"}
    return func.HttpResponse(b"\x00\xff", status_code=203, headers=headers, mimetype="image/png")


@app.route("text", methods=["GET"])
def text(req: func.HttpRequest) -> str:
    return "grüezi"


@app.route("fails", methods=["GET"])
def fails(req: func.HttpRequest) -> func.HttpResponse:
    raise RuntimeError("on purpose")


@app.timer_trigger(schedule="0 */15 * * * *", arg_name="timer")
def tick(timer: func.TimerRequest) -> None:
    """Not for HTTP."""


FUNCTIONS = load_functions(__name__)


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with serving(FunctionsHost(FUNCTIONS, "api").application()) as client:
        yield client


@pytest.fixture(scope="module")
def keyed_client() -> Iterator[httpx.Client]:
    with serving(FunctionsHost(FUNCTIONS, "api", "sesame").application()) as client:
        yield client


def test_a_function_sees_the_request_as_in_azure(client) -> None:
    answer = client.put(
        "/API/echo/Lustre?a=1&a=2&b=%20",
        content=b"\x00\x01",
        headers=[("X-Several", "one"), ("X-Several", "two")],
    )
    assert answer.json() == {
        "method": "PUT",
        "url": f"{client.base_url}/API/echo/Lustre?a=1&a=2&b=%20",
        "query": {"a": "1,2", "b": " "},
        "route": {"name": "Lustre"},
        "header": "one,two",
        "body": "0001",
    }


def test_a_caller_sees_the_answer_as_from_azure(client) -> None:
    answer = client.delete("/api/binary")
    assert (answer.status_code, answer.content) == (203, b"\x00\xff")
    assert answer.headers["x-answer"] == "42"
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["set-cookie"] == "a=b; Path=/"


def test_a_string_is_plain_text(client) -> None:
    assert client.get("/api/text").text == "grüezi"


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/"), ("GET", "/api/nothing"), ("GET", "/api/echo"), ("HEAD", "/api/text")],
)
def test_an_unknown_route_or_method_is_an_empty_404(client, method, path) -> None:
    answer = client.request(method, path)
    assert (answer.status_code, answer.content) == (404, b"")


def test_a_failing_function_is_an_empty_500_and_logged(client, caplog) -> None:
    answer = client.get("/api/fails")
    assert (answer.status_code, answer.content) == (500, b"")
    assert "RuntimeError: on purpose" in caplog.text


def test_a_call_is_logged_with_its_invocation_id(client, caplog) -> None:
    caplog.set_level("INFO", "local.host")
    client.get("/api/text")
    assert "Executed 'Functions.text' (Succeeded, Id=" in caplog.text


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/api/text", {}, 401),
        ("/api/text", {"x-functions-key": "wrong"}, 401),
        ("/api/text", {"x-functions-key": "sesame"}, 200),
        ("/api/text?code=sesame", {}, 200),
        ("/api/binary", {}, 203),
        ("/admin/functions", {}, 401),
        ("/admin/functions?code=sesame", {}, 200),
    ],
)
def test_keys_are_asked_for_where_the_host_is_told_to(keyed_client, path, headers, status) -> None:
    assert keyed_client.get(path, headers=headers).status_code == status


def test_a_body_over_the_hosts_limit_is_413(client, monkeypatch) -> None:
    monkeypatch.setattr("local.host.BODY_LIMIT", 10)
    assert client.post("/api/echo", content=b"x" * 11).status_code == 413
    assert client.post("/api/echo", content=b"x" * 10).status_code == 200


def test_the_functions_are_listed(client) -> None:
    listed = {f["name"]: f for f in client.get("/admin/functions").json()}
    assert sorted(listed) == ["binary", "echo", "fails", "text", "tick"]
    assert listed["text"]["invoke_url_template"] == f"{client.base_url}/api/text"
    assert listed["tick"]["invoke_url_template"] is None
    assert listed["tick"]["config"]["bindings"][0]["schedule"] == "0 */15 * * * *"


def test_the_functions_are_described_at_start() -> None:
    lines = list(FunctionsHost(FUNCTIONS).describe("http://h"))
    assert "echo: [POST,PUT] http://h/api/echo/{name?}" in lines
    assert "binary: [*] http://h/api/binary" in lines
    assert "tick: timerTrigger" in lines


def test_a_module_without_one_app_is_refused() -> None:
    with pytest.raises(ValueError, match="defines 0 function apps"):
        load_functions("tests.intents")


def test_every_function_of_the_app_but_health_asks_for_a_key() -> None:
    open_to_all = {f.name for f in load_functions() if f.is_http and not f.needs_key}
    assert open_to_all == {"health"}


class TestProgram:
    """`python -m local`, as `dev.py run` starts it."""

    @pytest.fixture
    def port(self) -> int:
        return free_ports(1)[0]

    @pytest.fixture
    def start(self, port) -> Iterator:
        started: list[subprocess.Popen[str]] = []

        def start(*options: str, output: int = subprocess.PIPE) -> subprocess.Popen[str]:
            # a port of its own for the embedded Azure, too: other programs of these tests run beside
            ports = ["--port", str(port), "--arm-port", str(free_ports(1)[0])]
            command = [sys.executable, "-m", "local", *ports, *options]
            # without the settings of a service that other tests have in this process
            ours = ("AMLFS_", "AzureWeb")
            environment = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
            )
            started.append(process)
            return process

        yield start
        for process in started:
            process.terminate()
            process.communicate(timeout=20)

    @staticmethod
    def wait(url: str, **request) -> httpx.Response:
        for _ in range(100):
            try:
                return httpx.get(url, **request)
            except httpx.TransportError:
                time.sleep(0.1)
        raise AssertionError(f"{url} does not answer")

    @pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one process")
    @pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
    def test_it_serves_prints_its_routes_and_ends_cleanly(self, port, start, how) -> None:
        process = start()
        assert self.wait(f"http://127.0.0.1:{port}/api/health").status_code == 200
        process.send_signal(how)
        said, _ = process.communicate(timeout=10)
        assert f"rules: [POST] http://127.0.0.1:{port}/api/rules" in said
        assert "Executed 'Functions.health' (Succeeded" in said
        assert "Traceback" not in said

    def test_a_taken_port_is_said_clearly(self, port, start) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", port))
            taken.listen()
            process = start()
            said, _ = process.communicate(timeout=20)
        assert process.returncode == 1
        assert f"Port {port} cannot be used" in said
        assert "--port" in said

    def test_a_key_is_asked_for_on_demand(self, port, start) -> None:
        start("--function-key", "sesame")
        self.wait(f"http://127.0.0.1:{port}/api/health")
        rules = f"http://127.0.0.1:{port}/api/rules"
        assert httpx.post(rules).status_code == 401
        assert httpx.post(rules, headers={"x-functions-key": "sesame"}).status_code == 400

    def test_watching_it_reloads_when_a_file_changes(self, port, start) -> None:
        process = start("--watch")
        assert self.wait(f"http://127.0.0.1:{port}/api/health").status_code == 200
        (ROOT / "function_app.py").touch()
        time.sleep(2)
        assert self.wait(f"http://127.0.0.1:{port}/api/health").status_code == 200
        process.terminate()
        said, _ = process.communicate(timeout=20)
        assert "Reloading" in said


class TestIsolated:
    """`python -m local --isolated`: every function in processes of its own."""

    port = TestProgram.port
    start = TestProgram.start
    wait = staticmethod(TestProgram.wait)

    @staticmethod
    def workers(process: subprocess.Popen[str]) -> list[int]:
        """The ids of a host's worker processes."""
        found = []
        for entry in (one.name for one in Path("/proc").iterdir()):
            with contextlib.suppress(OSError, IndexError, ValueError):
                status = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()
                if int(status[1]) == process.pid and status[0] != "Z":
                    found.append(int(entry))
        return found

    @pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="it looks into /proc")
    @pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
    def test_workers_are_in_the_group_and_end_with_the_host(self, port, start, how) -> None:
        process = start("--isolated", "--instances", "1", "--no-estate")
        assert self.wait(f"http://127.0.0.1:{port}/api/health").status_code == 200
        workers = self.workers(process)
        assert workers
        assert {os.getpgid(worker) for worker in workers} == {os.getpgid(process.pid)}
        process.send_signal(how)
        process.wait(20)
        end = time.monotonic() + 20
        while any(is_alive(worker) for worker in workers):
            assert time.monotonic() < end, "a worker outlives its host"
            time.sleep(0.05)

    @pytest.mark.timeout(300)
    def test_it_answers_as_one_process_does(self, port, start) -> None:
        # nobody reads its output, and it would wait when a pipe is full
        start("--isolated", "--function-key", "sesame", output=subprocess.DEVNULL)
        address = f"http://127.0.0.1:{port}"
        self.wait(f"{address}/api/health", timeout=30)
        rules = f"{address}/api/rules?format=csv"
        body = json.loads((ROOT / "examples/east-us.json").read_bytes())
        assert httpx.post(rules, json=body, timeout=30).status_code == 401
        key = {"x-functions-key": "sesame"}
        several = [httpx.post(rules, json=body, headers=key, timeout=30) for _ in range(4)]
        assert {answer.status_code for answer in several} == {200}
        assert len({answer.text for answer in several}) == 1, "both instances say the same"
        assert several[0].headers["content-type"].startswith("text/csv")
        location = httpx.post(
            f"{address}/api/apply",
            json=json.loads((ROOT / "examples/lustre-b.json").read_bytes()),
            headers={**key, "Prefer": "respond-async"},
            timeout=30,
        ).headers["location"]
        assert location.startswith(f"{address}/api/operations/"), "as the caller spelled the host"
        end = time.monotonic() + 200  # its twenty processes start meanwhile
        while (answer := httpx.get(location, headers=key, timeout=30)).status_code == 202:
            assert time.monotonic() < end
            time.sleep(0.2)
        assert answer.json()["applied"] is True


def test_an_emulator_that_is_not_there_is_said_clearly() -> None:
    nowhere = f"http://127.0.0.1:{free_ports(1)[0]}"
    arguments = ["--port", str(free_ports(1)[0]), "--azure", nowhere]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("AMLFS_")}
    done = subprocess.run(
        [sys.executable, "-m", "local", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "dev.py azure" in done.stderr


def is_alive(process: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{process}/stat").read_text().rpartition(")")[2][:4]
    except OSError:
        return False
