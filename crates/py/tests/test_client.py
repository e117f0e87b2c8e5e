"""`motet.Client`: settings of its own, and its life."""

from pathlib import Path
from typing import Any

import pytest
from conftest import Provider

import motet


async def test_settings_are_arguments_and_belong_to_the_client_alone(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = motet.Client(model="custom:say:mine", base_url=provider.base_url, api_key="k", request__timeout=30)
    monkeypatch.setenv("MOTET_MODEL", "offline:extract")
    assert await client.chat("?", system="Be short.", temperature=0.1, max_tokens=9) == "mine"
    assert client.chat_sync("?", model="custom:say:other") == "other"
    assert (client.complete_sync("?").text, (await client.complete("?")).text) == ("mine", "mine")
    assert [chunk.content async for chunk in client.stream_complete("?")] == ["mine", ""]
    assert [chunk.content for chunk in client.stream_complete_sync("?")] == ["mine", ""]
    assert [message["role"] for message in provider.requests[0]["messages"]] == ["system", "user"]


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"modle": "x"}, "modle"),
        ({"model": "nonsense"}, "model"),
        ({"request__timeout": "soon"}, "request.timeout"),
        ({"base_url": "http://localhost/v1"}, "need a model"),
        ({"persistence": "stone"}, "no persistence `stone`"),
        ({"persistence": "memory", "db_path": "x.db"}, "no `db_path`"),
        ({"store": "memory:", "db_path": "x.db"}, "named twice"),
    ],
)
def test_a_wrong_setting_is_told_when_the_client_is_made(settings: Any, reason: str) -> None:
    with pytest.raises(motet.ConfigurationError, match=reason):
        motet.Client(**settings)


async def test_the_store_is_opened_when_it_is_needed_and_not_before(place: Path) -> None:
    client = motet.Client(model="offline:extract", persistence="sqlite", db_path=place / "runs.db")
    await client.chat("Who? Ada signed.")
    assert list(place.iterdir()) == []
    await client.initialize()
    assert (place / "runs.db").exists()
    assert await client.list_workflows() == []
    await client.shutdown()


def test_the_address_of_ollama_is_taken_as_people_know_it(provider: Provider) -> None:
    root = provider.base_url.removesuffix("/v1")
    for url in (root, f"{root}/", provider.base_url):
        assert motet.Client(ollama_url=url).chat_sync("?", model="ollama:say:hi") == "hi"


async def test_a_closed_client_says_so() -> None:
    async with motet.Client(model="offline:extract") as client:
        assert await client.chat("Who? Ada signed.")
    with pytest.raises(motet.ConflictError, match="the client is closed"):
        await client.chat("Who?")
    with motet.Client(model="offline:extract") as client:
        stream = client.stream_complete_sync("Who? Ada signed.")
    assert "".join(chunk.content for chunk in stream), "what was begun may end"
    with pytest.raises(motet.ConflictError):
        client.list_workflows_sync()
