"""Prints the software bill of materials of a release, in CycloneDX JSON.

    .venv/bin/python -m tools.sbom [v1.2.3] >ollamazure.cdx.json

It lists the Python packages of requirements.txt with all that they need, the Pulumi CLI, Ollama,
the container images, and the Debian packages that the first boot installs in addition to Debian's
image. Models and the parts of the images are not in it: a stack chooses the models, and the
publishers of the images describe what these contain.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import Distribution, distribution
from pathlib import Path

import yaml
from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import ExternalReference, ExternalReferenceType, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from packaging.requirements import Requirement

from components.machine import render_user_data
from ollamazure import catalog
from ollamazure.catalog import Bundle, ContainerImage

PROJECT = Path(__file__).resolve().parents[1]
LICENCES = LicenseFactory()
CLASSIFIER = "License :: OSI Approved :: "


def main(arguments: Sequence[str]) -> int:
    version = next(iter(arguments), "unreleased").removeprefix("v")
    print(text_of(version))
    return 0


def text_of(version: str) -> str:
    """The bill of a version of the product as JSON."""
    return JsonV1Dot6(bill_of(version)).output_as_string(indent=2)


def bill_of(version: str) -> Bom:
    """The bill of a version of the product."""
    pins = catalog.versions()
    product = Component(
        name="ollamazure",
        version=version,
        type=ComponentType.APPLICATION,
        licenses=[LICENCES.make_from_string("Apache-2.0")],
    )
    parts = [
        *map(python_package, required_packages()),
        *(
            release_on_github(name, pin)
            for name, pin in (("pulumi/pulumi", pins.pulumi_cli), ("ollama/ollama", pins.ollama))
        ),
        *map(container_image, (pins.open_webui, pins.nginx)),
        *debian_packages(),
    ]
    bill = Bom(components=parts)
    bill.metadata.component = product
    bill.register_dependency(product, parts)
    return bill


def required_packages() -> list[Distribution]:
    """The packages of requirements.txt, and all that they need."""
    lines = (PROJECT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    names = [line.partition("==")[0] for line in lines if "==" in line]
    found: dict[str, Distribution] = {}
    while names:
        package = distribution(names.pop())
        if package.name not in found:
            found[package.name] = package
            names += _needed_by(package)
    return [found[name] for name in sorted(found, key=str.lower)]


def _needed_by(package: Distribution) -> Iterator[str]:
    for requirement in map(Requirement, package.requires or ()):
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield requirement.name


def python_package(package: Distribution) -> Component:
    return Component(
        name=package.name,
        version=package.version,
        licenses=map(LICENCES.make_from_string, licences_of(package)),
        purl=PackageURL("pypi", None, package.name.lower().replace("_", "-"), package.version),
    )


def licences_of(package: Distribution) -> Iterable[str]:
    """The licences that a package states: an SPDX expression, else its classifiers or its text."""
    metadata = package.metadata
    if "License-Expression" in metadata:
        return [metadata["License-Expression"]]
    classifiers = [
        line.removeprefix(CLASSIFIER)
        for line in metadata.get_all("Classifier", [])
        if line.startswith(CLASSIFIER)
    ]
    return classifiers or metadata.get_all("License", [])


def release_on_github(name: str, pin: Bundle) -> Component:
    owner, repository = name.split("/")
    return Component(
        name=repository,
        version=pin.version,
        type=ComponentType.APPLICATION,
        purl=PackageURL("github", owner, repository, f"v{pin.version}"),
        external_references=[
            ExternalReference(
                type=ExternalReferenceType.DISTRIBUTION,
                url=XsUri(f"{pin.download}/v{pin.version}/{pin.file}"),
            )
        ],
    )


def container_image(image: ContainerImage) -> Component:
    """The image of the catalog, by its digest if there is one."""
    name = f"{image.registry}/{image.repository}"
    place = {"repository_url": name, "tag": image.tag}
    digest = image.digests.get(image.tag)
    return Component(
        name=name,
        version=image.tag,
        type=ComponentType.CONTAINER,
        purl=PackageURL("oci", None, image.repository.rpartition("/")[2], digest, place),
    )


def debian_packages() -> Iterator[Component]:
    """What the first boot installs; without versions, because Debian's updates choose them."""
    always, gpu = (
        yaml.safe_load(render_user_data("key", "ssh-ed25519 key", gpu=gpu))["packages"]
        for gpu in (False, True)
    )
    for name in gpu:
        yield Component(
            name=name,
            scope=ComponentScope.REQUIRED if name in always else ComponentScope.OPTIONAL,
            purl=PackageURL("deb", "debian", name, None, {"distro": "debian-13"}),
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
