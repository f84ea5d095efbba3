"""One function for each thing the local host must do; ``GET records`` tells what was run."""

import asyncio
import base64
import json
import logging
import time
from typing import Any, List  # noqa: UP035 - the worker does not know list[str] in an Out

import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
records: list[dict[str, object]] = []


def _json(value: object) -> func.HttpResponse:
    return func.HttpResponse(json.dumps(value), mimetype="application/json")


@app.route("records", methods=["GET"])
async def get_records(req: func.HttpRequest) -> func.HttpResponse:
    return _json(records)


@app.route("echo/{name}/{*rest}", methods=["GET", "POST"])
async def echo(req: func.HttpRequest) -> func.HttpResponse:
    return _json(
        {
            "method": req.method,
            "url": req.url,
            "headers": dict(req.headers),
            "params": dict(req.params),
            "route": dict(req.route_params),
            "body": base64.b64encode(req.get_body()).decode(),
        }
    )


@app.route("items/{id}")
async def item(req: func.HttpRequest) -> func.HttpResponse:
    return _json({"item": req.route_params["id"]})


@app.route("items/new")
def new_item(req: func.HttpRequest) -> func.HttpResponse:
    return _json({"item": "new"})


@app.route("locked", auth_level=func.AuthLevel.FUNCTION)
async def locked(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("open")


@app.route("vault", auth_level=func.AuthLevel.ADMIN)
async def vault(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("open")


@app.route("answer")
async def answer(req: func.HttpRequest) -> func.HttpResponse:
    response = func.HttpResponse(b"\x00\xff", status_code=418, mimetype="application/octet-stream")
    response.headers["X-One"] = "1"
    response.headers.add("Set-Cookie", "a=x=y; Path=/; HttpOnly; Secure; SameSite=Lax; Max-Age=60")
    response.headers.add("Set-Cookie", "b=2; Expires=Wed, 21 Oct 2026 07:28:00 GMT")
    return response


@app.route("text")
def text(req: func.HttpRequest) -> str:
    return "plain"


async def asgi(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """What FastAPI is to the product, in a few lines."""
    body = (await receive())["body"]
    headers = [(b"content-type", b"text/plain"), (b"set-cookie", b"a=1; Path=/"), (b"set-cookie", b"b=2")]
    await send({"type": "http.response.start", "status": 201, "headers": headers})
    said = f"{scope['method']} {scope['path']} {scope['query_string'].decode()} ".encode()
    await send({"type": "http.response.body", "body": said + body})


@app.route("site/{*rest}", methods=["GET", "POST"])
async def site(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    answer: func.HttpResponse = await func.AsgiMiddleware(asgi).handle_async(req, context)  # type: ignore[no-untyped-call]
    return answer


@app.route("broken")
async def broken(req: func.HttpRequest) -> func.HttpResponse:
    raise RuntimeError("secret detail")


@app.route("slow")
async def slow(req: func.HttpRequest) -> func.HttpResponse:
    logging.info("slow began")
    await asyncio.sleep(float(req.params["seconds"]))
    return func.HttpResponse("done")


@app.timer_trigger("tick_timer", "%TICK_SCHEDULE%")
async def tick(tick_timer: func.TimerRequest) -> None:
    records.append({"function": "tick", "at": time.time(), "past_due": tick_timer.past_due})


@app.queue_trigger("msg", "%WORK_QUEUE%", "AzureWebJobsStorage")
@app.queue_output("first", "%WORK_QUEUE%-out", "AzureWebJobsStorage")
@app.queue_output("$return", "%WORK_QUEUE%-returned", "AzureWebJobsStorage")
async def work(msg: func.QueueMessage, first: func.Out[str]) -> str:
    """The body says what to do: fail, sleep for seconds, or set outputs."""
    body = msg.get_body().decode()
    record: dict[str, object] = {
        "function": "work",
        "body": body,
        "began": time.time(),
        "id": msg.id,
        "dequeue_count": msg.dequeue_count,
        "pop_receipt": msg.pop_receipt,
        "times": [str(t) for t in (msg.insertion_time, msg.expiration_time, msg.time_next_visible)],
    }
    records.append(record)
    first.set(f"out:{body}")
    if body.startswith("fail"):
        raise RuntimeError("asked to fail")
    if body.startswith("sleep"):
        await asyncio.sleep(float(body.removeprefix("sleep")))
    record["ended"] = time.time()
    return f"returned:{body}"


@app.route("send", methods=["POST"])
@app.queue_output("out", "%WORK_QUEUE%-sent", "AzureWebJobsStorage")
async def send(req: func.HttpRequest, out: func.Out[List[str]]) -> func.HttpResponse:  # noqa: UP006
    out.set(req.get_json())
    if "fail" in req.params:
        raise RuntimeError("after setting the output")
    return func.HttpResponse(status_code=202)


@app.route("send-message", methods=["POST"])
@app.queue_output("out", "%WORK_QUEUE%-sent", "AzureWebJobsStorage")
async def send_message(req: func.HttpRequest, out: func.Out[func.QueueMessage]) -> func.HttpResponse:
    out.set(func.QueueMessage(body=req.get_body()))
    return func.HttpResponse(status_code=202)
