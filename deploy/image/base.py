"""A tree that stands for gcr.io/distroless/cc-debian12, which cannot be pulled everywhere: the files of it that a program needs
which was linked on this machine, taken from this machine, and nothing else. OpenSSL and zlib are left out on purpose."""

import io
import os
import subprocess
import tarfile

# What distroless's cc has of Debian's libc6, libgcc-s1, libstdc++6 and libgomp1.
LIBRARIES = [
    "libc.so.6", "libm.so.6", "libgcc_s.so.1", "libstdc++.so.6", "libgomp.so.1", "libpthread.so.0", "libdl.so.2", "librt.so.1",
    "libresolv.so.2", "libnss_files.so.2", "libnss_dns.so.2",
]
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
TEXTS = {
    "etc/passwd": "root:x:0:0:root:/root:/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin\n"
    "nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n",
    "etc/group": "root:x:0:\nnobody:x:65534:\nnonroot:x:65532:\n",
    "etc/nsswitch.conf": "hosts: files dns\n",
}


def paths(interpreter):
    """Where this machine has them: the program's interpreter, and the libraries as the linker's cache knows them."""
    cache = subprocess.run(["ldconfig", "-p"], capture_output=True, text=True, check=True).stdout
    found = {}
    for line in cache.splitlines():
        name, arrow, path = line.strip().partition(" => ")
        if arrow and ("x86-64" in name or "AArch64" in name):
            found.setdefault(name.split(" ")[0], path)
    missing = [name for name in LIBRARIES if name not in found]
    if missing:
        raise SystemExit(f"this machine has no {', '.join(missing)}")
    return [interpreter, BUNDLE] + [found[name] for name in LIBRARIES]


def write(to, interpreter):
    """As a tar, and its size in octets."""
    size = 0
    with tarfile.open(to, "w") as tar:
        for name, mode in [("tmp", 0o1777), ("home/nonroot", 0o700)]:
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, mode
            tar.addfile(entry)
        for path in paths(interpreter):
            entry = tarfile.TarInfo(path.lstrip("/"))
            real = os.path.realpath(path)
            entry.size, entry.mode = os.path.getsize(real), 0o755 if ".so" in path else 0o644
            size += entry.size
            with open(real, "rb") as data:
                tar.addfile(entry, data)
        for name, text in TEXTS.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(text), 0o644
            tar.addfile(entry, io.BytesIO(text.encode()))
    return size
