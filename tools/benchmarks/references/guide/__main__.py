"""The machine that the guide creates by hand: Debian on a Standard_B2ms, and nothing on it.

Podman's storage is on a disk of its own: a folder of the emulated machine's system disk has no
overlay file system, which a disk of a real machine has, and would be slower.
"""

import base64

import pulumi
import pulumi_tls as tls
from pulumi_azure_native import compute, network, resources

USER = "debian"
USER_DATA = """\
#cloud-config
runcmd:
  - [mkfs.ext4, -q, /dev/disk/azure/data/by-lun/0]
  - [mkdir, -p, /var/lib/containers]
  - [mount, /dev/disk/azure/data/by-lun/0, /var/lib/containers]
"""

group = resources.ResourceGroup("group", location="francecentral")
rules = network.NetworkSecurityGroup(
    "rules",
    resource_group_name=group.name,
    security_rules=[
        network.SecurityRuleArgs(
            name=name,
            priority=priority,
            direction="Inbound",
            access="Allow",
            protocol="Tcp",
            source_port_range="*",
            destination_port_range=port,
            source_address_prefix="*",
            destination_address_prefix="*",
        )
        for name, priority, port in (("https", 100, "443"), ("ssh", 110, "22"))
    ],
)
vnet = network.VirtualNetwork(
    "vnet",
    resource_group_name=group.name,
    address_space=network.AddressSpaceArgs(address_prefixes=["10.0.0.0/16"]),
)
subnet = network.Subnet(
    "subnet",
    resource_group_name=group.name,
    virtual_network_name=vnet.name,
    address_prefix="10.0.0.0/24",
    default_outbound_access=False,
    network_security_group=network.NetworkSecurityGroupArgs(id=rules.id),
)
address = network.PublicIPAddress(
    "address",
    resource_group_name=group.name,
    sku=network.PublicIPAddressSkuArgs(name="Standard"),
    public_ip_allocation_method="Static",
)
interface = network.NetworkInterface(
    "interface",
    resource_group_name=group.name,
    ip_configurations=[
        network.NetworkInterfaceIPConfigurationArgs(
            name="main",
            subnet=network.SubnetArgs(id=subnet.id),
            private_ip_allocation_method="Static",
            private_ip_address="10.0.0.4",
            public_ip_address=network.PublicIPAddressArgs(id=address.id),
        )
    ],
)
disk = compute.Disk(
    "disk",
    disk_name="guide-containers",
    resource_group_name=group.name,
    sku=compute.DiskSkuArgs(name="StandardSSD_LRS"),
    creation_data=compute.CreationDataArgs(create_option="Empty"),
    disk_size_gb=20,
)
key = tls.PrivateKey("key", algorithm="ED25519")
compute.VirtualMachine(
    "machine",
    vm_name="guide",
    resource_group_name=group.name,
    hardware_profile=compute.HardwareProfileArgs(vm_size="Standard_B2ms"),
    storage_profile=compute.StorageProfileArgs(
        image_reference=compute.ImageReferenceArgs(
            publisher="Debian", offer="debian-13", sku="13-gen2", version="latest"
        ),
        os_disk=compute.OSDiskArgs(
            create_option="FromImage", delete_option="Delete", caching=compute.CachingTypes.NONE
        ),
        data_disks=[
            compute.DataDiskArgs(
                lun=0,
                create_option="Attach",
                managed_disk=compute.ManagedDiskParametersArgs(id=disk.id),
            )
        ],
    ),
    os_profile=compute.OSProfileArgs(
        admin_username=USER,
        computer_name="guide",
        custom_data=base64.b64encode(USER_DATA.encode()).decode(),
        linux_configuration=compute.LinuxConfigurationArgs(
            disable_password_authentication=True,
            ssh=compute.SshConfigurationArgs(
                public_keys=[
                    compute.SshPublicKeyArgs(
                        key_data=key.public_key_openssh.apply(str.strip),
                        path=f"/home/{USER}/.ssh/authorized_keys",
                    )
                ]
            ),
        ),
    ),
    network_profile=compute.NetworkProfileArgs(
        network_interfaces=[compute.NetworkInterfaceReferenceArgs(id=interface.id)]
    ),
)

pulumi.export("address", address.ip_address)
pulumi.export("user", USER)
pulumi.export("privateKey", key.private_key_openssh)
