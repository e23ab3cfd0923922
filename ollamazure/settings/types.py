"""Which single values are allowed: pure validators, and the annotated types made of them.

A validator returns the value in its usual form, or refuses it with a reason that continues
"… is not allowed: ".
"""

from __future__ import annotations

import ipaddress
import re
import ssl
import time
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, StringConstraints

from ollamazure import catalog
from ollamazure.settings.problems import command, did_you_mean, hint, refusal, remove


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Names that Azure refuses for a Linux administrator (REST reference of virtual machines,
# osProfile.adminUsername), and accounts that the machine already has.
FORBIDDEN_BY_AZURE = _words(
    """
    administrator admin user user1 test user2 test1 user3 admin1 1 123 a actuser adm admin2
    aspnet backup console david guest john owner root server sql support support_388945a0 sys
    test2 test3 user4 user5
    """
)
ACCOUNTS_OF_THE_MACHINE = _words(
    """
    bin daemon games irc list lp mail man messagebus news nobody ollama open-webui proxy sshd
    sync systemd-network systemd-resolve systemd-timesync uucp uuidd www-data _apt
    """
)

HTTPS_PORT = 443

# X.509's upper bound for a common name (RFC 5280, appendix A.1), in characters.
COMMON_NAME_LIMIT = 64
# Open WebUI hashes passwords with bcrypt, which reads no further.
PASSWORD_LIMIT_BYTES = 72
_RELEASE = r"[0-9]+\.[0-9]+\.[0-9]+"
_DIGEST = r"(@sha256:[0-9a-f]{64})?"
_WHOLE = r"-?(0|[1-9][0-9]*)"
HIGHEST_PORT = 65535
WEBHOOK_LIMIT = 2048  # characters; those of Microsoft Teams have about 350
PRIVATE_NETWORKS = tuple(
    map(ipaddress.IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"))
)
# Azure's names for every address, in a security rule.
EVERY_ADDRESS = ("*", "any", "internet", "azurecloud")
# Azure's services use the subnets of these names, and accept no machine in them.
RESERVED_SUBNETS = _words(
    "azurebastionsubnet azurefirewallmanagementsubnet azurefirewallsubnet gatewaysubnet "
    "routeserversubnet"
)
# Prefix lengths of the widest ranges that one organisation can have, by IP version.
WIDEST_RANGE = {4: 8, 6: 16}


def matching(pattern: str, reason: str) -> AfterValidator:
    """A validator that the whole text matches; otherwise it refuses with the reason."""

    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise refusal(reason)
        return value

    return AfterValidator(check)


def one_of(known: Callable[[], Sequence[str]], kind: str) -> AfterValidator:
    """A validator against names of the catalog, in any case, that suggests the nearest one."""

    def check(value: str) -> str:
        by_lower_case = {name.lower(): name for name in known()}
        found = by_lower_case.get(value.lower())
        if found:
            return found
        near = did_you_mean(value.lower(), by_lower_case) or _ending_in(value, by_lower_case)
        right = by_lower_case[near] if near else None
        raise refusal(f"there is no such {kind}{hint(right)}", instead=right)

    return AfterValidator(check)


def _ending_in(value: str, names: Iterable[str]) -> str | None:
    """The name that ends in the value: people write B2ms for Standard_B2ms."""
    return next((name for name in names if name.endswith(f"_{value.lower()}")), None)


def _without_v(value: Any) -> Any:
    return value.removeprefix("v") if isinstance(value, str) else value


def _location(value: Any) -> Any:
    """The name that Azure's API takes: francecentral for France Central."""
    return value.replace(" ", "").lower() if isinstance(value, str) else value


def _client(value: str) -> str:
    try:
        network = ipaddress.ip_network(value.strip(), strict=False)
    except ValueError:
        raise refusal("it is neither an IPv4 address nor a range such as 203.0.113.0/24") from None
    if network.version != 4:
        raise refusal("the machine has an IPv4 address only, so no IPv6 client reaches it")
    return str(network)


def _subnet(value: str) -> str:
    if value.rpartition("/")[2].lower() in RESERVED_SUBNETS:
        raise refusal("Azure reserves a subnet of this name for its own gateways")
    return value


def opens_to_everyone(prefix: str) -> bool:
    """Whether a range of addresses, or Azure's name for one, is open to the whole internet.

    A range that is wider than any organisation's counts as well: 0.0.0.0/1 and 128.0.0.0/1 together
    are every address.
    """
    name = prefix.strip().lower()
    if name.partition(".")[0] in EVERY_ADDRESS:  # AzureCloud.francecentral is one region of it
        return True
    try:
        network = ipaddress.ip_network(name, strict=False)
    except ValueError:
        return False
    return network.prefixlen < WIDEST_RANGE[network.version]


def model_id(value: str) -> str:
    """A model's name with its tag, as Ollama and Open WebUI list it."""
    return value if ":" in value.rsplit("/", 1)[-1] else f"{value}:latest"


def _model_name(value: str) -> str:
    part = r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}"
    if not re.fullmatch(rf"({part}(:[0-9]+)?/)?({part}/)?{part}(:{part})?", value):
        raise refusal("it is not the name of a model in Ollama's library")
    name = model_id(value)
    # https://docs.ollama.com/cloud: such a name is of a model that Ollama's servers run.
    if re.fullmatch(r"(.*-)?cloud", name.rpartition(":")[2].lower()):
        raise refusal(
            "Ollama's servers run it, not the machine, and no question leaves the machine"
        )
    return name


def _domain(value: str) -> str:
    name = value.rstrip(".").lower()
    if "://" in name or "/" in name:
        raise refusal("it is the address of a page; set the bare name, without https:// and path")
    label = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
    if not re.fullmatch(rf"({label}\.)+[a-z][a-z0-9-]{{0,61}}[a-z0-9]", name):
        raise refusal("it is not a full domain name")
    if name.endswith(".cloudapp.azure.com"):
        label = command(("dnsLabel",), name.partition(".")[0])
        fix = f"{remove(('domain',))} && {label}"
        raise refusal("names below cloudapp.azure.com are Azure's, see dnsLabel", fix=fix)
    if len(name) > COMMON_NAME_LIMIT:
        raise refusal(f"it has {len(name)} characters, and a certificate holds {COMMON_NAME_LIMIT}")
    return name


def _has_control_character(text: str) -> bool:
    """Whether a text has a line break, NUL or another character that no keyboard types into a line.

    Cc are control characters, Zl and Zp Unicode's own line breaks, Cs are halves of a character.
    """
    return any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in text)


def _one_line(value: str) -> str:
    if _has_control_character(value):
        raise refusal("it has a line break or another control character")
    return value


def _whole(value: Any) -> Any:
    """Text only in the usual form: Python also reads 6_4, +64 and digits of other scripts."""
    if isinstance(value, bool) or (isinstance(value, str) and not re.fullmatch(_WHOLE, value)):
        raise refusal("it is not a whole number")
    return value


def _decimal(value: Any) -> Any:
    plain = rf"{_WHOLE}(\.[0-9]+)?"
    if isinstance(value, bool) or (isinstance(value, str) and not re.fullmatch(plain, value)):
        raise refusal("it is not a number")
    return value


def _country(value: str) -> str:
    if value in catalog.countries():
        return value
    right = catalog.countries_instead().get(value)
    raise refusal(f"ISO 3166 has no such country{hint(right)}", instead=right)


def _language(value: str) -> str:
    """Open WebUI's name of a language, short forms as it reads them: fr is fr-FR, zh is zh-CN.

    The source is `toBundleCode` in its src/lib/i18n/index.ts.
    """
    name = value.strip().replace("_", "-").lower()
    by_lower_case = {locale.lower(): locale for locale in catalog.locales()}
    language = name.partition("-")[0]
    related = [locale for key, locale in by_lower_case.items() if key.startswith(f"{language}-")]
    if name in by_lower_case:
        return by_lower_case[name]
    if name == language and related:
        primary = f"{language}-{language.upper()}"
        return primary if primary in related else related[0]
    nearest = did_you_mean(name, by_lower_case)
    near = related or ([by_lower_case[nearest]] if nearest else [])
    reason = f"Open WebUI has no such language{hint(' or '.join(near) or None)}"
    raise refusal(reason, instead=near[0] if near else None)


def _password(value: SecretStr) -> SecretStr:
    if _has_control_character(value.get_secret_value()):
        raise refusal("it has a line break or another character that the sign-in page cannot take")
    length = len(value.get_secret_value().encode())
    if length < 12:
        raise refusal(f"it has {length} bytes, fewer than 12")
    if length > PASSWORD_LIMIT_BYTES:
        raise refusal(f"it has {length} bytes, and Open WebUI reads only {PASSWORD_LIMIT_BYTES}")
    return value


def _session_length(value: str) -> str:
    minutes = int(value[:-1]) * {"m": 1, "h": 60, "d": 24 * 60}[value[-1]]
    if not 10 <= minutes <= 90 * 24 * 60:
        raise refusal("it is not from 10 minutes to 90 days")
    return value


def _time_of_day(value: Any) -> Any:
    """YAML 1.1 reads 10:00 to 23:59 without quotes as a number, of minutes."""
    is_minutes = type(value) is int and 10 * 60 <= value < 24 * 60
    return f"{value // 60:02}:{value % 60:02}" if is_minutes else value


def _text_of(value: Any) -> Any:
    """The text of a tag: `pulumi config set --path` stores true, false and numbers as such."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else value


def _administrator(value: str) -> str:
    if value in FORBIDDEN_BY_AZURE:
        raise refusal("Azure refuses this name for an administrator")
    if value in ACCOUNTS_OF_THE_MACHINE:
        raise refusal("the machine already has an account of this name")
    return value


def _tag_name(value: str) -> str:
    if re.search(r"[<>%&\\?/]", value):
        raise refusal(r"Azure refuses < > % & \ ? / in the name of a tag")
    if value.lower().startswith(("microsoft", "azure", "windows")):
        raise refusal("Azure reserves tags that start with microsoft, azure or windows")
    return value


def _is_port(digits: str) -> bool:
    return 1 <= int(digits) <= HIGHEST_PORT


def _with_possible_port(value: str) -> str:
    port = urlsplit(value if "://" in value else f"//{value}").netloc.partition(":")[2]
    if port and not _is_port(port):
        raise refusal(f"a port is a number from 1 to {HIGHEST_PORT}")
    return value


def port_of(address: str) -> int:
    """The TCP port of an http:// or https:// address; without a scheme it is reached by HTTPS."""
    parts = urlsplit(address if "://" in address else f"https://{address}")
    return parts.port or (80 if parts.scheme == "http" else HTTPS_PORT)


def _without_path(value: str) -> str:
    """Ollama reads a name as HOST/OWNER/MODEL (its types/model/name.go), so no path fits in."""
    address = urlsplit(value)
    if address.path:
        reason = f"Ollama contacts a registry at its host alone, so it would ignore {address.path}"
        raise refusal(reason, instead=f"{address.scheme}://{address.netloc}")
    return value


def _certificate_authority(value: str) -> str:
    """The certificates in PEM, if each belongs to an authority and is valid today."""
    if "PRIVATE KEY" in value:
        raise refusal("it has a private key, which only the authority itself may have")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cadata=value)
    except (ssl.SSLError, TypeError, ValueError):  # the last two: not ASCII, or with NUL
        raise refusal("it is not a certificate in PEM") from None
    authorities = context.get_ca_certs()
    if len(authorities) != context.cert_store_stats()["x509"]:
        raise refusal("it has a server's certificate; the certificate of its issuer is needed")
    now = time.time()
    for authority in authorities:
        if ssl.cert_time_to_seconds(str(authority["notAfter"])) < now:
            raise refusal(f"it expired on {authority['notAfter']}")
        if ssl.cert_time_to_seconds(str(authority["notBefore"])) > now:
            raise refusal(f"it is not valid before {authority['notBefore']}")
    return value.strip() + "\n"


def _only_https(value: str) -> str:
    if not value.startswith("https://"):
        raise refusal("anyone who can intercept http:// could change the answers; use https://")
    return value


def _secret_key(value: SecretStr) -> SecretStr:
    if not re.fullmatch(r"[!-~]{8,512}", value.get_secret_value()):
        raise refusal("it is not 8 to 512 characters of ASCII without blanks")
    return value


def _webhook(value: SecretStr) -> SecretStr:
    """Reasons that never show the address: it has a token."""
    address = value.get_secret_value()
    if address.lower().startswith("http://"):
        raise refusal("anyone on its way could read http:// and use its token; use https://")
    if "@" in address.partition("://")[2].partition("/")[0]:
        raise refusal("it has a user name, which would not be sent")
    host = r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?"
    match = re.fullmatch(rf"https://{host}(:(?P<port>\d{{1,5}}))?([/?][!-~]*)?", address)
    if not match or "#" in address or len(address) > WEBHOOK_LIMIT:
        raise refusal(f"it is not an https:// address of up to {WEBHOOK_LIMIT} characters")
    if match["port"] and not _is_port(match["port"]):
        raise refusal(f"a port is a number from 1 to {HIGHEST_PORT}")
    return value


def _private_client(value: str) -> str:
    network = ipaddress.IPv4Network(value)
    if not any(network.subnet_of(private) for private in PRIVATE_NETWORKS):
        raise refusal(
            f"it is in no private network ({', '.join(map(str, PRIVATE_NETWORKS))}), and metrics "
            "are sent without encryption"
        )
    return value


def _pem_key(value: SecretStr) -> SecretStr:
    if "PRIVATE KEY-----" not in value.get_secret_value():
        raise refusal(
            "it is not a private key in PEM",
            fix="pulumi config set --secret ollamazure:certificateKey < key.pem",
        )
    return value


def _ollama_version(value: str) -> str:
    if tuple(int(part) for part in value.partition("-")[0].split(".")) < (0, 30, 0):
        raise refusal(
            "before 0.30 another engine ran the models, so the memory estimate is wrong",
            instead=catalog.versions().ollama.version,
        )
    return value


def _origin(value: str) -> str:
    """The origin in lower case, without the slash that a copied address ends with."""
    origin = value.strip().lower().removesuffix("/")
    label = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
    match = re.fullmatch(
        rf"https://(?P<wildcard>\*\.)?(?P<host>{label}(\.{label})*)(:(?P<port>\d{{1,5}}))?", origin
    )
    if not match:
        reason = "it is not an https:// origin: https:// and a host name, without a path"
        if origin in {"*", "https://*", "https://*.*"}:
            reason = "every site could show the chat in a frame; name the sites"
        raise refusal(reason)
    if match["wildcard"] and "." not in match["host"]:
        raise refusal("it stands for every name below a top-level domain; name the site's domain")
    if match["port"] and not _is_port(match["port"]):
        raise refusal(f"{match['port']} is not a port")
    return origin.removesuffix(":443")


# Azure
Location = Annotated[
    str, BeforeValidator(_location), one_of(catalog.locations, "region of Azure's public cloud")
]
VmSizeName = Annotated[
    str, one_of(lambda: ("auto", *catalog.vm_sizes()), "size in ollamazure/catalog/vm_sizes.yaml")
]
ImageVersion = Annotated[
    str, matching(r"latest|[0-9]+\.[0-9]{8}\.[0-9]+", "it is not a version of Debian's image")
]
DnsLabel = Annotated[
    str,
    matching(
        r"[a-z][a-z0-9-]{1,61}[a-z0-9]",
        "Azure requires 3 to 63 lower-case letters, digits and -, a letter first and no - last",
    ),
]
DiskId = Annotated[
    str,
    matching(
        r"(?i)/subscriptions/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
        r"/resourceGroups/[\w.()-]{1,90}/providers/Microsoft\.Compute/disks/[\w.-]{1,80}",
        "it is not the ARM id of a managed disk",
    ),
]
BlobContainerId = Annotated[
    str,
    matching(
        r"(?i)/subscriptions/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
        r"/resourceGroups/[\w.()-]{1,90}/providers/Microsoft\.Storage/storageAccounts"
        r"/[a-z0-9]{3,24}/blobServices/default/containers/[a-z0-9-]{3,63}",
        "it is not the ARM id of a blob container",
    ),
]
SubnetId = Annotated[
    str,
    matching(
        r"(?i)/subscriptions/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
        r"/resourceGroups/[\w.()-]{1,90}/providers/Microsoft\.Network/virtualNetworks/[\w.-]{2,64}"
        r"/subnets/[\w.-]{1,80}",
        "it is not the ARM id of a subnet",
    ),
    AfterValidator(_subnet),
]
TagName = Annotated[str, StringConstraints(min_length=1, max_length=512), AfterValidator(_tag_name)]
TagValue = Annotated[str, BeforeValidator(_text_of), StringConstraints(max_length=256)]

# The machine and its clients
Client = Annotated[str, AfterValidator(_client)]
PrivateClient = Annotated[Client, AfterValidator(_private_client)]
UserName = Annotated[
    str,
    matching(
        r"[a-z_][a-z0-9_-]{0,31}",
        "it is not a Linux user name: lower-case letters, digits, - and _, a letter or _ first",
    ),
    AfterValidator(_administrator),
]
DomainName = Annotated[str, AfterValidator(_domain)]
WebAddress = Annotated[
    str,
    AfterValidator(lambda value: value.rstrip("/")),
    matching(
        r"https?://[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:\d{1,5})?(/[^\s?#]*)?",
        "it is not an http:// or https:// address",
    ),
    AfterValidator(_with_possible_port),
]
WebOrigin = Annotated[str, AfterValidator(_origin)]
ModelRegistry = Annotated[WebAddress, AfterValidator(_without_path)]
ContainerRegistry = Annotated[
    str,
    AfterValidator(lambda value: value.rstrip("/")),
    matching(
        r"(https?://)?[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:\d{1,5})?(/[a-z0-9._/-]+)?",
        "it is not the address of a registry",
    ),
    AfterValidator(_with_possible_port),
]
AcmeDirectory = Annotated[WebAddress, AfterValidator(_only_https)]
CertificateAuthority = Annotated[str, AfterValidator(_certificate_authority)]

# Numbers; ge and le of a field limit them.
Whole = Annotated[int, BeforeValidator(_whole)]
Gibibytes = Annotated[float, BeforeValidator(_decimal), Field(gt=0, le=1024)]

# The certificate
CountryCode = Annotated[
    str, matching(r"[A-Z]{2}", "it is not two capital letters"), AfterValidator(_country)
]
_OneLine = AfterValidator(_one_line)
Line = Annotated[
    str, StringConstraints(min_length=1, max_length=64, strip_whitespace=True), _OneLine
]
LongLine = Annotated[
    str, StringConstraints(min_length=1, max_length=128, strip_whitespace=True), _OneLine
]

# Models and the chat
Language = Annotated[str, AfterValidator(_language)]
ModelName = Annotated[str, AfterValidator(_model_name)]
Duration = Annotated[str, matching(r"-1|[0-9]+(ms|s|m|h)", "it is not a duration")]
SessionLength = Annotated[
    str,
    matching("[0-9]{1,6}[mhd]", "it is not a number with m, h or d"),
    AfterValidator(_session_length),
]
EmailAddress = Annotated[
    str,
    AfterValidator(str.lower),
    _OneLine,
    matching(r"[^@\s]{1,64}@[^@\s]+\.[^@\s.]{1,63}", "it is not an e-mail address"),
    Field(max_length=254),
]
# YAML reads off as false.
MultiFactor = Annotated[
    Literal["off", "offered", "administrators", "everyone"],
    BeforeValidator(lambda value: "off" if value in (False, "false") else value),
]
# Backups
BackupTarget = Annotated[
    Literal["dataDisk", "azure", "s3", "sftp", "off"],
    BeforeValidator(lambda value: "off" if value in (False, "false") else value),
]
TimeOfDay = Annotated[
    str,
    BeforeValidator(_time_of_day),
    matching(r"([01][0-9]|2[0-3]):[0-5][0-9]", "it is not a time of day"),
]
BackupRepository = Annotated[
    str,
    matching(
        r"s3:https?://[\w.-]+(:\d{1,5})?/[\w.-]+(/[\w./-]*)?"
        r"|sftp://[a-z_][\w.-]*@[\w.-]+(:\d{1,5})?//[\w./-]+",
        "it is neither s3:https://SERVER/BUCKET/PATH nor sftp://USER@SERVER//PATH",
    ),
    AfterValidator(_with_possible_port),
]
AccessKeyId = Annotated[str, matching(r"[\w.+-]{1,128}", "it is not the name of an access key")]
SecretKey = Annotated[SecretStr, AfterValidator(_secret_key)]
WebhookAddress = Annotated[SecretStr, AfterValidator(_webhook)]
HostKey = Annotated[
    str,
    matching(
        r"(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521)) [A-Za-z0-9+/]{60,}={0,2}",
        "it is not a public key in OpenSSH's form",
    ),
]
PrivateKey = Annotated[SecretStr, AfterValidator(_pem_key)]
Password = Annotated[SecretStr, AfterValidator(_password)]
OllamaVersion = Annotated[
    str,
    BeforeValidator(_without_v),
    matching(rf"{_RELEASE}(-rc[0-9]+)?", "it is not a version of Ollama"),
    AfterValidator(_ollama_version),
]
WebuiVersion = Annotated[
    str,
    AfterValidator(lambda value: value if value.startswith("v") else f"v{value}"),
    matching(rf"v{_RELEASE}{_DIGEST}", "it is not a version of Open WebUI"),
]
NginxVersion = Annotated[
    str,
    BeforeValidator(_without_v),
    matching(rf"{_RELEASE}{_DIGEST}", "it is not a version of Nginx"),
]
