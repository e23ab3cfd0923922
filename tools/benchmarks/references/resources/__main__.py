"""35 resources of azure-native, command, random and tls, written as their documentation shows."""

import pulumi
import pulumi_random as random
import pulumi_tls as tls
from pulumi_azure_native import compute, network, resources
from pulumi_command import remote

LOCATION = "francecentral"
COMMANDS = 18

group = resources.ResourceGroup("group", location=LOCATION)
data = resources.ResourceGroup("data", location=LOCATION)
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
        for name, priority, port in (("https", 100, "443"), ("http", 110, "80"))
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
    disk_name="reference-data",
    resource_group_name=data.name,
    sku=compute.DiskSkuArgs(name="StandardSSD_LRS"),
    creation_data=compute.CreationDataArgs(create_option="Empty"),
    disk_size_gb=20,
)
keys = [tls.PrivateKey(f"key-{name}", algorithm="ED25519") for name in ("admin", "host")]
certificate_key = tls.PrivateKey("key-certificate", algorithm="ECDSA", ecdsa_curve="P256")
tls.SelfSignedCert(
    "certificate",
    private_key_pem=certificate_key.private_key_pem,
    subject=tls.SelfSignedCertSubjectArgs(common_name="chat.example.org"),
    validity_period_hours=8760,
    allowed_uses=["digital_signature", "server_auth"],
)
passwords = [random.RandomPassword(f"password-{number}", length=24) for number in range(3)]
random.RandomId("number", byte_length=4)
machine = compute.VirtualMachine(
    "machine",
    vm_name="reference",
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
        admin_username="ollamazure",
        computer_name="reference",
        linux_configuration=compute.LinuxConfigurationArgs(
            disable_password_authentication=True,
            ssh=compute.SshConfigurationArgs(
                public_keys=[
                    compute.SshPublicKeyArgs(
                        key_data=keys[0].public_key_openssh.apply(str.strip),
                        path="/home/ollamazure/.ssh/authorized_keys",
                    )
                ]
            ),
        ),
    ),
    network_profile=compute.NetworkProfileArgs(
        network_interfaces=[compute.NetworkInterfaceReferenceArgs(id=interface.id)]
    ),
)
found = compute.get_virtual_machine_output(
    resource_group_name=group.name,
    vm_name=machine.name,
    opts=pulumi.InvokeOutputOptions(depends_on=[machine]),
)
connection = remote.ConnectionArgs(
    host="192.0.2.1",  # in plan mode no command is run
    user="ollamazure",
    private_key=keys[0].private_key_openssh,
)
for number in range(COMMANDS):
    remote.Command(
        f"command-{number}",
        connection=connection,
        create="sudo bash",
        stdin=pulumi.Output.concat("echo ", str(number), "\n" * 100),
        triggers=[found.vm_id],
    )

pulumi.export("address", address.ip_address)
