"""What the annotated types accept, and the questions about single values."""

from __future__ import annotations

import json
import re

import pytest
from pydantic import TypeAdapter

from ollamazure import catalog
from ollamazure.settings.load import parse
from ollamazure.settings.problems import SettingsError
from ollamazure.settings.types import Language, WebOrigin, opens_to_everyone


@pytest.mark.parametrize(
    "prefix",
    (
        *("0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1", "16.0.0.0/7", "::/0", "2000::/3", "2000::/15"),
        *("*", "Internet", "Any", "AzureCloud", "AzureCloud.francecentral"),
    ),
)
def test_a_range_wider_than_any_organisations_is_open_to_everyone(prefix: str) -> None:
    assert opens_to_everyone(prefix)


@pytest.mark.parametrize(
    "prefix",
    ["203.0.113.7", "203.0.113.7/32", "10.0.0.0/8", "2001::/16", "VirtualNetwork", "office"],
)
def test_a_range_of_one_organisation_is_not_open_to_everyone(prefix: str) -> None:
    assert not opens_to_everyone(prefix)


NUMBERS = {
    "dataDiskGiB": "{}",
    "contextLength": "{}",
    "certificate": '{{"validityDays": {}}}',
    "tuning": '{{"promptCacheMiB": {}}}',
    "modelMemoryGiB": '{{"my-model:7b": {}}}',
}


@pytest.mark.parametrize("key", NUMBERS)
@pytest.mark.parametrize(
    "number", ["6_40", "1e3", " 640", "640 ", "+640", "0640", "٦٤٠", "0x40", "six", "640,5", True]
)
def test_a_number_in_another_form_is_refused(key: str, number: str | bool) -> None:
    text = str(number) if key in ("dataDiskGiB", "contextLength") else json.dumps(number)
    with pytest.raises(SettingsError) as error:
        parse({"sshClients": "203.0.113.7", key: NUMBERS[key].format(text)})
    (problem,) = error.value.problems
    assert "number." in problem.what
    assert problem.where.startswith(f"ollamazure:{key}")


@pytest.mark.parametrize("key", NUMBERS)
@pytest.mark.parametrize("number", ["640", '"640"', "640.0"])
def test_a_number_in_its_usual_form_may_be_text(key: str, number: str) -> None:
    if key in ("dataDiskGiB", "contextLength"):
        number = "640"
    parse({"sshClients": "203.0.113.7", key: NUMBERS[key].format(number)})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("tuning", '{"keepAlive": "٦٤m"}'),
        ("imageVersion", "0.٢٠٢٦٠٩١٤.2601"),
        ("ollamaVersion", "0.٣٤.0"),
        ("webuiVersion", "v0.١٢.4"),
        ("nginxVersion", "1.٣٠.0"),
        ("models", '["qwen3:0.6b", "a.example.com:٨٠/b/c"]'),
    ],
)
def test_digits_of_other_scripts_are_refused(key: str, value: str) -> None:
    with pytest.raises(SettingsError):
        parse({"sshClients": "203.0.113.7", key: value})


def test_the_countries_are_those_of_iso_3166() -> None:
    codes = catalog.countries()
    assert len(codes) == 250 and all(re.fullmatch("[A-Z]{2}", code) for code in codes)
    instead = catalog.countries_instead()
    assert {*instead.values()} <= codes and not codes & {*instead}


@pytest.mark.parametrize(
    ("given", "origin"),
    [
        ("https://teams.microsoft.com", "https://teams.microsoft.com"),
        (" https://Portal.Example.com/ ", "https://portal.example.com"),
        ("https://portal.example.com:443", "https://portal.example.com"),
        ("https://portal.example.com:8443", "https://portal.example.com:8443"),
        ("https://*.cloud.microsoft", "https://*.cloud.microsoft"),
        ("https://10.0.0.4", "https://10.0.0.4"),
        ("https://intranet", "https://intranet"),
    ],
)
def test_an_origin_as_browsers_compare_it(given: str, origin: str) -> None:
    assert TypeAdapter(WebOrigin).validate_python(given) == origin


@pytest.mark.parametrize(
    ("given", "locale"),
    [
        *(("fr", "fr-FR"), ("fr-CA", "fr-CA"), ("FR-fr", "fr-FR"), ("pt_br", "pt-BR")),
        *(("en", "en-US"), ("pt", "pt-PT"), ("zh", "zh-CN"), ("ar", "ar"), ("uz", "uz-Cyrl-UZ")),
    ],
)
def test_a_language_has_open_webuis_name(given: str, locale: str) -> None:
    assert TypeAdapter(Language).validate_python(given) == locale
