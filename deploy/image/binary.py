"""What the image holds, made by the very commands of deploy/edge.Dockerfile, and what they must be like."""

import json
import os
import re
import subprocess
import tarfile

# All that the binary may ask of its base image.
NEEDS = {"libc.so.6", "libm.so.6", "libgcc_s.so.1", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"}
SBOM = "usr/share/sbom/klatsch-edge.cdx.json"
MIB = 1024 * 1024


def commands(dockerfile, stage):
    """The RUN commands of a stage."""
    text = re.sub(r"\\\n", " ", dockerfile)
    body = re.search(rf"^FROM \S+ AS {stage}\n(.*?)(?=^FROM |\Z)", text, re.M | re.S).group(1)
    return re.findall(r"^RUN (.*)$", body, re.M)


def build(dockerfile, to, release):
    """Runs the stages `builder` and `sbom` here: what they put into /files is in `to`/files then."""
    for stage in ["builder", "sbom"]:
        for command in commands(dockerfile, stage):
            here = command.replace("/files", f"{to}/files").replace("/debug", f"{to}/debug").replace("target/release", release)
            subprocess.run(["bash", "-euc", here], check=True, stdout=subprocess.DEVNULL)


def pack(to):
    """/files as an image's file system, owned by root."""
    def plain(entry):
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = "root"
        return entry

    with tarfile.open(f"{to}/files.tar", "w") as tar:
        tar.add(f"{to}/files", "files", filter=plain)
    return f"{to}/files.tar"


def readelf(path, *flags):
    return subprocess.run(["readelf", "--wide", *flags, path], capture_output=True, text=True, check=True).stdout


def interpreter(path):
    return re.search(r"interpreter: (\S+)\]", readelf(path, "--program-headers")).group(1)


def hardened(path):
    """Position-independent, relocations read-only before main, no stack that could be run; no search path of its own."""
    header, segments, dynamic = (readelf(path, flag) for flag in ["--file-header", "--program-headers", "--dynamic"])
    assert re.search(r"Type:\s+DYN", header), "not position-independent (PIE)"
    assert "GNU_RELRO" in segments, "no RELRO"
    assert re.search(r"BIND_NOW|Flags:.*NOW", dynamic), "RELRO is not full: symbols are bound late"
    stack = re.search(r"GNU_STACK(?:\s+0x\w+){5}\s+([RWE]+)", segments)
    assert stack and "E" not in stack.group(1), "the stack can be executed"
    assert not re.search(r"RPATH|RUNPATH", dynamic), "a search path of its own"


def needs(path):
    """Its libraries: those that distroless's cc has."""
    wanted = set(re.findall(r"NEEDED.*\[(.*)\]", readelf(path, "--dynamic")))
    assert wanted and wanted <= NEEDS, f"needs {sorted(wanted - NEEDS)} too"
    return sorted(wanted)


def small(path, most):
    size = os.path.getsize(path)
    assert size <= most * MIB, f"{size / MIB:.1f} MiB, more than {most}"
    return f"{size / MIB:.1f} MiB"


def crates():
    """What cargo says is linked into the edge, or runs while it is built: name and version."""
    tree = subprocess.run(
        ["cargo", "tree", "--locked", "--package", "klatsch-edge", "--features", "vendored", "--edges", "normal,build",
         "--target", host(), "--prefix", "none"],
        capture_output=True, text=True, check=True,
    ).stdout
    return {(line.split()[0], line.split()[1].removeprefix("v")) for line in tree.splitlines() if line.strip()}


def locked(path):
    """All of Cargo.lock."""
    with open(path, encoding="utf-8") as file:
        return set(re.findall(r'^name = "(.*)"\nversion = "(.*)"$', file.read(), re.M))


def host():
    version = subprocess.run(["rustc", "-vV"], capture_output=True, text=True, check=True).stdout
    return re.search(r"host: (\S+)", version).group(1)


def listed(path):
    """What the SBOM lists, itself included."""
    with open(path, encoding="utf-8") as file:
        sbom = json.load(file)
    assert sbom["bomFormat"] == "CycloneDX"
    parts = [sbom["metadata"]["component"], *sbom["components"]]
    return {(part["name"], part["version"]) for part in parts}
