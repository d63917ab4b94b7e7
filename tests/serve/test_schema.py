"""The OpenAPI document holds: whatever fits it, and what nearly does, is answered as it says, never by a failure."""

from contextlib import suppress
from pathlib import Path

import schemathesis
from anyio import CapacityLimiter
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance
from tiny import TINY

from pixeldance.serve.app import create_app
from pixeldance.serve.guard import Rules
from pixeldance.serve.places import open_places
from pixeldance.serve.requests import Model
from pixeldance.serve.state import Serving

# Left out is the check that all that fits the document is accepted: what lengths and sizes a model makes is not in it.
EXAMPLES = 4  # of each operation, of what fits and of what does not


def test_answers_are_as_the_document_says(tmp_path: Path) -> None:
    places, jobs = open_places(tmp_path / "store", keep=3600.0)
    model = Model(id="tiny", folder=tmp_path, hash="m", system=TINY)
    serving = Serving(places=places, jobs=jobs, model=model, limiter=CapacityLimiter(4), most_queued=10**6)
    rules = Rules(hosts=("localhost", "testserver"), rate=1e6, burst=10**6)  # the names that the fuzzer calls it by
    api = schemathesis.openapi.from_asgi("/openapi.json", create_app(serving, rules))
    tried, done = [], []
    for found in api.get_all_operations():
        operation = found.ok()
        tried.append(operation.label)
        for mode in GenerationMode:

            @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
            @given(case=operation.as_strategy(generation_mode=mode))
            def check(case: schemathesis.Case) -> None:
                case.call_and_validate(excluded_checks=[positive_data_acceptance])

            with suppress(Unsatisfiable):  # what takes nothing can be given nothing wrong
                check()
                done.append(f"{operation.label} {mode.name}")
    assert len([name for name in done if "POSITIVE" in name]) == len(tried) == 25
    assert len(done) > len(tried)
