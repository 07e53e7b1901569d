#!/usr/bin/env python3
"""docker-squash with an engine behind it: client.py SOCKET REGISTRY LOCKED

It saves an image, writes some of its layers anew as one, and loads the result. The store is empty before and after;
the facts are those of ../README.md. Every step says `ok: …`; the first one that gets something else ends the program.
"""
import hashlib
import io
import json
import logging
import os
import sys
import tarfile
import tempfile

import docker
from docker_squash.errors import SquashUnnecessaryError
from docker_squash.squash import Squash

SOCKET, REGISTRY, _ = sys.argv[1:]

# What the fixtures are: tests/parity/fixtures.
APP = f"{REGISTRY}/team/app:1.1"
APP_LAYERS, APP_STEPS = 3, 5
MINE = f"{REGISTRY}/clients/docker-squash"


def check(truth, what, got=None):
    """The truth is expected; else the program ends with what it got."""
    if not truth:
        sys.exit(f"FAILED: {what}: {got!r}")


def same(got, expected, what):
    check(got == expected, f"{what}: expected {expected!r}", got)


def done(step):
    print(f"ok: {step}", flush=True)


def archive_of(api, name):
    """An image as the engine saves it."""
    return io.BytesIO(b"".join(api.get_image(name)))


def manifest_of(archive):
    with tarfile.open(fileobj=archive) as tar:
        manifest = json.load(tar.extractfile("manifest.json"))
    archive.seek(0)
    return manifest[0]


def files_of(api, name):
    """What an image consists of: its layers upon each other, each file with its mode, owner and content."""
    archive, tree = archive_of(api, name), {}
    layers = manifest_of(archive)["Layers"]
    with tarfile.open(fileobj=archive) as tar:
        for layer in layers:
            with tarfile.open(fileobj=io.BytesIO(tar.extractfile(layer).read())) as files:
                put_upon(tree, files)
    return tree


def put_upon(tree, files):
    gone, new = [], {}
    for entry in files:
        name = entry.name.removeprefix("./").rstrip("/")
        folder, base = os.path.split(name)
        if base == ".wh..wh..opq":
            gone.append((folder + "/", False))
        elif base.startswith(".wh."):
            gone.append((os.path.join(folder, base[4:]), True))
        else:
            content = files.extractfile(entry).read() if entry.isfile() else b""
            digest = hashlib.sha256(content).hexdigest()
            new[name] = (entry.type, entry.mode, entry.uid, entry.gid, entry.linkname, digest)
    for path, itself in gone:
        for name in list(tree):
            if (itself and name == path) or name.startswith(path.rstrip("/") + "/"):
                del tree[name]
    tree.update(new)


def squash(api, tag=None, **options):
    log = logging.getLogger("docker-squash")
    log.setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        work = os.path.join(folder, "work")
        return Squash(log, APP, docker=api, tag=tag, tmp_dir=work, **options).run()


def pull(api):
    api.pull(APP)
    same(len(api.inspect_image(APP)["RootFS"]["Layers"]), APP_LAYERS, "its layers")
    done("pulled")


def squash_all(api):
    image = squash(api, tag=f"{MINE}:all", load_image=True)
    loaded = api.inspect_image(f"{MINE}:all")
    same(loaded["Id"], "sha256:" + image.removeprefix("sha256:"), "the ID")
    same(len(loaded["RootFS"]["Layers"]), 1, "one layer")
    same(files_of(api, f"{MINE}:all"), files_of(api, APP), "the files")
    before = api.inspect_image(APP)["Config"]
    for key in ("Env", "Cmd", "Labels", "WorkingDir"):
        same(loaded["Config"].get(key), before.get(key), f"its {key}")
    done("all layers as one")


def squash_some(api):
    squash(api, tag=f"{MINE}:two", from_layer=APP_STEPS - 1, load_image=True)
    loaded, base = api.inspect_image(f"{MINE}:two"), api.inspect_image(APP)
    same(loaded["RootFS"]["Layers"][:1], base["RootFS"]["Layers"][:1], "the layer below")
    check(len(loaded["RootFS"]["Layers"]) < APP_LAYERS, "fewer layers", loaded["RootFS"]["Layers"])
    same(files_of(api, f"{MINE}:two"), files_of(api, APP), "the files")
    same(len(api.history(f"{MINE}:two")), 2, "the history")
    done("the upper layers as one")


def squash_with_comment(api):
    squash(api, tag=f"{MINE}:said", comment="squashed here", load_image=True)
    same(api.history(f"{MINE}:said")[0]["Comment"], "squashed here", "the comment")
    try:
        squash(api, from_layer=1, load_image=True)
        sys.exit("FAILED: one layer is not to be squashed")
    except SquashUnnecessaryError:
        done("a comment, and what needs no work")


def leave_out(api):
    """An archive without the layers that are here already, as docker-squash once wrote them, and deltas are."""
    full = archive_of(api, f"{MINE}:two")
    manifest = manifest_of(full)
    config_name = manifest["Config"]
    api.remove_image(f"{MINE}:two", noprune=True)
    small = io.BytesIO()
    left_out = {manifest["Layers"][0]}
    with tarfile.open(fileobj=full) as tar, tarfile.open(fileobj=small, mode="w") as out:
        for entry in tar:
            wanted = entry.name in {"manifest.json", config_name, *manifest["Layers"]}
            if wanted and entry.name not in left_out:
                out.addfile(entry, tar.extractfile(entry))
    small.seek(0)
    lines = list(api.load_image(small.getvalue()))
    check(not any("error" in line for line in lines), "the archive is taken", lines)
    same(files_of(api, f"{MINE}:two"), files_of(api, APP), "the files")
    done("an archive that leaves out a layer that is here")


def push_and_remove(api):
    for line in api.push(f"{MINE}:all", stream=True, decode=True):
        check("error" not in line, "it is pushed", line)
    for name in (f"{MINE}:all", f"{MINE}:two", f"{MINE}:said", APP):
        api.remove_image(name, force=True)
    for image in api.images(all=True, quiet=True):
        api.remove_image(image, force=True)
    same(api.images(all=True), [], "nothing is left")
    done("pushed, and removed")


def main():
    with_engine = docker.APIClient(base_url=f"unix://{SOCKET}", version="auto", timeout=60)
    for step in (pull, squash_all, squash_some, squash_with_comment, leave_out, push_and_remove):
        step(with_engine)


if __name__ == "__main__":
    main()
