"""The OpenAPI document against the platform: what it allows is answered as it says, what it forbids is refused, for every role."""

import contextlib
import os
from collections import Counter

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.gateway import Person, platform_with_people, sign_in
from tests.running import running, until

pytestmark = [pytest.mark.integration, pytest.mark.slow]

#: Cases of each operation and kind (such as the document allows, and such as it does not); each is asked by everybody.
EXAMPLES = int(os.environ.get("OPENBELL_API_EXAMPLES", "5"))
CHECKS = (
    not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance, response_headers_conformance,
    negative_data_rejection,
)  # fmt: skip
OPERATIONS = 53
#: Longest wait (seconds) for an answer, on a machine with other work.
PATIENCE_S = 120
#: What is there on both platforms, so that more is answered than that there is no such thing.
KNOWN = {"symbol": "BTCUSDT", "strategy": "manual"}


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    """One platform with people, where everybody may sign up."""
    with platform_with_people(tmp_path_factory.mktemp("openapi"), sign_up="open") as started:
        until(lambda: started.ask("GET", "/health")[0] == 200)
        yield started


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """One where nobody signs in."""
    with running(tmp_path_factory.mktemp("local"), "--feed", "simulated", "--speed", "10", SQLITE_PATH="platform.db") as started:
        yield started


class Asker:
    """Asks platforms everything: each case as everybody."""

    def __init__(self, everybody):
        self.everybody = everybody
        self.programs = {who: person.with_key("read") if person.cookie else person for who, person in everybody.items()}
        self.lines = {who: requests.Session() for who in everybody}
        self.found = []
        self.answers = Counter()

    def ask_all(self):
        """Every operation in every way."""
        document = schemathesis.openapi.from_url(f"{self.everybody['nobody'].platform.url}/openapi.json")
        operations = [result.ok() for result in document.get_all_operations()]
        assert len(operations) >= OPERATIONS
        for operation in operations:
            for mode in GenerationMode:
                # What only reads costs little, and has the most parameters.
                examples = EXAMPLES * (2 if operation.method == "get" else 1)
                self._ask(operation.as_strategy(generation_mode=mode), mode, examples)
        return self

    def _ask(self, cases, mode, examples):
        @settings(
            max_examples=examples,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=cases)
        def ask(case):
            # What a case sends as who asks is not what this is about.
            case.headers.pop("Authorization", None)
            case.cookies.clear()
            if mode is GenerationMode.POSITIVE:
                for name in KNOWN.keys() & case.path_parameters.keys():
                    case.path_parameters[name] = KNOWN[name]
            for who, person in self.everybody.items():
                # A key has no session to end.
                asks = self.programs[who] if case.operation.path == "/auth/sign-out" else person
                answer = case.call(base_url=person.platform.url, headers=asks.headers(), session=self.lines[who], timeout=PATIENCE_S)
                self.answers[who, answer.status_code // 100] += 1
                try:
                    case.validate_response(answer, checks=CHECKS)
                except FailureGroup as group:
                    self.found += [f"{who}: {answer.status_code} {case.as_curl_command()}: {error}" for error in group.exceptions]

        with contextlib.suppress(Unsatisfiable):  # an operation without parameters has none that are wrong
            ask()


@pytest.mark.timeout(300 + 60 * EXAMPLES)
def test_every_operation_for_every_role(platform, local):
    """No server error, no answer that the document does not describe, and nothing accepted that it forbids."""
    everybody = {"nobody": Person(platform), "local": Person(local), **{name: sign_in(platform, name) for name in ("vera", "eve", "root")}}
    asker = Asker(everybody).ask_all()
    print(f"{sum(asker.answers.values())} answers:", {who: {c: n for (w, c), n in asker.answers.items() if w == who} for who in everybody})
    assert asker.found == []
    for who in everybody:
        assert sum(count for (asks, _), count in asker.answers.items() if asks == who) > 4 * OPERATIONS
        assert asker.answers[who, 2] > OPERATIONS // 2 or who == "nobody"
    for answering in (platform, local):
        assert answering.ask("GET", "/health")[1]["status"] == "healthy"
