"""A machine that changes its size: what that means for those who use it, said before it happens."""

from __future__ import annotations

import pulumi
from pulumi.runtime import invoke

from ollamazure import catalog, sizing
from ollamazure.catalog import VmSize
from ollamazure.settings.problems import command
from ollamazure.settings.stack import Settings


def former_size() -> VmSize | None:
    """The machine's size as the last `pulumi up` left it; None before the first.

    The engine reads the stack's own outputs from whatever backend it uses. A StackReference would
    tell the same, but stand in every preview and copy all outputs, secrets too, into the state.
    Where they cannot be read, there is nothing to say: no reason to stop a run.
    """
    stack = f"{pulumi.get_organization()}/{pulumi.get_project()}/{pulumi.get_stack()}"
    try:
        found = invoke("pulumi:pulumi:readStackOutputs", {"name": stack})
    except Exception as error:  # the SDK raises nothing narrower
        pulumi.log.debug(f"The former size is not known: {error}")
        return None
    return catalog.vm_sizes().get(found.value["outputs"].get("vmSize"))


def warning(former: VmSize | None, size: VmSize, settings: Settings) -> str | None:
    """What happens to the machine and to the chat when the size changes, in plain words."""
    if former is None or former == size:
        return None
    if former.machine_class == size.machine_class:
        what = (
            f"The machine changes from {former.name} to {size.name}: it restarts, and the chat is "
            "away for about a minute. Every chat and model stays."
        )
    else:
        minutes = "twenty" if size.gpu else "ten"  # a driver is built at the first boot
        what = (
            f"The machine changes from {former.name} to {size.name}, which Azure does not do with "
            f"a machine that exists: it is deleted and made anew, and the chat is away for about "
            f"{minutes} minutes. Every chat and model stays, on the data disk, and so does the "
            "address."
        )
    return what + (_chosen_by_auto(former, settings) if settings.vm_size == "auto" else "")


def _chosen_by_auto(former: VmSize, settings: Settings) -> str:
    if not sizing.fits(former, settings, sizing.load_on(former, settings)):
        return f" vmSize = auto chose it: the models no longer fit {former.name}."
    return f" vmSize = auto chose it. To keep the former: {command(('vmSize',), former.name)}"
