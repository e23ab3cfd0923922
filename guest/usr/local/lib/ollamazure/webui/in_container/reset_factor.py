"""Removes a user's second factor; prints the token with which the user sets up another, as JSON.

Standard input: the user's e-mail, as JSON. Prints null if no account has it.
"""

import asyncio
import contextlib
import json
import os
import sys
import tempfile

email = json.load(sys.stdin)
with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
    # See defaults.py.
    os.environ |= {"ENABLE_DB_MIGRATIONS": "false", "STATIC_DIR": folder}
    import open_webui.config  # noqa: F401  configures Config
    from open_webui.models.users import Users
    from open_webui.utils.mfa import reset_mfa


async def reset() -> str | None:
    exists = await Users.get_user_by_email(email.lower())
    return await reset_mfa(email, "lost device") if exists else None


with contextlib.redirect_stdout(sys.stderr):
    token = asyncio.run(reset())
print(json.dumps(token))
