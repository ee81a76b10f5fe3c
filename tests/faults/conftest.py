"""One undisturbed tiny run, whose folder is the start of most scenarios and the measure of all."""

import pytest
from tiny_workflow import Workflow


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """The undisturbed run; tests work in copies of its folder."""
    home = tmp_path_factory.mktemp("faults")
    workflow = Workflow(home / "repository", home / "undisturbed")
    workflow.succeed()
    assert workflow.pending() == {}
    return workflow
