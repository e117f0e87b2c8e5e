"""Exceptions: one class for each kind, with everything that is known."""

import builtins
import pickle

import pytest
from conftest import Provider

import motet
from motet import _errors, _motet


def test_every_kind_of_the_engine_has_its_class() -> None:
    assert tuple(_errors.BY_KIND) == _motet.ERROR_KINDS
    for kind, error in _errors.BY_KIND.items():
        assert error.__name__ == "".join(word.title() for word in kind.split("_")) + "Error"
        assert getattr(motet, error.__name__) is error
        assert issubclass(error, motet.Error) and error.__doc__ and error.__module__ == "motet"


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, motet.InvalidRequestError),
        (401, motet.AuthenticationError),
        (403, motet.PermissionError),
        (404, motet.NotFoundError),
        (429, motet.RateLimitError),
        (503, motet.OverloadedError),
    ],
)
def test_a_refusal_becomes_the_class_of_its_kind(
    provider: Provider, status: int, error: type[motet.Error]
) -> None:
    with pytest.raises(error, match=f"refused with {status}") as caught:
        motet.complete_sync("?", model=f"custom:status:{status}", base_url=provider.base_url)
    assert caught.type is error
    assert caught.value.status == status
    assert (caught.value.provider, caught.value.request_id) == ("custom", "req_1")
    assert caught.value.message == str(caught.value)
    if error is motet.RateLimitError:
        assert caught.value.retry_after == 7.0


def test_builtin_exceptions_of_the_same_meaning_catch_too(provider: Provider) -> None:
    with pytest.raises(builtins.ConnectionError) as refused:
        motet.complete_sync("?", model="custom:x", base_url="http://127.0.0.1:9/v1")
    assert isinstance(refused.value, motet.ConnectionError) and refused.value.kind == "connection"
    with pytest.raises(builtins.TimeoutError) as late:
        motet.complete_sync("?", model="custom:silent", base_url=provider.base_url, timeout=0.05)
    assert isinstance(late.value, motet.TimeoutError) and late.value.kind == "timeout"
    assert provider.hung_up.wait(10), "a call that is too late is ended"


def test_hints_are_shown_below_tracebacks_and_not_in_the_message() -> None:
    with pytest.raises(motet.ConfigurationError) as caught:
        motet.complete_sync("?", model="nonsense")
    hint = caught.value.hint
    assert hint and hint not in str(caught.value)
    assert caught.value.__notes__ == [f"hint: {hint}"]


def test_exceptions_survive_pickling() -> None:
    error = motet.RateLimitError("slow down", status=429, retry_after=2.0, hint="wait")
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), copy.status, copy.retry_after) == (type(error), "slow down", 429, 2.0)
    late = pickle.loads(pickle.dumps(motet.TimeoutError("too late")))
    assert (str(late), late.hint) == ("too late", None)
