#!/usr/bin/env python3
"""docker-py does with an engine what its users do: client.py SOCKET REGISTRY LOCKED

The story and its facts are those of ../README.md; the engine's store is empty before and after. Every
step says `ok: …`; the first one that gets something else ends the program.
"""
import io
import json
import sys
import tarfile
import tempfile
import threading
import time

import docker
from docker.errors import APIError, ImageNotFound, NotFound

SOCKET, REGISTRY, LOCKED = sys.argv[1:]

# What the fixtures are: tests/parity/fixtures.
APP = f"{REGISTRY}/team/app:1.1"
APP_ID = "sha256:899f0ba431e55ba94a6162fb5e409b9ff6e157015c3d22d01f7278674bcf75f2"
APP_DIGEST = "sha256:8090c8205ff8bbec0c367dfd2a8f5eec95ca8de66b6eeb8a9e51203ba1b5b0e4"
FILES = f"{LOCKED}/team/files"
RIGHT = {"username": "ops", "password": "secret"}
WRONG = {"username": "ops", "password": "wrong"}
MINE = f"{REGISTRY}/clients/docker-py"

# How long the engine has for the last event, in seconds.
EVENTS_MAX = 20

happened = []


def check(truth, what, got=None):
    """The truth is expected; else the program ends with what it got."""
    if not truth:
        sys.exit(f"FAILED: {what}: {got!r}")


def same(got, expected, what):
    check(got == expected, f"{what}: expected {expected!r}", got)


def done(step):
    print(f"ok: {step}", flush=True)


def refused(status, words, call, *args, **named):
    """The call fails with a status and with words."""
    try:
        got = call(*args, **named)
    except APIError as error:
        same(error.status_code, status, f"the status of {error}")
        check(words in str(error.explanation), f"the error says {words!r}", error.explanation)
        return error
    return sys.exit(f"FAILED: no error with {words!r}, but {got!r}")


def statuses(lines):
    return [line.get("status", "") for line in lines]


def tar_of(name, content):
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    return archive.getvalue()


def expect(actions):
    """What this step is to make known to those who listen."""
    happened.extend(actions.split())


def greet(client):
    check(client.ping(), "ping")
    version = client.version()
    same(version["ApiVersion"], "1.51", "the version of the API")
    same(version["MinAPIVersion"], "1.24", "the oldest version of the API")
    info = client.info()
    same(info["Images"], 0, "the number of images")
    same(info["OSType"], "linux", "the system")
    same(client.images.list(all=True), [], "the images at the beginning")
    done("ping, version, info")


def pull(client):
    lines = list(client.api.pull(APP, stream=True, decode=True))
    same(lines[0], {"status": "Pulling from team/app", "id": "1.1"}, "the first line")
    for words in ["Pulling fs layer", "Download complete", "Pull complete", f"Digest: {APP_DIGEST}"]:
        check(words in statuses(lines), f"the progress has {words!r}", statuses(lines))
    same(lines[-1], {"status": f"Status: Downloaded newer image for {APP}"}, "the last line")
    again = client.images.pull(APP)
    same(again.id, APP_ID, "the image")
    expect("pull pull")
    done("pull, with progress")


def pull_locked(client):
    refused(500, "no basic auth credentials", client.images.pull, FILES, tag="1")
    refused(401, "unauthorized: authentication required", client.images.pull, FILES, tag="1", auth_config=WRONG)
    image = client.images.pull(FILES, tag="1", auth_config=RIGHT)
    same(image.tags, [f"{FILES}:1"], "the name")
    expect("pull")
    done("pull with a user and a password, and without")


def look(client):
    names = sorted(name for image in client.images.list() for name in image.tags)
    same(names, sorted([APP, f"{FILES}:1"]), "the names")
    same([i.id for i in client.images.list(name=f"{REGISTRY}/team/app")], [APP_ID], "the images of a repository")
    same([i.id for i in client.images.list(filters={"label": "tier=web"})], [APP_ID], "the images with a label")
    same(client.images.list(filters={"dangling": True}), [], "the images without a name")
    image = client.images.get(APP)
    same(image.attrs["RepoDigests"], [f"{REGISTRY}/team/app@{APP_DIGEST}"], "the digests")
    same((image.attrs["Os"], image.attrs["Architecture"], len(image.attrs["RootFS"]["Layers"])), ("linux", "amd64", 3), "the image")
    same(image.labels["tier"], "web", "a label")
    history = image.history()
    same(len(history), 5, "the steps of its history")
    same(history[0]["CreatedBy"], 'ENTRYPOINT ["/app/server"]', "the latest step")
    done("list, inspect, history")


def tag(client):
    image = client.images.get(APP)
    check(image.tag(MINE, tag="1"), "the tag")
    same(client.images.get(f"{MINE}:1").id, APP_ID, "the tagged image")
    refused(404, "No such image: nosuch:latest", client.api.tag, "nosuch", MINE, "1")
    refused(400, "must be lowercase", client.api.tag, APP_ID, "BAD", "1")
    expect("tag")
    done("tag")


def push(client):
    lines = list(client.api.push(MINE, tag="1", stream=True, decode=True))
    same(lines[0]["status"], f"The push refers to repository [{MINE}]", "the first line")
    aux = [line["aux"] for line in lines if "aux" in line]
    same([one["Tag"] for one in aux], ["1"], "the tags that were pushed")
    same(client.images.get_registry_data(f"{MINE}:1").id, aux[0]["Digest"], "what the registry has")
    lines = list(client.api.push(MINE, tag="nope", stream=True, decode=True))
    same(lines[-1]["error"], f"tag does not exist: {MINE}:nope", "the error in the stream")
    check(client.images.get(APP_ID).tag(f"{LOCKED}/clients/docker-py", tag="1"), "the tag")
    lines = list(client.api.push(f"{LOCKED}/clients/docker-py", tag="1", stream=True, decode=True, auth_config=WRONG))
    check("unauthorized" in lines[-1].get("error", ""), "the error in the stream", lines[-1])
    lines = list(client.api.push(f"{LOCKED}/clients/docker-py", tag="1", stream=True, decode=True, auth_config=RIGHT))
    check("aux" in lines[-1], "the last line", lines[-1])
    expect("push tag push")
    done("push, with progress; with a user and a password")


def distribution(client):
    data = client.images.get_registry_data(f"{REGISTRY}/team/multi:1")
    same(data.attrs["Descriptor"]["mediaType"], "application/vnd.oci.image.index.v1+json", "the type")
    check(data.has_platform("linux/arm64/v8"), "there is an image for linux/arm64", data.attrs)
    refused(404, "manifest unknown", client.images.get_registry_data, f"{REGISTRY}/team/multi:nope")
    refused(401, "", client.images.get_registry_data, f"{FILES}:1", auth_config=WRONG)
    done("distribution")


def save_remove_load(client):
    with tempfile.NamedTemporaryFile(suffix=".tar") as saved:
        for chunk in client.images.get(f"{MINE}:1").save(named=f"{MINE}:1"):
            saved.write(chunk)
        saved.flush()
        with tarfile.open(saved.name) as tar:
            manifest = json.load(tar.extractfile("manifest.json"))
        same([one["RepoTags"] for one in manifest], [[f"{MINE}:1"]], "the names in the archive")

        refused(409, "image is referenced in multiple repositories", client.images.remove, APP_ID)
        client.images.remove(f"{LOCKED}/clients/docker-py:1")
        client.images.remove(APP)
        client.images.remove(f"{MINE}:1")
        try:
            client.images.get(APP_ID)
            sys.exit("FAILED: the image is still here")
        except ImageNotFound as error:
            check("No such image" in error.explanation, "the error", error.explanation)
        saved.seek(0)
        loaded = client.images.load(saved)
    same([(one.id, one.tags) for one in loaded], [(APP_ID, [f"{MINE}:1"])], "what was loaded")
    expect("save untag untag untag delete load")
    done("save, remove, load")


def import_and_prune(client):
    said = client.api.import_image_from_data(tar_of("hello", b"hi\n"), repository="mine", tag="1", changes=['CMD ["x"]'])
    first = json.loads(said)["status"]
    image = client.images.get("mine:1")
    same((image.id, image.attrs["Config"]["Cmd"]), (first, ["x"]), "what was imported")
    client.api.import_image_from_data(tar_of("hello", b"ho\n"), repository="mine", tag="1")
    same([i.id for i in client.images.list(filters={"dangling": True})], [first], "the image without a name")
    pruned = client.images.prune(filters={"dangling": True})
    check({"Deleted": first} in pruned["ImagesDeleted"], "what was pruned", pruned)
    same(pruned["SpaceReclaimed"], 3, "the bytes that were freed")
    same(client.images.prune()["ImagesDeleted"], None, "what was pruned then")
    expect("tag import tag import delete prune prune")
    done("import, prune")


def usage(client):
    usage = client.df()
    same(sorted(name for image in usage["Images"] for name in image["RepoTags"]), sorted([f"{FILES}:1", f"{MINE}:1", "mine:1"]), "df's images")
    check(usage["LayersSize"] > 3_000_000, "the size of all layers", usage["LayersSize"])
    same(client.info()["Images"], 3, "the number of images")
    done("df, info")


def mistakes(client):
    refused(404, "No such image: nosuch:latest", client.images.get, "nosuch")
    refused(400, "must be lowercase", client.images.get, "BAD")
    refused(404, "manifest unknown", client.images.pull, f"{REGISTRY}/team/app", tag="nope")
    refused(404, "No such image: nosuch:latest", client.images.remove, "nosuch")
    refused(400, "invalid filter 'nosuch'", client.images.list, filters={"nosuch": "1"})
    refused(500, "", client.images.search, f"{REGISTRY}/box")
    refused(500, "401 Unauthorized", client.login, registry=f"http://{LOCKED}", reauth=True, **WRONG)
    same(client.login(registry=f"http://{LOCKED}", reauth=True, **RIGHT)["Status"], "Login Succeeded", "the login")
    lines = client.api._stream_helper(client.api._post(client.api._url("/images/load"), data=b"junk" * 300, stream=True), decode=True)
    same([line.get("error") for line in lines], ["archive/tar: invalid tar header"], "the error of a load")
    done("errors")


def what_is_not_here(client):
    same(client.containers.list(all=True), [], "containers")
    same(client.volumes.list(), [], "volumes")
    check(isinstance(client.networks.list(), list), "networks")
    try:
        client.containers.get("nosuch")
        sys.exit("FAILED: there is a container")
    except NotFound as error:
        same(error.explanation, "No such container: nosuch", "the error")
    done("containers, volumes, networks: none")


def clear(client):
    for image in client.images.list(all=True):
        client.images.remove(image.id, force=True)
    same(client.images.list(all=True), [], "the images at the end")
    # The one that was pulled has a digest, which is a name too.
    expect("untag delete  untag untag delete  untag delete")
    done("remove everything")


STORY = [greet, pull, pull_locked, look, tag, push, distribution, save_remove_load, import_and_prune, usage, mistakes, what_is_not_here, clear]


def main():
    client = docker.DockerClient(base_url=f"unix://{SOCKET}", version="auto")
    began = time.time()
    stream = client.events(filters={"type": "image"}, decode=True)
    heard = []
    listening = threading.Thread(target=lambda: heard.extend(stream), daemon=True)
    listening.start()
    for step in STORY:
        step(client)

    # The last event may still be on its way; what has happened so far can be asked for again.
    past = [event["Action"] for event in client.events(since=began, until=time.time(), filters={"type": "image"}, decode=True)]
    same(past, happened, "the events of the past")
    deadline = time.monotonic() + EVENTS_MAX
    while len(heard) < len(happened) and time.monotonic() < deadline:
        time.sleep(0.01)
    stream.close()
    listening.join(EVENTS_MAX)
    same([event["Action"] for event in heard], happened, "the events")
    check(all(event["Type"] == "image" and event["time"] for event in heard), "events have a type and a time", heard)
    done(f"events: {len(heard)}")


main()
