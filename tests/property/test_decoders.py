"""The two decoders agree: what one takes, or refuses, so does the other.

`tests.fuzz.differential` says how that is seen; `make fuzz` has the unbounded form.
"""

import json

import orjson
import pytest
from hypothesis import HealthCheck, given, settings

import pbweb as pb
from pbweb.jelly import Jellier
from tests.fuzz.differential import JavaScript, Mutator, difference, of_vectors
from tests.fuzz.targets import LIMITS, NoFlavors
from tests.property.test_values import VALUES, copies, graphs

pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")


@pytest.fixture(scope="module")
def javascript():
    with JavaScript() as process:
        yield process


def test_they_agree_about_the_vectors(javascript):
    messages = of_vectors()
    assert len(messages) > 700
    found = [difference(javascript, message) for message in messages]
    assert not any(found), [one for one in found if one]


@pytest.mark.parametrize("seed", range(4))
def test_they_agree_about_what_is_made_from_the_vectors(javascript, seed):
    mutator = Mutator(seed)
    for _ in range(1500):
        found = difference(javascript, mutator.message())
        assert found is None, found


@settings(
    max_examples=600,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(value=VALUES | graphs() | copies())
def test_they_agree_about_any_value(javascript, value):
    try:
        wire = orjson.dumps(Jellier(NoFlavors(), LIMITS).encode(value)).decode()
    except pb.Error:  # too deep or too many digits, or what cannot cross
        return
    found = difference(javascript, f'["message",1,"root","echo",[{wire}]]')
    assert found is None, found


def test_a_difference_is_seen(javascript, monkeypatch):
    message = '["message",1,"root","echo",[{"$":"set","items":[1,"a"]}]]'
    assert difference(javascript, message) is None
    told = javascript.sent

    def other(text, value):
        sent = told(text)
        sent[0][2] = value
        return sent

    for value in ([1, "a"], {"$": "set", "items": [1]}, {"$": "set", "items": [2, "a"]}, None):
        monkeypatch.setattr(JavaScript, "sent", lambda _, text, value=value: other(text, value))
        found = difference(javascript, message)
        assert found is not None
        assert json.dumps(message)[1:-1].replace("\\", "") in found
