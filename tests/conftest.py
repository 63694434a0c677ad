"""What all Python tests share: the services as fixtures, and skips that nobody overlooks.

kafka, minio, versitygw, azurite, gcs, registry and toxiproxy are servers that one whole test session shares: take names
(topics, buckets) of your own, e.g. from the `unique` fixture. A test that stops or kills a server
starts one for itself with services.harness.
"""

import itertools
import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from services import harness  # noqa: E402

IN_CI = os.environ.get("CI") == "true"


def pytest_configure(config):
    config.addinivalue_line("markers", "full: a long form, run only by tools/test --full")


def pytest_collection_modifyitems(items):
    """Leaves the long forms out, deselected rather than skipped: nothing is missing."""
    if not harness.FULL:
        items[:] = [item for item in items if item.get_closest_marker("full") is None]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A service that this machine cannot run skips the test by name; in CI, any skip fails."""
    outcome = yield
    report = outcome.get_result()
    error = call.excinfo.value if call.excinfo is not None else None
    if isinstance(error, harness.Unavailable):
        report.outcome = "failed" if IN_CI else "skipped"
        path, line, _ = item.location
        report.longrepr = str(error) if IN_CI else (path, line or 0, f"Skipped: {error}")
    elif IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which is a failure in CI: {report.longrepr[2]}"


def _session_service(make):
    @pytest.fixture(scope="session")
    def service():
        with make() as running:
            yield running

    return service


kafka = _session_service(harness.Kafka)
kafka_secure = _session_service(lambda: harness.Kafka(secure=True))
minio = _session_service(harness.S3Minio)
versitygw = _session_service(harness.S3Versity)
azurite = _session_service(harness.Azurite)
gcs = _session_service(harness.FakeGcs)
registry = _session_service(harness.Registry)
toxiproxy = _session_service(harness.Toxiproxy)
kinesis_mock = _session_service(harness.KinesisMock)
kinesalite = _session_service(harness.Kinesalite)


@pytest.fixture(scope="session", params=["minio", "versitygw"])
def s3(request):
    """Each S3 server in turn."""
    return request.getfixturevalue(request.param)


_numbers = itertools.count(1)


@pytest.fixture
def unique():
    """unique("clicks") is a topic, bucket or group name that no other test has."""
    return lambda stem="t": f"{stem}-{os.getpid()}-{next(_numbers)}"


@pytest.fixture
def run_weir(tmp_path):
    """harness.run_weir in the test's own empty directory."""

    def run(*arguments, **how):
        how.setdefault("cwd", tmp_path)
        return harness.run_weir(*arguments, **how)

    return run
