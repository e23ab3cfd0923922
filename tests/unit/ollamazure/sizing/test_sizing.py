"""Sizing: the formula, which size fits, what follows from it, and the message when none does."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest

from ollamazure import catalog
from ollamazure.catalog import MonthlyPrices, Prices
from ollamazure.settings.backup import BackupSettings
from ollamazure.settings.load import parse
from ollamazure.settings.stack import Settings
from ollamazure.sizing import memory
from ollamazure.sizing.alerts import metric_rules
from ollamazure.sizing.cost import alert_price, backup_price, disk_price, savings_note
from ollamazure.sizing.memory import Load
from ollamazure.sizing.plan import SizingError, make_plan
from ollamazure.sizing.speed import tokens_per_second, tokens_per_second_under_load

MIB = 2**20


@pytest.fixture(autouse=True)
def fixed_prices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prices of the day must not change what these tests expect."""
    sizes = catalog.vm_sizes().values()
    made_up = Prices(
        currency="USD",
        date=date(2026, 11, 23),
        verified=False,
        source="made up",
        hourly={"eastus": {s.name: (s.vcpus * 4 + s.memory_gib) / 200 for s in sizes}},
        monthly=MonthlyPrices(
            public_address=3.65,
            nat_gateway=32.85,
            standard_ssd={4 * 2**tier: 0.3 * 2**tier for tier in range(11)},
            blob_gib={"local": 0.02, "zones": 0.03},
            alert_rule=0.1,
            test_run=0.0005,
        ),
    )
    monkeypatch.setattr(catalog, "prices", lambda: made_up)


def settings(**given: str) -> Settings:
    return parse({"sshClients": "203.0.113.7", **given})


@pytest.mark.parametrize(
    ("model", "context", "parallel", "mebibytes"),
    [
        # layers x KV heads x (key + value) x 2 bytes x tokens
        ("smollm2:135m", 4096, 1, 90),
        ("llama3.2:1b", 4096, 1, 128),
        ("llama3.2:1b", 8192, 1, 256),
        ("llama3.2:1b", 4096, 4, 512),
        ("qwen3:0.6b", 4096, 1, 448),
        ("mistral:7b", 4096, 1, 512),
        ("qwen3:32b", 8192, 1, 2048),
        # 4 layers cache it all, 22 a window of 512 and one batch: 26 x 4096 would be 104
        ("gemma3:1b", 4096, 1, 38),
        # a context beyond the model's limit needs no more cache
        ("all-minilm:22m", 4096, 1, 6 * 12 * 64 * 2 * 512 / MIB),
    ],
)
def test_cache_of_a_model(model: str, context: int, parallel: int, mebibytes: float) -> None:
    found = memory.cache_bytes(catalog.models()[model], context, parallel)
    assert found / MIB == pytest.approx(mebibytes, abs=0.5)


def test_need_of_a_model_is_the_sum_of_its_parts() -> None:
    need = memory.need(catalog.models()["llama3.2:1b"], Load(4096, 1, 1))
    assert need.weights == pytest.approx(1.3e9 / 2**30)
    assert need.cache == pytest.approx(0.125)
    assert need.buffers == pytest.approx(4 * 512 * (18 * 2048 + 2 * 4096) / 2**30)
    assert need.runner == pytest.approx((10 * MIB + 512 * 128256) / 2**30)
    assert need.total == pytest.approx(need.weights + need.cache + need.buffers + need.runner)


@pytest.mark.parametrize(
    ("model", "smallest"),
    [
        ("smollm2:135m", "Standard_B2as_v2"),
        ("llama3.2:1b", "Standard_B2as_v2"),
        ("qwen3:4b", "Standard_B2as_v2"),
        ("llama3.1:8b", "Standard_B4as_v2"),
        ("gemma3:12b", "Standard_B4as_v2"),
        ("qwen3:32b", "Standard_B8as_v2"),
        ("llama3.3:70b", "Standard_B16as_v2"),
    ],
)
def test_auto_takes_the_first_of_the_rank_that_fits(model: str, smallest: str) -> None:
    plan = make_plan(settings(models=model, vmSize="auto", dataDiskGiB="128"))
    assert plan.vm_size.name == smallest
    assert plan.memory_need_gib <= memory.usable(plan.vm_size)


def test_prices_never_change_what_auto_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = make_plan(settings(vmSize="auto")).vm_size
    dear = catalog.prices().model_copy(
        update={"hourly": {"eastus": dict.fromkeys(catalog.vm_sizes(), 9.0) | {chosen.name: 99}}}
    )
    monkeypatch.setattr(catalog, "prices", lambda: dear)
    assert make_plan(settings(vmSize="auto")).vm_size == chosen


def test_a_model_that_does_not_fit_is_refused_with_three_sizes_that_do() -> None:
    with pytest.raises(SizingError) as error:
        make_plan(settings(models="llama3.1:8b"))
    assert str(error.value) == (
        "llama3.1:8b does not fit Standard_B2ms; nothing has been created or changed.\n"
        "   Need:     7.9 GiB = llama3.1:8b 5.3 (file 4.6, cache 0.5 for 1 x 4096 tokens, "
        "buffers and runner 0.2) + system, Open WebUI, Nginx and former conversations 2.6\n"
        "   There is: 7.8 GiB usable of 8 GiB memory\n"
        "   Fits:     Standard_E2as_v5 (2 vCPU, 16 GiB), about 98 USD a month\n"
        "             Standard_B4as_v2 (4 vCPU, 16 GiB), about 128 USD a month\n"
        "             Standard_B4s_v2 (4 vCPU, 16 GiB), about 128 USD a month\n"
        "             (pay as you go, prices of eastus as of 2026-11-23, not verified)\n"
        "   Fix:      pulumi config set ollamazure:vmSize Standard_E2as_v5"
    )


def test_the_offered_size_fits() -> None:
    with pytest.raises(SizingError) as error:
        make_plan(settings(models="llama3.1:8b"))
    offered = str(error.value).rsplit(" ", 1)[-1]
    assert make_plan(settings(models="llama3.1:8b", vmSize=offered)).vm_size.name == offered


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"models": "qwen3:32b", "vmSize": "Standard_NC4as_T4_v3"}, "of 16 GiB GPU memory"),
        ({"models": "x:y", "modelMemoryGiB": '{"x:y": 900}'}, "no size fits"),
        (
            {"models": "x:y", "modelMemoryGiB": '{"x:y": 900}', "vmSize": "auto"},
            "x:y does not fit any size that vmSize = auto may choose",
        ),
        (
            {"models": "llama3.2:3b,qwen3:4b", "tuning": '{"loadedModels": 2}'},
            "llama3.2:3b, qwen3:4b do not fit Standard_B2ms",
        ),
        (
            {"models": "llama3.2:3b", "contextLength": "65536"},
            "for 1 x 65536 tokens",
        ),
    ],
)
def test_the_message_names_what_is_too_large(given: dict[str, str], words: str) -> None:
    with pytest.raises(SizingError) as error:
        make_plan(settings(dataDiskGiB="2048", **given))
    assert words in str(error.value)


def test_a_size_without_a_driver_for_debian_is_refused_and_others_with_a_gpu_are_offered() -> None:
    with pytest.raises(SizingError) as error:
        make_plan(settings(models="qwen3:14b", vmSize="Standard_NV36ads_A10_v5"))
    assert str(error.value) == (
        "Standard_NV36ads_A10_v5 is not supported: its GPU runs with Microsoft's GRID driver only, "
        "which is not published for Debian; nothing has been created or changed.\n"
        "   Fits:     Standard_NC4as_T4_v3 (4 vCPU, 28 GiB, GPU 16 GiB), about 171 USD a month\n"
        "             Standard_NC8as_T4_v3 (8 vCPU, 56 GiB, GPU 16 GiB), about 332 USD a month\n"
        "             Standard_NC16as_T4_v3 (16 vCPU, 110 GiB, GPU 16 GiB), about 646 USD a month\n"
        "             (pay as you go, prices of eastus as of 2026-11-23, not verified)\n"
        "   Fix:      pulumi config set ollamazure:vmSize Standard_NC4as_T4_v3"
    )


def test_models_outside_the_catalog_need_what_the_settings_state() -> None:
    plan = make_plan(settings(models="x:y", modelMemoryGiB='{"x:y": 5}'))
    assert plan.memory_need_gib == pytest.approx(5 + 0.25 + memory.MACHINE_GIB)


@pytest.mark.parametrize(
    ("given", "derived"),
    [
        (
            {},
            {
                "context_length": 4096,
                "num_parallel": 1,
                "max_loaded_models": 3,
                "keep_alive": "-1",
                "prompt_cache_mib": 256,
                "database_pool_size": 128,
                "ollama_limit_mib": 5539,
                "webui_limit_mib": 1986,
                "background_generation": False,
                "gpu": False,
            },
        ),
        ({"vmSize": "Standard_D4as_v5"}, {"context_length": 8192, "num_parallel": 2}),
        (
            {"vmSize": "Standard_D8as_v5"},
            {"context_length": 8192, "num_parallel": 4, "database_pool_size": 256},
        ),
        (
            {"vmSize": "Standard_NC4as_T4_v3"},
            {"context_length": 16384, "gpu": True, "background_generation": True},
        ),
        # together while they fit, else one at a time
        ({"models": "llama3.2:1b,qwen3:0.6b"}, {"max_loaded_models": 3}),
        ({"models": "llama3.2:3b,qwen3:4b"}, {"max_loaded_models": 1}),
        # a model's own limit
        ({"models": "smollm2:135m", "vmSize": "Standard_NC4as_T4_v3"}, {"context_length": 8192}),
        # settings win
        ({"contextLength": "2048"}, {"context_length": 2048}),
        (
            {
                "tuning": json.dumps(
                    {
                        "parallelRequests": 2,
                        "loadedModels": 1,
                        "keepAlive": "30m",
                        "promptCacheMiB": 0,
                        "databasePoolSize": 12,
                        "backgroundGeneration": True,
                    }
                )
            },
            {
                "num_parallel": 2,
                "max_loaded_models": 1,
                "keep_alive": "30m",
                "prompt_cache_mib": 0,
                "database_pool_size": 12,
                "background_generation": True,
            },
        ),
    ],
)
def test_what_follows_from_the_size(given: dict[str, str], derived: dict[str, Any]) -> None:
    plan = make_plan(settings(**given))
    assert {name: getattr(plan, name) for name in derived} == derived


def test_memory_limits_what_speed_would_allow() -> None:
    plan = make_plan(settings(models="qwen3:14b", vmSize="Standard_NC4as_T4_v3"))
    assert (plan.context_length, plan.num_parallel) != (16384, 4)
    load = Load(plan.context_length, plan.num_parallel, 1)
    need = memory.need(catalog.models()["qwen3:14b"], load)
    assert need.total <= 16 * memory.GPU_USABLE_SHARE


def test_a_model_that_comes_or_goes_leaves_ollamas_service_as_it_is() -> None:
    """Another model changes how Ollama is configured only where memory forces it to."""
    alone, more = (make_plan(settings(models=m)) for m in ("qwen3:0.6b", "qwen3:0.6b,gemma3:1b"))
    names = [
        "context_length",
        "num_parallel",
        "max_loaded_models",
        "keep_alive",
        "prompt_cache_mib",
    ]
    assert [getattr(alone, name) for name in names] == [getattr(more, name) for name in names]


def test_former_conversations_are_counted_for_each_loaded_model() -> None:
    one, two = (make_plan(settings(models=m)) for m in ("gemma3:1b", "gemma3:1b,qwen3:0.6b"))
    other = memory.need(catalog.models()["qwen3:0.6b"], Load(4096, 1, 3)).total
    assert two.memory_need_gib - one.memory_need_gib == pytest.approx(other + 0.25)


def test_a_data_disk_too_small_for_the_models_is_refused() -> None:
    with pytest.raises(SizingError) as error:
        make_plan(settings(models="qwen3:32b", vmSize="auto", dataDiskGiB="32"))
    assert str(error.value) == (
        "The data disk is too small; nothing has been created or changed.\n"
        "   Need:     35 GiB = models 18.6 + images, chats and files 16\n"
        "   There is: 32 GiB (ollamazure:dataDiskGiB)\n"
        "   Fix:      pulumi config set ollamazure:dataDiskGiB 64"
    )


def test_an_adopted_disk_is_not_checked() -> None:
    disk = (
        "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/g/providers"
        "/Microsoft.Compute/disks/d"
    )
    kept = settings(models="qwen3:32b", vmSize="auto", dataDiskGiB="4", dataDiskId=disk)
    assert make_plan(kept).vm_size.name == "Standard_B8as_v2"


def test_disk_and_memory_are_reported_together() -> None:
    with pytest.raises(SizingError) as error:
        make_plan(settings(models="qwen3:32b", dataDiskGiB="20"))
    assert "The data disk is too small" in str(error.value)
    assert "\nqwen3:32b does not fit Standard_B2ms" in str(error.value)


def test_a_size_that_retires_warns_and_names_sizes_that_can_replace_it() -> None:
    (warning,) = make_plan(settings(), today=date(2026, 11, 24)).warnings
    assert "retires Standard_B2ms (Bv1) on 2028-11-15, 24 months from now" in warning
    assert "Standard_B2as_v2 or Standard_B2s_v2" in warning


def test_a_slow_model_is_named_with_its_speed() -> None:
    (warning,) = make_plan(settings(models="mistral:7b", vmSize="Standard_B2as_v2")).warnings
    assert "mistral:7b will write about 1.8 tokens a second on Standard_B2as_v2" in warning


def test_speed_is_the_published_measurement() -> None:
    """Four vCPUs wrote 4.1 tokens/s with 4.1 GB of weights; only active weights are read."""
    four = catalog.vm_sizes()["Standard_D4as_v5"]
    mistral = catalog.models()["mistral:7b"].model_copy(update={"download_gb": 4.1})
    assert tokens_per_second(mistral, four) == pytest.approx(4.06, rel=0.1)
    dense, mixture = catalog.models()["gemma3:27b"], catalog.models()["qwen3:30b"]
    assert tokens_per_second(mixture, four) > 5 * tokens_per_second(dense, four)  # type: ignore[operator]


def test_a_gpu_uses_a_share_of_its_bandwidth() -> None:
    """A P40 of 346 GB/s wrote 56.8 tokens/s with 3.83 GB of weights."""
    t4 = catalog.vm_sizes()["Standard_NC4as_T4_v3"].model_copy(update={"gpu_bandwidth": 346})
    llama = catalog.models()["mistral:7b"].model_copy(update={"download_gb": 3.83})
    assert tokens_per_second(llama, t4) == pytest.approx(56.8, rel=0.1)
    unknown = catalog.vm_sizes()["Standard_NV36ads_A10_v5"]
    assert tokens_per_second(llama, unknown) is None
    assert tokens_per_second_under_load(llama, unknown, 2, 2) is None


@pytest.mark.parametrize(
    ("size", "people", "parallel", "share"),
    [
        ("Standard_NC4as_T4_v3", 1, 4, 1),
        # a published measurement: two answers at once take 1.7 times, four 2.8 times as much
        ("Standard_NC4as_T4_v3", 4, 4, 2.8 / 4),
        ("Standard_NC4as_T4_v3", 4, 2, 1.7 / 4),  # two answer, two wait
        ("Standard_NC4as_T4_v3", 3, 4, 1.7 / 3),
        ("Standard_D4as_v5", 4, 4, 1 / 4),  # processors are taken to gain nothing
    ],
)
def test_people_at_once_share_the_speed(
    size: str, people: int, parallel: int, share: float
) -> None:
    model, machine = catalog.models()["mistral:7b"], catalog.vm_sizes()[size]
    alone = tokens_per_second(model, machine)
    under_load = tokens_per_second_under_load(model, machine, people, parallel)
    assert alone and under_load == pytest.approx(alone * share)


def test_cost_is_machine_disks_and_address() -> None:
    cost = make_plan(settings()).monthly_cost
    assert cost.amount == pytest.approx(16 / 200 * 730 + 2.4 + 4.8 + 3.65)
    assert str(cost) == (
        "about 69 USD a month (pay as you go, prices of eastus as of 2026-11-23, not verified)"
    )


def test_working_hours_save_the_machine_and_nothing_else() -> None:
    hours = '{"start": "07:00", "end": "19:00", "timeZone": "Europe/Paris"}'  # 60 of 168 hours
    with_hours = settings(workingHours=hours)
    cost = make_plan(with_hours).monthly_cost
    always = make_plan(settings()).monthly_cost
    rest = 2.4 + 4.8 + 3.65
    assert cost.amount == pytest.approx((always.amount - rest) * 60 / 168 + rest)
    assert cost.always_on == always.amount
    assert cost.short == f"about {cost.amount:.0f} USD a month instead of {always.amount:.0f}"
    note = savings_note(with_hours, cost)
    assert note and "Monday to Friday, 07:00 to 19:00, Europe/Paris" in note and cost.short in note
    assert savings_note(settings(), always) is None


@pytest.mark.parametrize(("redundancy", "price"), [("local", 0.02), ("zones", 0.03)])
def test_backups_in_azure_cost_as_much_as_half_of_the_disk_holds(
    redundancy: str, price: float
) -> None:
    declared = BackupSettings(target="azure", redundancy=redundancy)  # type: ignore[arg-type]
    assert backup_price(Settings(ssh_clients=("1.2.3.4",), backup=declared)) == 32 * price
    assert backup_price(Settings(ssh_clients=("1.2.3.4",))) == 0


def test_a_disk_is_billed_by_the_next_larger_tier() -> None:
    assert disk_price(64) == 4.8
    assert disk_price(65) == 9.6


def test_a_search_by_open_webuis_own_model_takes_memory() -> None:
    without = make_plan(settings()).memory_need_gib
    with_it = make_plan(settings(documentSearch="image")).memory_need_gib
    assert with_it - without == pytest.approx(memory.IMAGES_SEARCH_GIB)


@pytest.mark.parametrize(
    ("models", "search", "fix"),
    [
        ('["llama3.2:1b"]', "auto", "--path 'ollamazure:models[1]' nomic-embed-text:v1.5"),
        ('["llama3.2:1b","all-minilm:22m"]', "whole", "ollamazure:documentSearch auto"),
        ('["llama3.2:1b","all-minilm:22m"]', "auto", None),
        ('["llama3.2:1b"]', "image", None),
    ],
)
def test_documents_longer_than_a_conversation_give_a_warning(
    models: str, search: str, fix: str | None
) -> None:
    """The guide is longer than 512 tokens, and is read whole when nothing searches it."""
    given = {
        "knowledge": '[{"name": "Guide", "files": ["docs/explanation/guide.md"]}]',
        "contextLength": "512",
    }
    plan = make_plan(settings(models=models, documentSearch=search, **given))
    found = [text for text in plan.warnings if "The knowledge base Guide has about" in text]
    assert len(found) == (0 if fix is None else 1)
    assert fix is None or found[0].endswith(fix)


@pytest.mark.parametrize(
    "granted",
    [
        {"defaultPermissions": '{"chat": {"file_upload": true}}'},
        {"groups": '[{"name": "research", "permissions": {"chat": {"file_upload": true}}}]'},
    ],
)
def test_the_preview_warns_about_attached_files_that_no_search_shortens(
    granted: dict[str, str],
) -> None:
    found = [text for text in make_plan(settings(**granted)).warnings if "attach files" in text]
    assert len(found) == 1 and "Of a longer file the model sees only the end" in found[0]
    assert found[0].endswith(
        "pulumi config set --path 'ollamazure:models[1]' nomic-embed-text:v1.5"
    )
    for search in ({"documentSearch": "image"}, {"models": '["llama3.2:1b", "all-minilm:22m"]'}):
        plan = make_plan(settings(**granted, **search))
        assert not any("attach files" in text for text in plan.warnings)
    assert not any("attach files" in text for text in make_plan(settings()).warnings)


@pytest.mark.parametrize(
    ("size", "certificate", "dollars"),
    [
        ("Standard_B2ms", "selfSigned", 0.3),
        # 4 tests an hour from 5 places, and a rule on them
        ("Standard_B2ms", "letsEncrypt", 0.4 + 730 * 4 * 5 * 0.0005),
        ("Standard_NC4as_T4_v3", "selfSigned", 0.2),
    ],
)
def test_alerts_cost_their_rules_and_the_runs_of_the_test(
    size: str, certificate: str, dollars: float
) -> None:
    given = {"dnsLabel": "our-team-chat", "certificate": json.dumps({"mode": certificate})}
    alerts = settings(alerts='{"email": ["alice@example.com"]}', **given)
    assert alert_price(catalog.vm_sizes()[size], alerts) == pytest.approx(dollars)
    assert alert_price(catalog.vm_sizes()[size], settings(**given)) == 0
    without = make_plan(settings(**given)).monthly_cost.amount
    assert make_plan(alerts).monthly_cost.amount > without


def test_the_memory_that_is_low_follows_from_the_size() -> None:
    def threshold(size: str) -> float:
        rules = {rule.name: rule for rule in metric_rules(catalog.vm_sizes()[size])}
        return rules["memory-low"].threshold / 2**30

    assert threshold("Standard_B2ms") == memory.SPARE_GIB / 2
    assert threshold("Standard_E32as_v5") == 5.12
