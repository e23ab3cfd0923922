"""The catalog's data is complete and consistent, and marks what was not looked up."""

from __future__ import annotations

import re
from collections import Counter

import pytest
import yaml
from pydantic import ValidationError

from ollamazure import catalog
from ollamazure.catalog import Model

ISSUE_MODELS = [
    "llama3.2:1b", "llama3.2:3b", "llama3.1:8b", "gemma3:1b", "gemma3:4b", "gemma3:12b",
    "gemma3:27b", "qwen3:0.6b", "qwen3:1.7b", "qwen3:4b", "qwen3:8b", "qwen3:14b", "qwen3:30b",
    "qwen3:32b", "phi4-mini:latest", "phi4:latest", "mistral:7b", "mistral-small:latest",
    "deepseek-r1:1.5b", "deepseek-r1:7b", "deepseek-r1:8b", "deepseek-r1:14b", "deepseek-r1:32b",
    "gpt-oss:20b", "smollm2:135m", "smollm2:360m", "smollm2:1.7b", "nomic-embed-text:latest",
    "all-minilm:latest",
]  # fmt: skip


def test_popular_models_are_known() -> None:
    known = catalog.models()
    assert set(ISSUE_MODELS) <= set(known)
    assert len({model.name for model in known.values()}) >= 25


@pytest.mark.parametrize("model", {m.name: m for m in catalog.models().values()}.values())
def test_a_models_figures_fit_together(model: Model) -> None:
    assert ":" in model.name
    if model.sliding:
        assert 0 < model.sliding.layers < model.layers
        assert model.sliding.window < model.context_limit
    assert (model.active or 0) < model.parameters
    bits_for_a_weight = model.download_gb * 8 / model.parameters
    assert 3.5 < bits_for_a_weight < 17, "the file is between 4-bit and 16-bit weights"


def test_an_alias_is_the_same_model() -> None:
    assert catalog.models()["mistral:latest"] is catalog.models()["mistral:7b"]


def test_models_either_chat_or_embed_and_an_unknown_one_chats() -> None:
    names = ("llama3.2:1b", "all-minilm:22m", "our-own:7b")
    assert catalog.chat_models(names, {}) == ("llama3.2:1b", "our-own:7b")
    kinds: dict[str, catalog.Kind] = {"our-own:7b": "embedding"}
    assert catalog.chat_models(names, kinds) == ("llama3.2:1b",)
    assert "all-minilm:22m" in catalog.embedding_models()


@pytest.mark.parametrize("model", {m.name: m for m in catalog.models().values()}.values())
def test_a_model_has_languages_strengths_and_a_licence(model: Model) -> None:
    assert model.languages and {*model.languages} <= catalog.languages().keys()
    assert list(model.languages) == sorted(set(model.languages))
    assert model.strengths and ("search" in model.strengths) == (model.kind == "embedding")
    assert model.card.startswith("https://")
    assert model.licence in catalog.licences()


def test_languages_are_known_for_what_the_makers_say() -> None:
    """As their cards say: eight languages of Llama, English of Phi-4, eleven of Mistral Nemo."""
    french = {name for name, model in catalog.models().items() if "fr" in model.languages}
    assert {"llama3.2:1b", "qwen3:4b", "mistral-nemo:12b", "phi4-mini:3.8b"} <= french
    assert not {"phi4:14b", "smollm2:1.7b", "deepseek-r1:7b", "gemma3:1b"} & french
    assert len(catalog.models()["llama3.1:8b"].languages) == 8
    assert "languages" in catalog.models()["gemma3:4b"].unverified, "140, without a list"


def test_every_language_has_a_model_that_answers_and_one_that_searches() -> None:
    for code, names in catalog.languages().items():
        assert re.fullmatch("[a-z]{2}", code) and names[0].isascii()
        kinds = {m.kind for m in catalog.models().values() if code in m.languages}
        assert kinds == {"chat", "embedding"}, code


def test_a_name_of_a_language_occurs_once() -> None:
    names = Counter(name.lower() for names in catalog.languages().values() for name in names)
    assert names.most_common(1)[0][1] == 1


def test_licences_are_described_with_their_restrictions() -> None:
    used = {model.licence for model in catalog.models().values()}
    assert used == catalog.licences().keys(), "no licence without a model"
    for licence in catalog.licences().values():
        assert licence.source.startswith("https://")
        assert licence.restrictions is None or licence.restrictions.endswith(".")
    assert catalog.describe_licence("qwen3:4b") == "Apache-2.0"
    assert catalog.describe_licence("llama3.2:1b").startswith("Llama 3.2 Community License. Meta")
    assert "not in the catalog" in catalog.describe_licence("our-own:7b")


@pytest.mark.parametrize(
    ("size", "vcpus", "memory", "machine_class"),
    [
        ("Standard_B2ms", 2, 8, "x64-scsi-temp"),
        ("Standard_B2s_v2", 2, 8, "x64-scsi-notemp"),
        ("Standard_B2as_v2", 2, 8, "x64-scsi-notemp"),
        ("Standard_D4as_v5", 4, 16, "x64-scsi-notemp"),
        ("Standard_E4as_v5", 4, 32, "x64-scsi-notemp"),
        ("Standard_NC4as_T4_v3", 4, 28, "x64-scsi-temp-gpu"),
        ("Standard_NV36ads_A10_v5", 36, 440, "x64-scsi-temp-gpu"),
        ("Standard_NC24ads_A100_v4", 24, 220, "x64-scsi-temp-gpu"),
    ],
)
def test_sizes_are_those_of_microsofts_pages(
    size: str, vcpus: int, memory: float, machine_class: str
) -> None:
    found = catalog.vm_sizes()[size]
    assert (found.vcpus, found.memory_gib, found.machine_class) == (vcpus, memory, machine_class)


def test_b2ms_has_neither_premium_caching_nor_accelerated_networking() -> None:
    b2ms = catalog.vm_sizes()["Standard_B2ms"]
    assert not b2ms.premium_caching
    assert not b2ms.accelerated_networking


def test_every_size_has_a_price() -> None:
    assert set(catalog.vm_sizes()) == set(catalog.prices().hourly["eastus"])


def test_the_series_are_complete() -> None:
    counted = Counter(size.series for size in catalog.vm_sizes().values())
    assert counted == {
        "Bv1": 10, "Bsv2": 11, "Basv2": 11, "Dasv5": 8, "Easv5": 10,
        "NCasT4_v3": 4, "NVadsA10_v5": 6, "NCA100v4": 3,
    }  # fmt: skip
    assert all(size.verified for size in catalog.vm_sizes().values())


def test_other_regions_are_priced_too() -> None:
    for prices in catalog.prices().hourly.values():
        assert set(prices) <= set(catalog.vm_sizes())
        assert {size.name for size in catalog.rank()} <= set(prices)


def test_the_rank_does_not_depend_on_prices_and_contains_nothing_that_retires() -> None:
    rank = catalog.rank()
    assert len(set(rank)) == len(rank)
    assert not any(size.retires or size.unsupported for size in rank)
    gpus = [size.gpu is not None for size in rank]
    assert gpus == sorted(gpus), "GPUs come last"
    prices = yaml.safe_load((catalog.FOLDER / "prices.yaml").read_text(encoding="utf-8"))
    assert "rank" not in prices


def test_every_pin_has_a_reason_and_a_source() -> None:
    versions = catalog.versions()
    pins = (versions.pulumi_cli, versions.ollama, versions.open_webui, versions.nginx)
    for pin in pins:
        assert pin.reason.endswith(".")
        assert pin.source.startswith("https://")


def test_the_cli_and_the_python_sdk_are_of_one_release() -> None:
    requirements = (catalog.FOLDER.parents[1] / "requirements.txt").read_text(encoding="utf-8")
    assert f"pulumi=={catalog.versions().pulumi_cli.version}\n" in requirements


def test_a_version_of_an_image_has_its_own_digest() -> None:
    digests = {"1.30.3": "sha256:abc", "1.31.0": "sha256:def"}
    image = catalog.versions().nginx.model_copy(update={"digests": digests})
    assert image.reference("1.30.3") == "docker.io/library/nginx:1.30.3@sha256:abc"
    assert image.reference("1.31.0") == "docker.io/library/nginx:1.31.0@sha256:def"
    assert image.reference("1.32.0") == "docker.io/library/nginx:1.32.0"
    assert image.reference("1.30.3@sha256:123") == "docker.io/library/nginx:1.30.3@sha256:123"


def test_the_digests_of_the_catalog_are_digests() -> None:
    versions = catalog.versions()
    for image in (versions.open_webui, versions.nginx):
        for digest in image.digests.values():
            assert re.fullmatch("sha256:[0-9a-f]{64}", digest)


def test_a_misspelt_key_of_the_catalog_is_an_error() -> None:
    record = catalog.models()["llama3.2:1b"].model_dump(by_alias=True)
    with pytest.raises(ValidationError, match="kvHead"):
        Model.model_validate({**record, "kvHead": 8})


def test_each_language_has_the_same_texts() -> None:
    for purpose in ("pages", "status", "hint", "invitation"):
        names = {frozenset(texts) for texts in catalog.texts(purpose).values()}
        assert len(names) == 1, purpose
    languages = catalog.texts("pages").keys()
    assert languages == {"en", "fr", "de", "es"}
    assert catalog.texts("hint").keys() == languages == catalog.texts("invitation").keys()
    assert catalog.texts("status").keys() == languages - {"en"}


def test_the_language_of_texts_follows_from_the_locale() -> None:
    locales = ("fr-FR", "fr-CA", "de-DE", "en-GB", "it-IT", None)
    found = [catalog.language_of_texts(locale) for locale in locales]
    assert found == ["fr", "fr", "de", "en", "en", "en"]
    for language in catalog.texts("pages"):
        assert any(locale.startswith(f"{language}-") for locale in catalog.locales())
