#!/usr/bin/env python3
"""Makes crash states of a recorded workload and looks at each: explore.py FOLDER SEED FIRST COUNT [--image FILE]

State N of a seed is always the same one. A state is a point in the log and a choice: everything before the last flush
before that point is on the disk; of the writes after it, those chosen. With the seed `acks`, state N is the disk just
as acknowledgement N was given, with nothing that was not flushed. `--image FILE` writes the disk of state FIRST to
a file instead of looking at it.
"""
import bisect, collections, ctypes, fcntl, hashlib, json, multiprocessing, os, queue, random, subprocess, sys, time, traceback

import images
from device import FILE_SYSTEMS, LIBC, MIB, Log, alone
from wharf import ListingError, Proxy, Store, stop

BLKFLSBUF = 0x1261
MODES = {"none": 20, "all": 12, "prefix": 5, "subset": 35, "late": 6, "torn4096": 12, "torn512": 10}


class Oracle:
    """What may be listed after a crash at a point, by what was acknowledged until then."""

    def __init__(self, about):
        self.about = about
        self.history = collections.defaultdict(list)
        for event in sorted(about["events"], key=lambda event: event["ack"] or event["start"]):
            for key, value in event["values"].items():
                self.history[key].append((event["start"], event["ack"], value, event["what"]))

    def allowed(self, key, point):
        values = [[]]
        for start, ack, value, _ in self.history[key]:
            if ack is not None and ack <= point:
                values = [value]
            elif start <= point:
                values.append(value)
        return values

    def compare(self, listed, point):
        """The names that are not what they must be."""
        wrong, vague = [], False
        for key in self.history:
            values = self.allowed(key, point)
            vague |= len(values) > 1
            if "*" not in values and listed.get(key, []) not in values:
                wrong.append(f"{key} is {listed.get(key, [])}, not one of {values}")
        for key in listed.keys() - self.history.keys():
            # What an operation that was cut short leaves without a name is known to nobody.
            if not (vague and "@" in key):
                wrong.append(f"{key} is listed and never was")
        return wrong


class State:
    """One crash state: how it is made, by its seed and number alone."""

    def __init__(self, log, about, seed, number):
        self.number, self.rng = number, random.Random(f"{seed}:{number}")
        rng, begin, end = self.rng, about["begin"], about["end"]
        acks = [event["ack"] for event in about["events"] if event["ack"]]
        flushes = log.flushes[bisect.bisect(log.flushes, begin):bisect.bisect(log.flushes, end)]
        kind = rng.choices(["ack", "any", "flush", "near"], [30, 25, 25, 20])[0]
        self.point = {"ack": lambda: rng.choice(acks) + rng.choice([0, 0, 0, 1, 2, 3]), "any": lambda: rng.randint(begin, end),
                      "flush": lambda: rng.choice(flushes), "near": lambda: rng.choice(flushes) - rng.randint(0, 8)}[kind]()
        self.mode = rng.choices(list(MODES), list(MODES.values()))[0]
        if seed == "acks":
            kind, self.mode, self.point = "ack", "none", sorted(set(acks))[number % len(set(acks))]
        self.point = max(begin, min(self.point, end, len(log.records)))
        before = bisect.bisect_left(log.flushes, self.point) - 1
        self.flush = log.flushes[before] if before >= 0 else -1
        self.at = kind

    def pending(self, log):
        return log.records[self.flush + 1:self.point]

    def parts(self, log):
        """The writes, or parts of them, that reached the disk after the last flush: offset and bytes."""
        rng, writes = self.rng, self.pending(log)
        if self.mode == "none":
            writes = []
        elif self.mode == "prefix":
            writes = writes[:rng.randint(0, len(writes))]
        elif self.mode == "late":
            writes = writes[rng.randint(0, len(writes)):]
        elif self.mode == "subset":
            kept = rng.choice([0.15, 0.5, 0.85])
            writes = [write for write in writes if rng.random() < kept]
        for write in writes:
            data, offset = log.bytes(write), write[1]
            if self.mode not in ("torn4096", "torn512"):
                yield offset, data
                continue
            unit, fate = int(self.mode[4:]), rng.random()
            if fate < 0.2:
                continue
            units = range(0, len(data), unit)
            if fate < 0.6:
                chosen = units
            elif fate < 0.8:
                chosen = units[:rng.randint(0, len(units))]
            else:
                chosen = [at for at in units if rng.random() < 0.5]
            for at in chosen:
                yield offset + at, data[at:at + unit]


class Worker:
    """Looks at states in the order of their flushes, on a disk of its own."""

    def __init__(self, folder, name, port):
        self.folder, self.name = folder, name
        self.log = Log(folder)
        with open(f"{folder}/events.json") as file:
            self.about = json.load(file)
        self.oracle = Oracle(self.about)
        size, _, self.kind, self.options = FILE_SYSTEMS[self.about["file_system"]]
        self.size, self.applied = self.about.get("size", size * MIB), 0
        self.base, self.disk = self.blank("base"), self.blank("state")
        found = subprocess.run(["losetup", "--show", "-f", f"{folder}/{name}.state"], check=True, stdout=subprocess.PIPE)
        self.loop = found.stdout.decode().strip()
        alone()
        self.mount = f"{folder}/{name}.mnt"
        os.makedirs(self.mount, exist_ok=True)
        self.config = f"{folder}/config.toml"
        self.store = Store(f"{self.mount}/{self.about['root']}", self.config)
        self.proxy = Proxy(port)

    def blank(self, what):
        path, first = f"{self.folder}/{self.name}.{what}", f"{self.folder}/first.img"
        if os.path.exists(first):
            subprocess.run(["cp", "--sparse=always", first, path], check=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT)
        os.ftruncate(file, self.size)
        return file

    def build(self, state):
        """Puts the state's disk together; says which one it is."""
        for record in self.log.records[self.applied:state.flush]:
            os.pwrite(self.base, self.log.bytes(record), record[1])
        self.applied = max(self.applied, state.flush)
        os.ftruncate(self.disk, 0)
        os.ftruncate(self.disk, self.size)
        at = 0
        while at < self.size:
            try:
                at = os.lseek(self.base, at, os.SEEK_DATA)
            except OSError:
                break  # no more data
            end = os.lseek(self.base, at, os.SEEK_HOLE)
            os.lseek(self.base, at, os.SEEK_SET), os.lseek(self.disk, at, os.SEEK_SET)
            while at < end:
                at += os.sendfile(self.disk, self.base, None, end - at)
        kept = hashlib.sha256(b"%d" % state.flush)
        for offset, data in state.parts(self.log):
            os.pwrite(self.disk, data, offset)
            kept.update(b"%d+%d " % (offset, len(data)))
        return kept.hexdigest()[:16]

    def look(self, state):
        """Mounts, checks, unmounts; returns what is wrong, and what was seen."""
        seen = {}
        if LIBC.mount(self.loop.encode(), self.mount.encode(), self.kind.encode(), 0, self.options.encode()):
            return [f"mount: {os.strerror(ctypes.get_errno())}"], seen
        try:
            return self.check(state, seen), seen
        except ListingError as error:
            return [str(error)], seen
        finally:
            self.unmount()

    def unmount(self):
        """Returns once nobody has the disk, and nothing of it is cached."""
        for _ in range(1000):
            if LIBC.umount2(self.mount.encode(), 0) == 0:
                break
            time.sleep(0.01)
        for _ in range(1000):
            try:
                alone = os.open(self.loop, os.O_RDONLY | os.O_EXCL)
                break
            except OSError:
                time.sleep(0.01)
        fcntl.ioctl(alone, BLKFLSBUF)
        os.close(alone)

    def close(self):
        subprocess.run(["losetup", "-d", self.loop], check=True)
        for what in ("base", "state"):
            os.remove(f"{self.folder}/{self.name}.{what}")

    def check(self, state, seen):
        store, rng, point = self.store, self.rng(state), state.point
        claimed = self.claimed()
        listed = store.listing()
        wrong = self.oracle.compare(listed, point) + self.sound(seen)
        names = [key for key in listed if "@" not in key]
        if names and rng.random() < 0.2:
            code, _, err = store.run("save", *names, stdout=subprocess.DEVNULL)
            seen["saved"] = len(names)
            wrong += [f"save: {code}: {err.strip()}"] * (code != 0)
        if rng.random() < 0.12:
            wrong += self.read(listed, seen)
        if rng.random() < 0.2:
            wrong += self.served(point, seen)
        if rng.random() < 0.15:
            wrong += self.go_on(rng, point, claimed, seen)
        return wrong

    def rng(self, state):
        return random.Random(f"look {state.number}")

    def sound(self, seen, leftovers=True):
        code, out, err = self.store.run("store", "check")
        if code:
            return [f"store check: {code}: {out.strip()}: {err.strip()}"]
        if "nothing needs" in out:
            seen["leftovers"] = seen.get("leftovers", 0) + 1
            return [] if leftovers else [f"leftovers after a prune: {out.strip()}"]
        return []

    def claimed(self):
        """How many bytes of downloads the journals claim to be here, by digest."""
        found, ingest = {}, f"{self.store.root}/ingest"
        for name in os.listdir(ingest) if os.path.isdir(ingest) else []:
            if name.endswith(".journal"):
                with open(f"{ingest}/{name}", "rb") as file:
                    records = file.read()[24:]
                last = records[:len(records) // 40 * 40][-40:]
                found["sha256:" + name[7:-8]] = int.from_bytes(last[24:32], "little")
        return found

    def read(self, listed, seen):
        """Reads files out of the layers: the notes beside them are not synced, and must not be believed."""
        wrong = []
        for tag, layers in images.BIG.items():
            name = next((key for key in listed if key.endswith(f"/own/big:{tag}") and key.startswith("127.")), None)
            if name is None:
                continue
            layer, size = layers[-1]
            expected = images.content(layer, size)
            process = self.store.start("cat", f"{name}:/{layer}")
            out, err = process.communicate()
            seen["read"] = seen.get("read", 0) + 1
            if process.returncode or out != expected:
                wrong.append(f"cat {name}:/{layer}: {process.returncode}: {len(out)} bytes: {err.decode().strip()}")
        return wrong

    def served(self, point, seen):
        """Asks `wharf serve registry` for what was pushed to it."""
        wrong = []
        server, base = self.store.serve("registry", "--listen", "127.0.0.1:0")
        try:
            for ack, repo, digests in self.about["blobs"]:
                if ack > point:
                    continue
                for kind, digest in [*(("blobs", digest) for digest in digests[:-1]), ("manifests", digests[-1])]:
                    status = images.call("HEAD", f"{base}/v2/{repo}/{kind}/{digest}").status
                    seen["served"] = seen.get("served", 0) + 1
                    if status != 200:
                        wrong.append(f"registry: {status} for {repo} {kind} {digest}")
        finally:
            stop(server)
        return wrong

    def go_on(self, rng, point, claimed, seen):
        """Pulls on, prunes: nothing is left, and the names stay."""
        tag, before = rng.choice(list(images.BIG)), self.proxy.down
        name = f"127.0.0.1:{self.proxy.port}/own/big:{tag}"
        blobs = {images.digest(blob): len(blob) for blob in images.image(images.BIG[tag])}
        here = {digest for digest in blobs if os.path.exists(f"{self.store.root}/blobs/sha256/{digest[7:9]}/{digest[7:]}")}
        code, _, err = self.store.run("pull", "-q", name)
        if code:
            return [f"pull {name}: {code}: {err.strip()}"]
        wanted = sum(size for digest, size in blobs.items() if digest not in here)
        part = sum(claimed.get(digest, 0) for digest in blobs if digest not in here)
        seen["pulled"], seen["wanted"], seen["claimed"], seen["came"] = 1, wanted, part, self.proxy.down - before
        wrong = self.sound(seen)
        code, _, err = self.store.run("image", "prune", "-f")
        wrong += [f"prune: {code}: {err.strip()}"] * (code != 0) + self.sound(seen, leftovers=False)
        left = [name for name in os.listdir(f"{self.store.root}/ingest") if not name.startswith("upload-")]
        wrong += [f"left in ingest/ by a prune: {left}"] * bool(left)
        listed = self.store.listing()
        if not listed.pop(name, None):
            wrong.append(f"{name} was pulled and isn't listed")
        wrong += ["after the prune: " + line for line in self.oracle.compare(listed, point) if "@" not in line.split(" is ")[0]]
        return wrong


def work(folder, name, port, seed, numbers, results):
    try:
        worker, log = Worker(folder, name, port), Log(folder)
        states = sorted((State(log, worker.about, seed, number) for number in numbers), key=lambda state: state.flush)
        for state in states:
            try:
                which = worker.build(state)
                wrong, seen = worker.look(state)
            except Exception:
                which, wrong, seen = "", ["the explorer failed: " + traceback.format_exc()], {}
            results.put({"seed": seed, "number": state.number, "state": which, "point": state.point, "flush": state.flush, "at": state.at,
                         "mode": state.mode, "pending": len(state.pending(log)), "wrong": wrong, "seen": seen})
        worker.close()
    finally:
        results.put(None)


def main():
    folder, seed, first, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    if "--image" in sys.argv:
        worker = Worker(folder, "only", 0)
        state = State(worker.log, worker.about, seed, first)
        print(worker.build(state), state.__dict__)
        os.link(f"{folder}/only.state", sys.argv[sys.argv.index("--image") + 1])
        worker.close()
        return
    port, workers = int(os.environ.get("PORT", 0)), int(os.environ.get("WORKERS", 2))
    registry = images.Registry(folder, port)
    results, started = multiprocessing.Queue(), time.time()
    numbers = range(first, first + count)
    processes = [multiprocessing.Process(target=work, args=(folder, f"w{n}", registry.port, seed, numbers[n::workers], results), daemon=True)
                 for n in range(workers)]
    for process in processes:
        process.start()
    all_, left = [], workers
    with open(f"{folder}/results-{seed}-{first}.jsonl", "w") as file:
        while left:
            try:
                result = results.get(timeout=5)
            except queue.Empty:
                if not any(process.is_alive() for process in processes):
                    break  # killed: the count of states says so
                continue
            if result is None:
                left -= 1
                continue
            all_.append(result)
            print(json.dumps(result), file=file, flush=True)
            if result["wrong"]:
                print(f"WRONG seed {seed} state {result['number']} {result['mode']} at {result['point']} (flush {result['flush']}): "
                      + " // ".join(result["wrong"])[:600], flush=True)
    registry.stop()
    total = collections.Counter()
    for result in all_:
        total.update(result["seen"])
    bad = [result for result in all_ if result["wrong"]]
    print(f"{folder}: {len(all_)} states, {len({result['state'] for result in all_})} different disks, {len(bad)} wrong, "
          f"by mode {dict(collections.Counter(result['mode'] for result in bad))}; {time.time() - started:.0f} s; seen {dict(total)}")
    sys.exit(bool(bad) or len(all_) < count)


if __name__ == "__main__":
    main()
