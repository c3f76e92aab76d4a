"""Turns protos/cdp/**/*.proto into the committed Python stubs under protos/gen.

Usage: `python protos/generate.py` writes the stubs, `python protos/generate.py --check` leaves the tree
alone and exits 1 with a list of the stale files.  The output depends on the .proto files and on the
locked versions of grpcio-tools and mypy-protobuf only.  `--image FILE` also writes a descriptor set with
imports and comments, which `buf lint` and `buf breaking` read without asking a schema registry.
"""

from __future__ import annotations

import argparse
import filecmp
import shutil
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

PROTOS = Path(__file__).resolve().parent
GENERATED = PROTOS / "gen"


class GenerateError(Exception):
    """The stubs could not be made; the message is one sentence for a person."""


def include_folders() -> list[Path]:
    """Where protoc looks for imports: ours, the well-known types, and google/rpc, google/longrunning etc."""
    well_known = find_spec("grpc_tools")
    googleapis = find_spec("google.rpc")
    if well_known is None or well_known.origin is None:
        raise GenerateError("grpcio-tools is not installed: run `make install`")
    if googleapis is None or not googleapis.submodule_search_locations:
        raise GenerateError("googleapis-common-protos is not installed: run `make install`")
    site_packages = Path(next(iter(googleapis.submodule_search_locations))).parents[1]
    return [PROTOS, Path(well_known.origin).parent / "_proto", site_packages]


def plugin_flag(name: str) -> str:
    """The plugin of this very environment, whatever PATH says."""
    plugin = Path(sys.executable).with_name(name)
    if not plugin.is_file():
        raise GenerateError(f"{name} is not installed beside {Path(sys.executable).name}: run `make install`")
    return f"--plugin={name}={plugin}"


def run_protoc(*outputs: str) -> None:
    """Compile every .proto file of ours with the given output flags."""
    from grpc_tools import protoc  # type: ignore[import-untyped,unused-ignore]

    sources = sorted(path.relative_to(PROTOS).as_posix() for path in (PROTOS / "cdp").rglob("*.proto"))
    if not sources:
        raise GenerateError("no .proto file under protos/cdp")
    with tempfile.TemporaryDirectory() as renamed:
        includes = [f"-I{folder}" for folder in (*include_folders(), with_operations(Path(renamed)))]
        if protoc.main(["protoc", *includes, *outputs, *sources]) != 0:
            raise GenerateError("protoc refused the files, see above")


def with_operations(folder: Path) -> Path:
    """`folder` with google/longrunning/operations.proto in it: the package ships that file under another name than the
    one its Python module registers, and an import must name the registered one."""
    shipped = include_folders()[-1] / "google" / "longrunning" / "operations_proto.proto"
    wanted = folder / "google" / "longrunning" / "operations.proto"
    wanted.parent.mkdir(parents=True)
    shutil.copyfile(shipped, wanted)
    return folder


def write_image(file: Path) -> None:
    """Write the descriptor set of all files, imports and comments included."""
    file.parent.mkdir(parents=True, exist_ok=True)
    run_protoc("--include_imports", "--include_source_info", f"--descriptor_set_out={file}")


def generate(target: Path) -> list[Path]:
    """Write all stubs into the empty folder `target`; answers their paths relative to it, sorted.

    Every folder gets an `__init__.py`, so that mypy, import-linter and the wheel see a plain package.
    """
    run_protoc(
        plugin_flag("protoc-gen-mypy"),
        plugin_flag("protoc-gen-mypy_grpc"),
        f"--python_out={target}",
        f"--grpc_python_out={target}",
        f"--mypy_out=quiet:{target}",
        f"--mypy_grpc_out=quiet,only_async:{target}",
    )
    drop_empty_services(target)
    folders = {folder for path in target.rglob("*.py") for folder in path.relative_to(target).parents}
    for folder in folders - {Path()}:
        (target / folder / "__init__.py").touch()
    (target / "cdp" / "py.typed").touch()
    return files_under(target)


def drop_empty_services(target: Path) -> None:
    """Remove the *_pb2_grpc files of .proto files without a service: protoc writes them regardless."""
    for module in target.rglob("*_pb2_grpc.py"):
        if "class " not in module.read_text(encoding="utf-8"):
            module.unlink()
            module.with_suffix(".pyi").unlink(missing_ok=True)


def files_under(folder: Path) -> list[Path]:
    """Files below `folder`, relative and sorted, without byte code; empty if the folder is missing."""
    return sorted(
        path.relative_to(folder) for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    )


def stale_files(fresh: Path, committed: Path) -> list[str]:
    """One line for each file that is missing, left over or different in `committed`, sorted by path."""
    wanted, there = set(files_under(fresh)), set(files_under(committed))
    lines = []
    for path in sorted(wanted | there):
        if path not in there:
            lines.append(f"missing    {path}")
        elif path not in wanted:
            lines.append(f"left over  {path}")
        elif not filecmp.cmp(fresh / path, committed / path, shallow=False):
            lines.append(f"differs    {path}")
    return lines


def write(fresh: Path, committed: Path) -> None:
    """Make `committed` equal to `fresh`; files that are equal already are not touched."""
    wanted = files_under(fresh)
    for path in set(files_under(committed)) - set(wanted):
        (committed / path).unlink()
    for path in wanted:
        destination = committed / path
        if destination.is_file() and filecmp.cmp(fresh / path, destination, shallow=False):
            continue
        destination.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(fresh / path, destination)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="compare only, exit 1 if the stubs are stale")
    parser.add_argument("--image", type=Path, help="also write a descriptor set into this file")
    options = parser.parse_args()
    check: bool = options.check
    image: Path | None = options.image
    with tempfile.TemporaryDirectory(prefix="cdp-protos-") as folder:
        fresh = Path(folder)
        try:
            names = generate(fresh)
            if image is not None:
                write_image(image)
        except GenerateError as error:
            print(f"protos: {error}", file=sys.stderr)
            return 2
        stale = stale_files(fresh, GENERATED)
        if not check:
            write(fresh, GENERATED)
            print(f"protos: {len(names)} files under protos/gen, {len(stale)} changed")
            return 0
    if stale:
        print("protos: the committed stubs are stale, run `make protos`", *stale, sep="\n  ", file=sys.stderr)
        return 1
    print(f"protos: {len(names)} generated files are fresh")
    return 0


if __name__ == "__main__":
    sys.exit(main())
