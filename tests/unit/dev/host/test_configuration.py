import json
from datetime import timedelta
from pathlib import Path

import pytest

from dev.host.configuration import HostError, HostOptions, QueueOptions, read_host_json, resolve


def host_json(folder: Path, document: object) -> Path:
    path = folder / "host.json"
    path.write_text(json.dumps(document))
    return path


def test_the_queue_options_of_host_json_are_honoured(tmp_path: Path) -> None:
    queues = {
        "batchSize": 4,
        "newBatchThreshold": 0,
        "visibilityTimeout": "00:00:30",
        "maxDequeueCount": 5,
        "maxPollingInterval": "00:00:02",
        "messageEncoding": "base64",
    }
    path = host_json(tmp_path, {"version": "2.0", "extensions": {"queues": queues}})
    assert read_host_json(path).queues == QueueOptions(
        batch_size=4,
        new_batch_threshold=0,
        visibility_timeout=timedelta(seconds=30),
        max_dequeue_count=5,
        max_polling_interval=timedelta(seconds=2),
    )


def test_what_host_json_does_not_say_has_the_defaults_of_azure(tmp_path: Path) -> None:
    assert read_host_json(host_json(tmp_path, {"version": "2.0"})) == HostOptions(version="2.0")


def test_the_threshold_for_a_new_batch_follows_the_batch_size(tmp_path: Path) -> None:
    path = host_json(tmp_path, {"version": "2.0", "extensions": {"queues": {"batchSize": 10}}})
    assert read_host_json(path).queues.new_batch_threshold == 5


def test_settings_lie_over_host_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = host_json(tmp_path, {"version": "2.0", "extensions": {"http": {"routePrefix": "v1"}}})
    settings = {
        "AzureFunctionsJobHost__extensions__http__routePrefix": "",
        "AzureFunctionsJobHost__extensions__queues__batchSize": "3",
        "AzureFunctionsJobHost__functionTimeout": "00:10:00",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    options = read_host_json(path)
    assert options.route_prefix == ""
    assert options.queues.batch_size == 3
    assert options.function_timeout == timedelta(minutes=10)


@pytest.mark.parametrize(
    ("queues", "said"),
    [
        ({"batchSize": 33}, "batchSize: Input should be less than or equal to 32"),
        ({"batchSize": 0}, "batchSize"),
        ({"newBatchThreshold": -1}, "newBatchThreshold"),
        ({"maxDequeueCount": 0}, "maxDequeueCount"),
        ({"maxPollingInterval": "00:00:00.050"}, "maxPollingInterval"),
        ({"visibilityTimeout": "30 s"}, "visibilityTimeout"),
        ({"messageEncoding": "none"}, "messageEncoding"),
        ([], "queues"),
    ],
)
def test_wrong_queue_options_are_refused(tmp_path: Path, queues: object, said: str) -> None:
    path = host_json(tmp_path, {"version": "2.0", "extensions": {"queues": queues}})
    with pytest.raises(HostError, match=said):
        read_host_json(path)


@pytest.mark.parametrize("text", ["{", "[]", '{"version": "1.0"}', "{}"])
def test_a_broken_host_json_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "host.json").write_text(text)
    with pytest.raises(HostError, match=r"host\.json"):
        read_host_json(tmp_path / "host.json")


def test_percent_signs_name_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A", "1")
    monkeypatch.setenv("B", "2")
    assert resolve("%A%-x-%B%") == "1-x-2"
    with pytest.raises(HostError, match="The setting C is missing"):
        resolve("%C%")
