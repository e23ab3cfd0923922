"""Signing in with an account of one's organisation: Microsoft Entra ID, or any OpenID provider.

Open WebUI takes all of it from its environment at each start, and only from there (its 0.12.4 keeps
`oauth.*` in the database only with ENABLE_OAUTH_PERSISTENT_CONFIG).
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic.functional_validators import AfterValidator

from ollamazure.settings.base import Section, setting
from ollamazure.settings.problems import command, refusal, remove
from ollamazure.settings.types import DomainName, WebAddress, matching

CALLBACK = "/oauth/oidc/callback"
_ENTRA = "https://login.microsoftonline.com"
_NEEDED_SCOPES = ("openid", "email")


def _issuer(value: str) -> str:
    if not value.startswith("https://"):
        raise refusal("everybody on the way could sign in as anybody: it has to be https://")
    end = "/.well-known/openid-configuration"
    if value.endswith(end):
        raise refusal("the issuer is what stands before that", instead=value.removesuffix(end))
    return value


def _secret(value: SecretStr) -> SecretStr:
    if not re.fullmatch(r"[!-~]{16,512}", value.get_secret_value()):
        raise refusal("a client secret has 16 to 512 letters, digits and signs, and no blank")
    return value


def _scopes(value: tuple[str, ...]) -> tuple[str, ...]:
    lacking = [scope for scope in _NEEDED_SCOPES if scope not in value]
    if lacking:
        fix = command(("signIn", "scopes", len(value)), lacking[0])
        raise refusal(f"without {lacking[0]} nobody is told who signs in", fix=fix)
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
        description="What the provider calls this chat: Application (client) ID at Entra.",
        allowed="1 to 255 characters without blanks",
        example="6731de76-14a6-49ae-97bc-6eba6914391e",
    )
    tenant: TenantId | None = setting(
        None,
        description="Directory (tenant) ID, where Microsoft Entra ID is the provider.",
        allowed="a tenant's id, and only where issuer is unset",
        example="72f988bf-86f1-41af-91ab-2d7cd011db47",
    )
    issuer: Issuer | None = setting(
        None,
        description="Address of any other provider.",
        allowed="an https:// address with .well-known/openid-configuration below it, and only "
        "where tenant is unset",
        example="https://login.example.com/realms/team",
    )
    allowed_domains: Annotated[tuple[DomainName, ...], Field(min_length=1)] = setting(
        description="Whose e-mail ends in none of these is refused.",
        allowed="domain names",
        example=["example.com"],
    )
    scopes: Annotated[tuple[Scope, ...], AfterValidator(_scopes)] = setting(
        ("openid", "email", "profile"),
        description="What the provider is asked for.",
        allowed="names of scopes, openid and email among them",
        example=["openid", "email", "profile"],
    )
    merge_by_email: bool = setting(
        False,
        description="Whether who signs in has the account with that e-mail, the administrator's "
        "included. Only for a provider that checks its e-mails.",
        allowed="true or false",
        example=True,
    )
    new_accounts: Literal["pending", "user", "none"] = setting(
        "pending",
        description="What who has no account becomes: a user, one that an administrator lets in "
        "first (pending), or nothing (none).",
        allowed="pending, user, or, with mergeByEmail, none",
        example="user",
    )
    groups: tuple[str, ...] = setting(
        (),
        description="Groups that the provider fills, by their names in its claim, at each sign-in.",
        allowed="names of groups that name no members, and that no user names",
        example=["research"],
    )
    groups_claim: Claim = setting(
        "groups",
        description="Where the provider says who is in which group: roles for app roles of Entra.",
        allowed="the name of a claim",
        example="roles",
    )

    @field_validator("issuer")
    @classmethod
    def _one_provider(cls, value: str | None, info: ValidationInfo) -> str | None:
        if "tenant" in info.data and not value and not info.data["tenant"]:
            raise refusal("neither it nor tenant is set, so there is nobody to ask")
        if value and info.data.get("tenant"):
            fix = remove(("signIn", "issuer"))
            raise refusal("tenant is set, too, and there can be only one provider", fix=fix)
        return value

    @field_validator("new_accounts")
    @classmethod
    def _somebody_may(cls, value: str, info: ValidationInfo) -> str:
        if value == "none" and info.data.get("merge_by_email") is False:
            reason = "without mergeByEmail nobody has an account to sign in to"
            raise refusal(reason, instead="pending")
        return value

    @property
    def provider(self) -> str:
        """The issuer's address."""
        return f"{_ENTRA}/{self.tenant}/v2.0" if self.tenant else str(self.issuer)

    @property
    def role_of_new_accounts(self) -> str:
        """Open WebUI's role for who signs in first."""
        return "user" if self.new_accounts == "user" else "pending"

    def values(self) -> dict[str, Any]:
        """What sign-in.env.j2 is filled in with, besides the chat's own address."""
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
    """The regular expression, for Open WebUI's list of groups it leaves alone, of all others."""
    return rf"^(?!(?:{'|'.join(map(re.escape, groups))})\Z)"
