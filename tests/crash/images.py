"""Images of our own, and a registry on loopback to pull them from."""
import functools, gzip, hashlib, io, json, os, random, socket, subprocess, tarfile, time, urllib.error, urllib.request

FIXTURES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "parity", "fixtures")
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
CONFIG = "application/vnd.oci.image.config.v1+json"


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def content(name, size):
    return random.Random(name).randbytes(size)


def archive(name, size):
    """A tar archive with one file that hardly compresses, and a few small ones."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        files = {name.replace("/", "_"): content(name, size), **{f"etc/{name}-{n}": b"%d\n" % n * 20 for n in range(20)}}
        for path, data in files.items():
            info = tarfile.TarInfo(path)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


@functools.cache
def image(layers):
    """The blobs of an image, its manifest last. `layers` are names and sizes."""
    blobs, diff_ids, parts = [], [], []
    for name, size in layers:
        tar = archive(name, size)
        packed = gzip.compress(tar, 1, mtime=0)
        blobs.append(packed)
        diff_ids.append(digest(tar))
        parts.append({"mediaType": LAYER, "digest": digest(packed), "size": len(packed)})
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {"Cmd": [layers[-1][0]]},
                         "rootfs": {"type": "layers", "diff_ids": diff_ids}}).encode()
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "layers": parts,
                "config": {"mediaType": CONFIG, "digest": digest(config), "size": len(config)}}
    return [*blobs, config, json.dumps(manifest).encode()]


def call(method, url, data=None, **headers):
    request = urllib.request.Request(url, data=data, method=method, headers={k.replace("_", "-"): v for k, v in headers.items()})
    try:
        return urllib.request.urlopen(request, timeout=30)
    except urllib.error.HTTPError as error:
        return error


def push(base, repo, tag, blobs):
    """Pushes an image to a registry; returns the status of the last answer."""
    for blob in blobs[:-1]:
        if call("HEAD", f"{base}/v2/{repo}/blobs/{digest(blob)}").status == 200:
            continue
        where = call("POST", f"{base}/v2/{repo}/blobs/uploads/", b"").headers["Location"]
        where = where if where.startswith("http") else base + where
        answer = call("PUT", where + ("&" if "?" in where else "?") + "digest=" + digest(blob), blob, Content_Type="application/octet-stream")
        assert answer.status == 201, (repo, answer.status, answer.read())
    return call("PUT", f"{base}/v2/{repo}/manifests/{tag}", blobs[-1], Content_Type=MANIFEST).status


KIB = 1 << 10
BIG = {  # pulled, shared layers and all
    "1": (("base", 600 * KIB), ("mid", 400 * KIB), ("top1", 300 * KIB)),
    "2": (("base", 600 * KIB), ("mid", 400 * KIB), ("top2", 20 * KIB)),
    "3": (("base", 600 * KIB), ("other", 1100 * KIB)),
    "4": (("alone", 3500 * KIB),),
    "5": (("five", 250 * KIB), ("six", 250 * KIB), ("seven", 250 * KIB), ("eight", 5 * KIB)),
}
MOVED = {str(n): (("base", 600 * KIB), (f"moved{n}", 90 * KIB)) for n in range(6)}  # what mv:latest is, in turn


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class Registry:
    """docker-registry with all images in it, at `port` (0: a free one); its data lie beside `folder`, for all of them."""

    def __init__(self, folder, port=0):
        port = port or free_port()
        folder = os.path.join(os.path.dirname(os.path.abspath(folder)), f"registry-{port}")
        self.port, self.host, self.base = port, f"127.0.0.1:{port}", f"http://127.0.0.1:{port}"
        os.makedirs(f"{folder}/data", exist_ok=True)
        with open(f"{folder}/config.yml", "w") as file:
            file.write(f"version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\nstorage: {{filesystem: {{rootdirectory: {folder}/data}}}}\n"
                       f"http: {{addr: '{self.host}'}}\n")
        log = open(f"{folder}/log", "w")
        self.process = subprocess.Popen(["docker-registry", "serve", f"{folder}/config.yml"], stdout=log, stderr=log)
        for _ in range(100):
            try:
                call("GET", f"{self.base}/v2/")
                break
            except OSError:
                time.sleep(0.1)
        if not os.path.exists(f"{folder}/fx"):
            os.makedirs(f"{folder}/fx")
            subprocess.run(["tar", "-I", "zstd", "-xf", f"{FIXTURES}/fixtures.tar.zst", "-C", f"{folder}/fx", "--strip-components=1"], check=True)
            subprocess.run(["python3", f"{FIXTURES}/push.py", f"{folder}/fx", self.base], check=True, stdout=subprocess.DEVNULL)
            for tag, layers in BIG.items():
                assert push(self.base, "own/big", tag, image(layers)) == 201
            for tag, layers in MOVED.items():
                assert push(self.base, "own/mv", "v" + tag, image(layers)) == 201
        self.move("0")

    def move(self, version):
        assert push(self.base, "own/mv", "latest", image(MOVED[version])) == 201

    def stop(self):
        self.process.terminate()
        self.process.wait()
