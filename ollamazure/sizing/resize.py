"""What happens to the chat when the machine changes its size, as a warning at preview."""

from __future__ import annotations

from ollamazure.catalog import VmSize
from ollamazure.names import VM
from ollamazure.settings.problems import command
from ollamazure.settings.stack import Settings
from ollamazure.sizing.choice import holds_models


def resize_warning(former: VmSize | None, size: VmSize, settings: Settings) -> str | None:
    """What a change from `former` to `size` does to the machine and the chat; None without one."""
    if former is None or former == size:
        return None
    change = f"The machine changes from {former.name} to {size.name}."
    if former.machine_class == size.machine_class:
        effect = (
            "It restarts, and the chat is unavailable for about a minute. All chats and models "
            "are kept."
        )
    else:
        minutes = "twenty" if size.gpu else "ten"  # the first boot builds a GPU's driver
        effect = (
            "Azure cannot resize an existing machine between these sizes: it is deleted and "
            f"created again, and the chat is unavailable for about {minutes} minutes. The address "
            "and the data disk with all chats and models are kept."
        )
    return " ".join([change, effect, *_because_of_auto(former, settings)])


def refused_resize_warning(former: VmSize | None, size: VmSize, group: str) -> str | None:
    """What to run if Azure refuses to resize the running machine in the resource group `group`.

    Azure resizes in place where the hardware that the machine runs on has the new size.
    """
    if former is None or former == size or former.machine_class != size.machine_class:
        return None
    machine = f"--resource-group {group} --name {VM}"
    # The first `up` resizes it and ends, because a machine that is off runs no command.
    return (
        "If Azure refuses the new size with OperationNotAllowed, resize the machine while it is "
        f"stopped: az vm deallocate {machine} && pulumi up; az vm start {machine} && "
        "pulumi up"
    )


def _because_of_auto(former: VmSize, settings: Settings) -> list[str]:
    if settings.vm_size != "auto":
        return []
    if not holds_models(former, settings):
        return [f"vmSize = auto chose the new size: the models no longer fit {former.name}."]
    keep = command(("vmSize",), former.name)
    return [f"vmSize = auto chose the new size. To keep the former size: {keep}"]
