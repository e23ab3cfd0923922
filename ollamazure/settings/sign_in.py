"""Signing in with an organisation's account: Microsoft Entra ID, or any OpenID provider.

Open WebUI reads all of it from its environment at each start, and from nowhere else (0.12.4 keeps
`oauth.*` in the database only with ENABLE_OAUTH_PERSISTENT_CONFIG).
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, SecretStr

from ollamazure.settings.base import Section, setting
from ollamazure.settings.problems import refusal
from ollamazure.settings.types import DomainName, WebAddress, matching

CALLBACK = "/oauth/oidc/callback"
_ENTRA = "https://login.microsoftonline.com"


def _issuer(value: str) -> str:
    if not value.startswith("https://"):
        raise refusal("anyone who can intercept http:// could sign in as any user; use https://")
    end = "/.well-known/openid-configuration"
    if value.endswith(end):
        raise refusal(f"the issuer is the part before {end}", instead=value.removesuffix(end))
    return value


def _secret(value: SecretStr) -> SecretStr:
    if not re.fullmatch(r"[!-~]{16,512}", value.get_secret_value()):
        raise refusal("a client secret has 16 to 512 letters, digits and signs, and no blank")
    return value


TenantId = Annotated[
    str,
    matching(
        r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}",
        "it is not a tenant's id; common and organizations would let every organisation in",
    ),
]
Issuer = Annotated[WebAddress, AfterValidator(_issuer)]
ClientId = Annotated[str, matching(r"[!-~]{1,255}", "it is empty, too long or has a blank")]
ClientSecret = Annotated[SecretStr, AfterValidator(_secret)]
Scope = Annotated[str, matching(r"[!#-\[\]-~]+", "it is not the name of a scope")]
Claim = Annotated[str, matching(r"[A-Za-z0-9_.:/-]{1,128}", "it is not the name of a claim")]


class SignIn(Section):
    """Signing in with an account that an organisation's OpenID provider vouches for."""

    client_id: ClientId = setting(
        description="The provider's name for this chat: at Entra, the Application (client) ID.",
        allowed="1 to 255 characters without blanks",
        example="6731de76-14a6-49ae-97bc-6eba6914391e",
    )
    tenant: TenantId | None = setting(
        None,
        description="Directory (tenant) ID, if Microsoft Entra ID is the provider.",
        allowed="the id of a tenant, and only if issuer is unset",
        example="72f988bf-86f1-41af-91ab-2d7cd011db47",
    )
    issuer: Issuer | None = setting(
        None,
        description="Address of any other provider.",
        allowed="an https:// address with .well-known/openid-configuration below it, and only "
        "if tenant is unset",
        example="https://login.example.com/realms/team",
    )
    allowed_domains: Annotated[tuple[DomainName, ...], Field(min_length=1)] = setting(
        description="Only users whose e-mail is in one of these domains can sign in.",
        allowed="domain names",
        example=["example.com"],
    )
    scopes: tuple[Scope, ...] = setting(
        ("openid", "email", "profile"),
        description="Scopes that the chat requests from the provider.",
        allowed="names of scopes, openid and email among them",
        example=["openid", "email", "profile"],
    )
    merge_by_email: bool = setting(
        False,
        description="Whether a user who signs in gets the existing account with the same e-mail, "
        "even the administrator's. Only for a provider that verifies e-mails.",
        allowed="true or false",
        example=True,
    )
    new_accounts: Literal["pending", "user", "none"] = setting(
        "pending",
        description="What happens when a person without an account signs in. user: they get one; "
        "pending: they get one that an administrator has to approve; none: they are refused.",
        allowed="pending, user, or, with mergeByEmail, none",
        example="user",
    )
    groups: tuple[str, ...] = setting(
        (),
        description="Groups that the provider fills at each sign-in, by their names in its claim.",
        allowed="names of groups without members in these settings",
        example=["research"],
    )
    groups_claim: Claim = setting(
        "groups",
        description="The claim that lists a user's groups; roles for app roles of Entra.",
        allowed="the name of a claim",
        example="roles",
    )

    multi_factor_at_provider: bool = setting(
        False,
        description="Whether the provider asks for a second factor itself. true: the chat asks "
        "users who sign in there for none, whatever multiFactor is.",
        allowed="true or false",
        example=True,
    )

    @property
    def provider(self) -> str:
        """The address of the issuer."""
        return f"{_ENTRA}/{self.tenant}/v2.0" if self.tenant else str(self.issuer)

    @property
    def role_of_new_accounts(self) -> str:
        """The role in Open WebUI of a user who signs in for the first time."""
        return "user" if self.new_accounts == "user" else "pending"

    def values(self) -> dict[str, Any]:
        """The values for sign-in.env.j2, except the chat's own address."""
        return {
            "provider": self.provider,
            "provider_name": "Microsoft" if self.tenant else "SSO",
            "callback": CALLBACK,
            "client_id": self.client_id,
            "scopes": " ".join(self.scopes),
            "allowed_domains": ",".join(self.allowed_domains),
            "makes_accounts": self.new_accounts != "none",
            "merges": self.merge_by_email,
            "fills_groups": bool(self.groups),
            "groups_claim": self.groups_claim,
            "other_groups": json.dumps([all_but(self.groups)]),
        }


def all_but(groups: Sequence[str]) -> str:
    """A regular expression of all other groups, for Open WebUI's list of those it leaves alone."""
    return rf"^(?!(?:{'|'.join(map(re.escape, groups))})\Z)"
