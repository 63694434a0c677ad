"""Leaves out, deselected rather than skipped, the cases about what a source does not promise; in the short form also those that
stop a broker of Kafka, which tests/e2e does all the time."""

from conformance.source_beds import BEDS
from services.harness import FULL


def pytest_configure(config):
    config.addinivalue_line("markers", "promises(attribute): only for beds whose attribute of that name is true")


def pytest_collection_modifyitems(items):
    def promised(item):
        if not FULL and "own_bed" in item.fixturenames and item.callspec.params["kind"] == "kafka":
            return False
        asked = [mark.args[0] for mark in item.iter_markers("promises")]
        return all(getattr(BEDS[item.callspec.params["kind"]][1], attribute) for attribute in asked)

    items[:] = [item for item in items if promised(item)]
