"""The settings of a stack: every field with its type, its default and its texts.

load.py reads and checks them. `python -m tools.generate` derives Pulumi.yaml's `config:` block,
docs/reference/settings.md and provider/inputs.py from this file.
"""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field

from ollamazure import catalog
from ollamazure.settings.alerts import AlertSettings, AlertsWebhook
from ollamazure.settings.backup import BackupSettings
from ollamazure.settings.base import Section, setting
from ollamazure.settings.cluster import ClusterSettings, Engine, Scale
from ollamazure.settings.features import Features
from ollamazure.settings.groups import (
    CertificateSettings,
    Mirrors,
    NetworkSettings,
    Rotation,
    Tuning,
)
from ollamazure.settings.proxy import ProxySettings
from ollamazure.settings.restart_window import RestartWindow
from ollamazure.settings.sign_in import ClientSecret, SignIn
from ollamazure.settings.types import (
    HTTPS_PORT,
    Client,
    DiskId,
    DnsLabel,
    DomainName,
    EmailAddress,
    Gibibytes,
    ImageVersion,
    Language,
    Line,
    Location,
    ModelName,
    MultiFactor,
    NginxVersion,
    OllamaVersion,
    Password,
    PrivateClient,
    PrivateKey,
    SecretKey,
    SessionLength,
    TagName,
    TagValue,
    UserName,
    VmSizeName,
    WebhookAddress,
    WebOrigin,
    WebuiVersion,
    Whole,
    model_id,
    opens_to_everyone,
    port_of,
)
from ollamazure.settings.working_hours import BACKUP, EXPIRE_CHATS, WorkingHours
from ollamazure.settings.workspace import (
    Access,
    Banner,
    KnowledgeBase,
    Paragraph,
    Permissions,
    Preset,
    Prompt,
    Suggestion,
    User,
    UserGroup,
)

# Azure allows 50 tags on a resource; ten are reserved for the program's own.
TAG_LIMIT, TAG_LIMIT_OF_AZURE = 40, 50
# Permissions for features of Open WebUI that fetch from the web or send to it.
WEB_PERMISSIONS = (("chat", "web_upload"), ("features", "web_search"), ("features", "webhooks"))

# By the end of the host of a webhook. Teams: workflows of Power Automate (the second one since
# November 2025), and the connectors before them.
WEBHOOK_FORMS = {
    ".logic.azure.com": "teams",
    ".environment.api.powerplatform.com": "teams",
    ".webhook.office.com": "teams",
    "hooks.slack.com": "text",
    "chat.googleapis.com": "text",
}


class Settings(Section):
    """All settings of a stack, as the components read them."""

    location: Location = setting(
        "francecentral",
        description="Azure region that everything is created in.",
        allowed="a region of Azure's public cloud",
        example="francecentral",
    )
    engine: Engine = setting(
        "machine",
        description="What the chat runs on. machine: one VM, for up to about 50 people; "
        "kubernetes: a cluster, with a database, a cache and a file store that Azure operates, "
        "which this version cannot deploy yet.",
        allowed="machine",
        example="machine",
    )
    scale: Scale = setting(
        "small",
        description="How large a cluster is: small for about 50 people, medium for 500, large for "
        "5000.",
        allowed="small, medium or large, and only with engine kubernetes",
        example="small",
    )
    cluster: ClusterSettings = setting(
        ClusterSettings(),
        description="The cluster that the chat runs on.",
        allowed="a group of settings, and only with engine kubernetes",
        example={"systemNodes": 3},
    )
    vm_size: VmSizeName = setting(
        "Standard_B2ms",
        description="Size of the machine; auto: the first size of the catalog that fits.",
        allowed="a size of ollamazure/catalog/vm_sizes.yaml, or auto",
        example="Standard_B2ms",
    )
    image_version: ImageVersion = setting(
        "latest",
        description="Version of Debian 13's image; another one replaces the machine.",
        allowed="latest, or a version of Debian:debian-13:13-gen2",
        example="0.20260914.2601",
    )
    model_memory_gib: dict[ModelName, Gibibytes] = setting(
        {},
        description="Memory that models need that the catalog does not know, by name, in GiB.",
        allowed="the name of a model and its memory, above 0 and up to 1024 GiB",
        example={"my-model:7b": 6.5},
    )
    model_kinds: dict[ModelName, catalog.Kind] = setting(
        {},
        description="Kind of models that the catalog does not know, by name: chat answers "
        "questions; embedding only serves the search in documents, and no user sees it. "
        "Unset: chat.",
        allowed="the name of a model, and chat or embedding",
        example={"qwen3-embedding:0.6b": "embedding"},
    )
    models: Annotated[tuple[ModelName, ...], Field(min_length=1)] = setting(
        ("llama3.2:1b",),
        description="Models to install, by their names in Ollama's library; a new chat starts "
        "with the first that every user may use.",
        allowed="names of ollamazure/catalog/models.yaml, each once; others need a modelMemoryGiB",
        example=["llama3.2:1b"],
    )
    context_length: Annotated[Whole, Field(ge=512, le=1048576)] | None = setting(
        None,
        description="Tokens of a conversation that a model sees, the same for all models. "
        "Unset: it follows from the machine's size.",
        allowed="512 to the limit of every model in use",
        example=4096,
    )
    ssh_clients: Annotated[tuple[Client, ...], Field(min_length=1, max_length=1000)] = setting(
        description="Addresses that can reach the machine by SSH, or the API of a cluster on AKS; "
        "`pulumi up` needs yours.",
        allowed="a list of IPv4 addresses or ranges",
        example=["203.0.113.7/32"],
        fill_in=(
            "<your address>/32",
            "Your address is the public IPv4 address of the network that you deploy from: search "
            'the web for "what is my IP address".',
        ),
    )
    allowed_clients: Annotated[tuple[Client, ...], Field(min_length=1, max_length=1000)] = setting(
        ("0.0.0.0/0",),
        description="Addresses that can reach the chat; 0.0.0.0/0 is everyone.",
        allowed="a list of IPv4 addresses or ranges",
        example=["203.0.113.0/24"],
    )
    public_address: bool = setting(
        True,
        description="Whether the machine has a public address. false: only its network, and "
        "networks that are connected to it, reach the chat and SSH.",
        allowed="true or false",
        example=True,
    )
    network: NetworkSettings = setting(
        NetworkSettings(),
        description="The network that the machine is in.",
        allowed="a group of settings",
        example={
            "subnetId": "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/network"
            "/providers/Microsoft.Network/virtualNetworks/company/subnets/chat"
        },
    )
    vm_admin_username: UserName = setting(
        "ollamazure",
        description="User name of the machine's administrator, who signs in by SSH.",
        allowed="1 to 32 lower-case letters, digits, - and _, and none of Azure's forbidden names",
        example="ollamazure",
    )
    admin_email: EmailAddress = setting(
        "admin@chat.local",
        description="E-mail that the chat's administrator signs in with; no mail is sent to it.",
        allowed="an e-mail address",
        example="admin@example.com",
    )
    admin_name: Line = setting(
        "Administrator",
        description="Name that the chat shows for its administrator.",
        allowed="1 to 64 characters",
        example="Administrator",
    )
    admin_password: Password | None = setting(
        None,
        description="Password of the chat's administrator. Unset: a random one.",
        allowed="12 to 72 bytes, set with --secret",
        example="a long pass phrase",
    )
    admin_password_rotation: Line | None = setting(
        None,
        description="Former name of rotation.adminPassword.",
        allowed="1 to 64 characters, and only if adminPassword and rotation.adminPassword are "
        "unset",
        example="2027-01",
    )
    domain: DomainName | None = setting(
        None,
        description="Domain name of your own that points to the machine.",
        allowed="a full domain name of at most 64 characters",
        example="chat.example.com",
    )
    dns_label: DnsLabel | None = setting(
        None,
        description="First part of a name that Azure gives for free: "
        "our-team-chat.francecentral.cloudapp.azure.com.",
        allowed="3 to 63 lower-case letters, digits and -, not yet taken in the region",
        example="our-team-chat",
    )
    certificate: CertificateSettings = setting(
        CertificateSettings(),
        description="The certificate that browsers see.",
        allowed="a group of settings",
        example={"organization": "Company"},
    )
    certificate_key: PrivateKey | None = setting(
        None,
        description="The private key of certificate.chain.",
        allowed="an unencrypted key in PEM, set with --secret; only certificate.mode provided uses "
        "it",
        example="-----BEGIN PRIVATE KEY-----",
        fill_in=("< key.pem", "key.pem is the certificate's key in PEM, without a passphrase."),
    )
    data_disk_gib: Annotated[Whole, Field(ge=4, le=4095)] = setting(
        64,
        description="Size of the data disk, which holds chats, models and images; it only grows.",
        allowed="4 to 4095 GiB",
        example=64,
    )
    data_disk_id: DiskId | None = setting(
        None,
        description="An existing data disk to adopt, with its chats and models.",
        allowed="the ARM id of a managed disk in the same region",
        example="/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/chat-data"
        "/providers/Microsoft.Compute/disks/chat-data",
    )
    keep_data: bool = setting(
        False,
        description="Whether `pulumi destroy` keeps the data disk, and with it every chat.",
        allowed="true or false",
        example=True,
    )
    backup: BackupSettings = setting(
        BackupSettings(),
        description="Backups of the chat.",
        allowed="a group of settings",
        example={"target": "azure"},
    )
    backup_secret_key: SecretKey | None = setting(
        None,
        description="The secret access key of backup.target s3.",
        allowed="8 to 512 characters without blanks, set with --secret, and only with the target "
        "s3",
        example="a-long-one-that-the-server-made",
    )
    restart_window: RestartWindow = setting(
        RestartWindow(),
        description="When the machine may restart for updates that need it, such as a new kernel.",
        allowed="a group of settings",
        example={"days": ["Sunday"]},
    )
    alerts: AlertSettings = setting(
        AlertSettings(),
        description="Alerts of Azure about the machine and the chat's address.",
        allowed="a group of settings",
        example={"email": ["team@example.com"]},
    )
    alerts_webhook: AlertsWebhook | None = setting(
        None,
        description="An address that Azure posts each alert to, as JSON in its common alert "
        "schema.",
        allowed="an https:// address that the internet reaches, set with --secret",
        example="https://hooks.example.com/alerts?key=a-long-one",
    )
    working_hours: WorkingHours | None = setting(
        None,
        description="The hours in which the machine runs: a schedule in Azure stops and starts it. "
        "Unset: it always runs.",
        allowed="a group of settings",
        example={"start": "07:00", "end": "19:00", "timeZone": "Europe/Paris"},
    )
    ollama_version: OllamaVersion = setting(
        catalog.versions().ollama.version,
        description="Version of Ollama.",
        allowed="a release of github.com/ollama/ollama, 0.30.0 or later",
        example=catalog.versions().ollama.version,
    )
    webui_version: WebuiVersion = setting(
        catalog.versions().open_webui.tag,
        description="Version of Open WebUI; its database cannot go back to an earlier version. "
        "Without a digest it has that of ollamazure/catalog/digests.yaml.",
        allowed="a release of github.com/open-webui/open-webui, with or without the digest of its "
        "image: v0.12.4@sha256:…",
        example=catalog.versions().open_webui.tag,
    )
    nginx_version: NginxVersion = setting(
        catalog.versions().nginx.tag,
        description="Version of Nginx. Without a digest it has that of "
        "ollamazure/catalog/digests.yaml.",
        allowed="a tag of the official nginx image that is only a version, with or without the "
        "digest of its image: 1.30.3@sha256:…",
        example=catalog.versions().nginx.tag,
    )
    mirrors: Mirrors = setting(
        Mirrors(),
        description="Mirrors of the public registries, for machines in a closed network.",
        allowed="a group of settings",
        example={"containers": "https://mirrors.example.com:8443"},
    )
    proxy: ProxySettings = setting(
        ProxySettings(),
        description="An HTTP proxy for all downloads of the machine, for company networks.",
        allowed="a group of settings",
        example={"url": "http://proxy.example.com:3128"},
    )
    probe_from: Literal["operator", "machine"] = setting(
        "operator",
        description="Where the final check of the chat runs; machine: the public address is not "
        "tested.",
        allowed="operator or machine",
        example="operator",
    )
    reapply: Line | None = setting(
        None,
        description="Any text; after a change the next `pulumi up` runs every command on the "
        "machine again.",
        allowed="1 to 64 characters",
        example="2027-01-31",
    )
    rotation: Rotation = setting(
        Rotation(),
        description="Secrets that the next `pulumi up` replaces: any text for each, such as the "
        "month. Another text replaces the secret again.",
        allowed="a group of settings",
        example={"sshKey": "2027-01"},
    )
    tuning: Tuning = setting(
        Tuning(),
        description="Values that normally follow from the machine's size.",
        allowed="a group of settings",
        example={"parallelRequests": 2},
    )
    tags: Annotated[dict[TagName, TagValue], Field(max_length=TAG_LIMIT)] = setting(
        {},
        description="Tags on every Azure resource, in addition to the program's own.",
        allowed=f"at most {TAG_LIMIT} names of up to 512 characters with values of up to 256",
        example={"team": "research"},
    )
    external_tags: tuple[TagName, ...] = setting(
        (),
        description="Names of tags that others set on the Azure resources, such as a company's "
        "policy: `pulumi up` keeps these tags, and drift does not report them.",
        allowed="names of tags, none of them in tags",
        example=["CostCenter"],
    )
    team_file: str | None = setting(
        None,
        description="A YAML file with more users, groups, presets, prompts, knowledge, banners, "
        "suggestions and modelAccess, under the same keys; its lists are appended to those of the "
        "stack file.",
        allowed="a path within the project, relative to its folder",
        example="docs/how-to/team.yaml",
    )
    groups: tuple[UserGroup, ...] = setting(
        (),
        description="Groups of users, in addition to chat-only, which always exists.",
        allowed="a list of groups, each name once",
        example=[{"name": "research", "permissions": {"chat": {"file_upload": True}}}],
    )
    users: tuple[User, ...] = setting(
        (),
        description="Users who sign in, in addition to the administrator.",
        allowed="a list of users, each e-mail once",
        example=[{"email": "alice@example.com", "name": "Alice"}],
    )
    model_access: dict[ModelName, Access] = setting(
        {},
        description="Who may use a model, by its name. Every user may use the other models.",
        allowed="one of models, with groups, users or both",
        example={"llama3.2:1b": {"groups": ["chat-only"]}},
    )
    knowledge: tuple[KnowledgeBase, ...] = setting(
        (),
        description="Documents that presets answer from.",
        allowed="a list of knowledge bases, each name once",
        example=[{"name": "Handbook", "files": ["README.md"]}],
    )
    document_search: Literal["auto", "image", "whole"] = setting(
        "auto",
        description="How models read documents. auto: an embedding model of `models` finds the "
        "passages that fit the question, and without one the model gets the whole text; image: "
        "the small model in Open WebUI's image finds them; whole: always the whole text.",
        allowed="auto, image or whole",
        example="auto",
    )
    presets: tuple[Preset, ...] = setting(
        (),
        description="Models with a task: a base model with a system prompt, parameters, knowledge.",
        allowed="a list of presets, each id once",
        example=[{"id": "writing-coach", "name": "Writing coach", "baseModel": "llama3.2:1b"}],
    )
    prompts: tuple[Prompt, ...] = setting(
        (),
        description="Texts that users insert with a slash and a word.",
        allowed="a list of prompts, each command once",
        example=[{"command": "shorten", "title": "Shorten", "content": "Say it in one sentence:"}],
    )
    banners: tuple[Banner, ...] = setting(
        (),
        description="Lines at the top of every new chat. Without these and `welcome`, the "
        "administrator can set some in the chat.",
        allowed="a list of banners",
        example=[{"type": "info", "content": "Answers may be wrong."}],
    )
    language: Language | None = setting(
        None,
        description="Language of the chat, unless a user chooses another one, and of Nginx's own "
        "pages for browsers that prefer none of English, French, German and Spanish. Unset: the "
        "language of each browser, else English.",
        allowed="a locale of ollamazure/catalog/locales.yaml, or the short form of one: fr for "
        "fr-FR",
        example="fr",
    )
    welcome: Paragraph | None = setting(
        None,
        description="Text at the top of a new chat, before the banners, in Markdown. A user who "
        "closed it sees it again when it changes. With it, the administrator can set no banners "
        "in the chat.",
        allowed="up to 1000 characters",
        example="Welcome! Write to it@example.com if you need help.",
    )
    suggestions: Annotated[tuple[Suggestion, ...], Field(max_length=50)] = setting(
        (),
        description="First questions that a new chat offers, unless its preset has its own. Unset: "
        "Open WebUI's, and the administrator can set others in the chat.",
        allowed="at most 50 suggestions, each title once",
        example=[{"title": "Explain a text", "prompt": "Explain this text in plain words: "}],
    )
    microphone: bool = setting(
        False,
        description="Whether users may speak to the chat. Their browser turns speech into text: "
        "Chrome and Edge send the recording to Google and Microsoft.",
        allowed="true or false",
        example=True,
    )
    frame_origins: Annotated[tuple[WebOrigin, ...], Field(max_length=50)] = setting(
        (),
        description="Sites that may show the chat in a frame of their pages, such as a tab of "
        "Teams or a portal.",
        allowed="a list of https:// origins, without a path; https://*.example.com is every name "
        "below example.com",
        example=["https://portal.example.com"],
    )
    default_model: str | None = setting(
        None,
        description="What a new chat starts with. Unset: the first of models that chats and that "
        "every user may use.",
        allowed="one of models, or the id of a preset",
        example="llama3.2:1b",
    )
    default_permissions: Permissions = setting(
        {},
        description="What every user may do. Unset: a new instance starts with "
        "ollamazure/catalog/open-webui-permissions.yaml, and the administrator can change that in "
        "the chat.",
        allowed="true or false by Open WebUI's names; the others are as in the catalog",
        example={"chat": {"file_upload": True}},
    )
    sign_in: SignIn | None = setting(
        None,
        description="Signing in with an organisation's account, in addition to passwords.",
        allowed="a group of settings",
        example={
            "clientId": "team-chat",
            "issuer": "https://login.example.com/realms/team",
            "allowedDomains": ["example.com"],
        },
    )
    sign_in_secret: ClientSecret | None = setting(
        None,
        description="The client secret from the provider of signIn.",
        allowed="16 to 512 characters without blanks, set with --secret, and only with signIn",
        example="a-long-one-that-the-provider-made",
    )
    multi_factor: MultiFactor | None = setting(
        None,
        description="Signing in with a code of an authenticator app in addition to the password. "
        "offered: users who set it up; administrators: these must set it up, other users may; "
        "everyone: all must. Unset: the administrator can require it of everyone in the chat.",
        allowed="off, offered, administrators or everyone",
        example="administrators",
    )
    session_length: SessionLength = setting(
        "24h",
        description="How long users stay signed in; a change is for new sessions.",
        allowed="10m to 90d: a number with m, h or d",
        example="12h",
    )
    webhook: WebhookAddress | None = setting(
        None,
        description="Address that the machine posts to when something needs attention, and when it "
        "is over.",
        allowed="an https:// address, set with --secret",
        example="https://hooks.example.com/services/T0/B0/a-long-token",
    )
    webhook_format: Literal["teams", "text", "json"] | None = setting(
        None,
        description="What the webhook is sent. teams: an Adaptive Card, for a workflow of "
        "Microsoft Teams; text: for Slack, Mattermost, Rocket.Chat and Google Chat; json: for "
        "programs. Unset: what fits the address, json if it is of none of them.",
        allowed="teams, text or json, and only with webhook",
        example="teams",
    )
    metrics_clients: Annotated[tuple[PrivateClient, ...], Field(max_length=100)] = setting(
        (),
        description="Addresses in private networks that can read the machine's metrics from "
        "Prometheus' node exporter, on port 9100 of its private address. Without any, it is not "
        "installed.",
        allowed="a list of private IPv4 addresses or ranges",
        example=["10.0.0.5/32"],
    )
    audit_log_days: Annotated[Whole, Field(ge=0, le=3650)] = setting(
        90,
        description="Days that the audit log is kept: who signed in with a password, and who "
        "changed what, without questions and answers. 0: none is written, and a former one is "
        "deleted.",
        allowed="0 to 3650",
        example=365,
    )
    chat_days: Annotated[Whole, Field(ge=1, le=3650)] | None = setting(
        None,
        description="Days that a chat is kept after its last change. Older ones are deleted each "
        "night, also pinned and archived ones, with their files, shared links and ratings. Unset: "
        "until a user deletes it.",
        allowed="1 to 3650",
        example=365,
    )
    features: Features = setting(
        Features(),
        description="Features of Open WebUI with a risk. Each is off unless it is set here.",
        allowed="a group of settings",
        example={"channels": True},
    )

    @property
    def backup_calendar(self) -> str:
        """When a backup is made, as systemd's OnCalendar= reads it."""
        hours = self.working_hours
        if hours is None:
            return f"*-*-* {self.backup.time or '02:30'}:00 UTC"
        return hours.calendar(self.backup.time or hours.before_end(BACKUP))

    @property
    def expire_chats_calendar(self) -> str:
        """When old chats are deleted, as systemd's OnCalendar= reads it: before the backup."""
        hours = self.working_hours
        return hours.calendar(hours.before_end(EXPIRE_CHATS)) if hours else "*-*-* 01:30:00 UTC"

    @property
    def restarts_in_window(self) -> bool:
        """Whether the machine restarts itself for updates; with working hours each start does."""
        return self.restart_window.enabled and self.working_hours is None

    @property
    def admin_rotation(self) -> str | None:
        """The text whose change replaces the administrator's random password."""
        return self.rotation.admin_password or self.admin_password_rotation

    @property
    def chat_models(self) -> tuple[str, ...]:
        """The models that answer questions; embedding models only serve the search."""
        return catalog.chat_models(self.models, self.model_kinds)

    @property
    def models_for_everyone(self) -> tuple[str, ...]:
        """The models that every user may choose; no user chats with one that only embeds."""
        restricted = set(map(model_id, self.model_access))
        return tuple(name for name in self.chat_models if name not in restricted)

    @property
    def new_chats_start_with(self) -> str:
        """The model, or the id of the preset, that a new chat starts with."""
        named = self.default_model
        if named is None:
            return next(iter(self.models_for_everyone), self.chat_models[0])
        return named if any(preset.id == named for preset in self.presets) else model_id(named)

    @property
    def embedding_models(self) -> tuple[str, ...]:
        """The models that turn text into numbers for the search, and answer no questions."""
        return tuple(name for name in self.models if name not in self.chat_models)

    @property
    def embedding_model(self) -> str | None:
        """The embedding model for the search of documents, if documentSearch allows one."""
        if self.document_search != "auto":
            return None
        return next(iter(self.embedding_models), None)

    @property
    def searches_documents(self) -> bool:
        """Whether models get the passages that fit a question, and not whole documents."""
        return self.document_search == "image" or self.embedding_model is not None

    def grants(self, branch: str, name: str) -> bool:
        """Whether any user has this permission of Open WebUI, such as chat.file_upload."""
        granted = [self.default_permissions, *(group.permissions for group in self.groups)]
        return any(permissions.get(branch, {}).get(name) for permissions in granted)

    @property
    def web_access(self) -> bool:
        """Whether any user has a permission for which Open WebUI must reach the web."""
        return any(self.grants(*permission) for permission in WEB_PERMISSIONS)

    @property
    def open_to_the_internet(self) -> bool:
        """Whether anyone on the internet can reach the chat."""
        return self.public_address and any(map(opens_to_everyone, self.allowed_clients))

    @property
    def alerts_on(self) -> bool:
        """Whether anyone gets alerts."""
        return bool(self.alerts.email or self.alerts_webhook)

    @property
    def untestable(self) -> tuple[str, str] | None:
        """The setting for which Azure cannot test the chat's address, and why; None: it can."""
        certificate = self.certificate
        if not self.public_address:
            return "publicAddress", "publicAddress is false, and Azure tests from the internet"
        if not self.open_to_the_internet:
            reason = "allowedClients does not admit all addresses, and Azure tests from many"
            return "allowedClients", reason
        if certificate.mode == "selfSigned":
            return "certificate", "certificate.mode is selfSigned, and Azure trusts as browsers do"
        if certificate.mode == "letsEncrypt" and certificate.acme_authority:
            reason = "certificate.acmeAuthority is not public, and Azure trusts as browsers do"
            return "certificate", reason
        if not self.public_name:
            return "domain", "neither domain nor dnsLabel is set, and a certificate is for a name"
        return None

    @property
    def availability_test(self) -> bool:
        """Whether Azure tests the chat's address."""
        wanted = self.alerts.availability_test is not False
        return self.alerts_on and wanted and self.untestable is None

    @property
    def outbound_ports(self) -> dict[str, list[int]]:
        """TCP ports that the settings name, by the sets of guest/etc/ollamazure/firewall.nft."""
        sign_in = {port_of(self.sign_in.provider), HTTPS_PORT} if self.sign_in else set()
        webhook = {port_of(self.webhook.get_secret_value())} if self.webhook else set()
        direct = self.proxy.url is None or bool(self.proxy.exceptions)
        is_ssh = self.backup.target == "sftp"  # which uses no proxy
        return {
            "mirror_ports": sorted(
                {*self.mirrors.ports, *self.certificate.ports} if direct else ()
            ),
            "web_ports": [HTTPS_PORT] if self.web_access and not self.proxy.url else [],
            "sign_in_ports": sorted(sign_in if direct else ()),
            "backup_ports": self.backup.ports if direct or is_ssh else [],
            "webhook_ports": sorted(webhook - {HTTPS_PORT} if direct else ()),
        }

    @property
    def webhook_form(self) -> str:
        """What the webhook is sent: teams, text or json."""
        if self.webhook_format or not self.webhook:
            return self.webhook_format or "json"
        host = urlsplit(self.webhook.get_secret_value()).hostname or ""
        return next((form for end, form in WEBHOOK_FORMS.items() if host.endswith(end)), "json")

    @property
    def webui_uses_proxy(self) -> bool:
        """Whether Open WebUI reaches anything through the proxy."""
        return self.proxy.url is not None and (self.web_access or self.sign_in is not None)

    @property
    def authorities(self) -> str | None:
        """The authorities that every program on the machine trusts, in PEM."""
        given = (self.mirrors.certificate_authority, self.proxy.certificate_authority)
        return "".join(filter(None, given)) or None

    @property
    def public_name(self) -> str | None:
        """The name of the chat's address; None if it is a bare IP address."""
        return self.domain or self.azure_name

    @property
    def azure_name(self) -> str | None:
        """The name that Azure gives to the chat's address, if there is a DNS label."""
        return azure_name(self.dns_label, self.location) if self.dns_label else None

    @property
    def webui_release(self) -> str:
        """The version of Open WebUI, without the digest of its image."""
        return self.webui_version.partition("@")[0]

    @property
    def webui_version_with_digest(self) -> str:
        """The version with the digest of its image, as far as one is known."""
        return self.webui_image.rpartition("/")[2].partition(":")[2]

    @property
    def webui_image(self) -> str:
        """Open WebUI's image, without its mirror, which Podman's own settings name."""
        return catalog.versions().open_webui.reference(self.webui_version)

    @property
    def nginx_image(self) -> str:
        """Nginx's image, without its mirror, which Podman's own settings name."""
        return catalog.versions().nginx.reference(self.nginx_version)


def azure_name(label: str, location: str) -> str:
    """The name that Azure gives to a public address with a DNS label."""
    return f"{label}.{location}.cloudapp.azure.com"
