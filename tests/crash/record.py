#!/usr/bin/env python3
"""Records one random workload of wharf on a logged disk: record.py FOLDER FILE_SYSTEM SEED [STEPS [PORT [IMAGE]]]

FOLDER gets `log` (every write and flush) and `events.json`: what each command changed in the listing, and the numbers
of records in the log just before it began and just after it had ended well (`ack`; none if it was killed). With IMAGE
(explore.py --image), the disk is one that has been through a power loss already.
"""
import json, os, random, shutil, subprocess, sys, time
from concurrent.futures import ThreadPoolExecutor

import images
from device import HERE, MIB, Disk
from wharf import Proxy, Store, UnixConnection, stop

FIXTURES = ["library/busybox:musl", "library/busybox:glibc", "team/app:1.0", "team/app:1.1", "team/multi:1", "team/codecs:1",
            "team/files:1", "team/empty:1", "team/dockerlist:1"]


class Recorder:
    def __init__(self, folder, kind, seed, port, image=None):
        self.folder, self.rng = folder, random.Random(seed)
        self.registry = images.Registry(folder, port)
        self.disk = Disk(folder, kind, image=image)
        self.config = f"{folder}/config.toml"
        open(self.config, "w").close()
        self.events, self.blobs, self.number, self.moved, self.log = [], [], 0, 0, []

    # -- one step ------------------------------------------------------------------------------------------------

    def step(self, *operations, check=True):
        """Runs operations at once; each is (its words, the names it sets or removes, how it runs)."""
        before = self.rows
        with ThreadPoolExecutor(max(1, len(operations))) as pool:
            ended = list(pool.map(self.operation, operations))
        if not check:
            return
        self.rows = self.store.listing()
        changed = {key for key in before.keys() | self.rows.keys() if before.get(key) != self.rows.get(key)}
        owned = set()
        for (words, names, *_), (start, ack, code) in zip(operations, ended):
            keys = set(names) if ack is not None or code == -9 else set()
            owned |= keys
            self.event(words, start, ack, code, keys)
        rest = changed - owned
        if rest:
            acks = [ack for _, ack, _ in ended]
            self.event("the rest", min(start for start, _, _ in ended), None if None in acks else max(acks), 0, rest)

    def event(self, words, start, ack, code, keys):
        values = {key: "*" if ack is None else self.rows.get(key, []) for key in keys}
        self.events.append({"what": words, "start": start, "ack": ack, "code": code, "values": values})

    def operation(self, operation):
        run = operation[2]
        start = self.disk.seq()
        code = run()
        ack = self.disk.seq() if code == 0 else None
        return start, ack, code

    def command(self, *words, names=(), kill=None, kill_at=None, **options):
        """A wharf command; killed after so many seconds, or instead of its fsync of this number."""
        def run():
            prefix = ("env", f"LD_PRELOAD={self.folder}/killat.so", f"KILL_AT={kill_at}") if kill_at else ()
            process = self.store.start(*words, prefix=prefix, **options)
            if kill is not None:
                time.sleep(kill)
                process.kill()
            _, err = process.communicate(timeout=120)
            if process.returncode not in (0, -9):
                self.log.append(f"{' '.join(words)}: {process.returncode}: {err.decode().strip()}")
            return process.returncode
        return " ".join(words) + (" (killed)" if kill is not None else f" (killed at fsync {kill_at})" if kill_at else ""), names, run, words

    # -- what there is to do -------------------------------------------------------------------------------------

    def names(self, *beginnings):
        named = [key for key in sorted(self.rows) if "@" not in key]
        return [name for name in named if not beginnings or name.startswith(beginnings)]

    def local(self):
        self.number += 1
        return f"local/n{self.number % 12}:t{self.number % 3}"

    def remote(self, port=None):
        host = f"127.0.0.1:{port}" if port else self.registry.host
        which = self.rng.choice([f"own/big:{tag}" for tag in images.BIG] * 2 + FIXTURES)
        return f"{host}/{which}"

    def pull(self):
        name = self.remote()
        return self.command("pull", "-q", name, names=[name])

    def pull_moved(self):
        self.moved = (self.moved + 1) % len(images.MOVED)
        self.registry.move(str(self.moved))
        name = f"{self.registry.host}/own/mv:latest"
        return self.command("pull", "-q", name, names=[name])

    def tag(self, **options):
        target = self.local()
        return self.command("tag", self.rng.choice(self.names()), target, names=[target], **options)

    def rmi(self, **options):
        name = self.rng.choice(self.names("local/", self.registry.host, "made/"))
        return self.command("rmi", name, names=[name], **options)

    def archive(self):
        path = f"{self.folder}/made{self.number}.tar"
        with open(path, "wb") as file:
            file.write(images.archive(f"made{self.rng.random()}", self.rng.choice([10_000, 100_000, 400_000, MIB])))
        return path

    def make(self, **options):
        self.number += 1
        name = f"made/i{self.number % 5}:1"
        return self.command("import", self.archive(), name, names=[name], **options)

    def load(self, **options):
        name, path = self.rng.choice(self.names()), f"{self.folder}/saved.tar"
        assert self.store.run("save", "-o", path, name)[0] == 0
        if self.rng.random() < 0.6 and len(self.names()) > 4:
            self.step(self.command("rmi", name, names=[name]))
        return self.command("load", "-q", "-i", path, names=[name], **options)

    def push(self):
        self.number += 1
        made = [name for name in self.names("made/")]
        source = self.rng.choice(made or self.names())
        target = f"{self.registry.host}/pushed/p{self.number}:1"
        self.step(self.command("tag", source, target, names=[target]))
        return self.command("push", "-q", target, names=[target])

    def prune(self):
        return self.command("image", "prune", "-f")

    def engine_tag(self):
        source, target = self.rng.choice(self.names()), self.local()
        repository, tag = target.rsplit(":", 1)

        def run():
            connection = UnixConnection(self.socket)
            connection.request("POST", f"/v1.43/images/{source}/tag?repo={repository}&tag={tag}")
            status = connection.getresponse().status
            connection.close()
            return 0 if status == 201 else status
        return f"POST tag {source} {target}", [target], run

    def registry_push(self):
        self.number += 1
        tag, repo = f"v{self.number % 4}", f"served/s{self.number % 3}"
        blobs = images.image((("base", 600 * images.KIB), (f"served{self.rng.random()}", self.rng.choice([5_000, 300_000]))))

        def run():
            status = images.push(self.served, repo, tag, blobs)
            self.blobs.append([self.disk.seq(), repo, [images.digest(blob) for blob in blobs]])
            return 0 if status == 201 else status
        return f"PUT {repo}:{tag}", [f"wharf.internal/{repo}:{tag}"], run

    def killed_pull(self):
        """A slow pull that is killed; the next one of the same image goes on with it."""
        absent = [tag for tag in images.BIG if f"{self.registry.host}/own/big:{tag}" not in self.rows]
        if not absent:
            return self.rmi()
        proxy = self.slow
        name = f"127.0.0.1:{proxy.port}/own/big:{self.rng.choice(absent)}"
        return self.command("pull", "-q", name, names=[name], kill=self.rng.uniform(0.05, 0.9))

    def killed(self):
        options = {"kill": self.rng.uniform(0.001, 0.025)}
        return self.rng.choice([self.tag, self.rmi, self.make, self.load])(**options)

    def redone(self):
        """Killed at a sync, and run again at once: what it finds is visible, and maybe not durable yet."""
        which = self.rng.choice(["pull", "pull", "pull_moved", "make", "load", "tag", "rmi", "push", "prune"])
        operation = getattr(self, which)()
        self.step(self.command(*operation[3], names=operation[1], kill_at=self.rng.randint(1, 22)))
        return self.command(*operation[3], names=operation[1])

    def together(self):
        """Several at once. Names differ, so that who is last does not matter."""
        chosen, taken = [], set()
        for make in self.rng.choices([self.pull, self.tag, self.tag, self.engine_tag, self.make, self.registry_push, self.pull_moved], k=4):
            operation = make()
            if not taken & set(operation[1]):
                chosen.append(operation)
                taken |= set(operation[1])
        return chosen

    def workload(self, steps):
        first = f"{self.registry.host}/own/big:1"
        self.step(self.command("pull", "-q", first, names=[first]))
        self.socket = f"{self.folder}/engine.sock"
        engine, _ = self.store.serve("engine", "--listen", f"unix://{self.socket}")
        server, self.served = self.store.serve("registry", "--listen", "127.0.0.1:0")
        for _ in range(2):
            self.step(self.pull())
        choices = {self.pull: 5, self.pull_moved: 3, self.tag: 5, self.rmi: 6, self.make: 3, self.load: 2, self.push: 2, self.prune: 2,
                   self.engine_tag: 4, self.registry_push: 3, self.killed_pull: 4, self.killed: 4, self.redone: 8, self.together: 4}
        for _ in range(steps):
            if len(self.names()) < 3:
                made = self.pull()
            else:
                made = self.rng.choices(list(choices), list(choices.values()))[0]()
            self.step(*(made if isinstance(made, list) else [made]))
            if self.rng.random() < 0.1:
                time.sleep(self.rng.uniform(0, 1.5))
        stop(engine), stop(server)

    def run(self, steps):
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", f"{self.folder}/killat.so", f"{HERE}/killat.c"], check=True)
        self.slow = Proxy(int(self.registry.host.rsplit(":", 1)[1]), 2 * MIB)
        with self.disk:
            self.store = Store(f"{self.disk.mount}/var/lib/wharf", self.config)
            self.rows = self.store.listing() if self.disk.image else {}
            begin = self.disk.seq()
            if self.rows:
                self.event("a former life", begin, begin, 0, self.rows)
            self.workload(steps)
            end = self.disk.seq()
            code, out, err = self.store.run("store", "check")
            assert code == 0, (out, err)
        self.slow.close()
        self.registry.stop()
        with open(f"{self.folder}/events.json", "w") as file:
            json.dump({"file_system": self.disk.kind, "root": "var/lib/wharf", "begin": begin, "end": end, "events": self.events,
                       "blobs": self.blobs, "errors": self.log}, file, indent=1)


def main(kind_of):
    folder, kind, seed = sys.argv[1:4]
    steps = int(sys.argv[4]) if len(sys.argv) > 4 else 60
    port = int(sys.argv[5]) if len(sys.argv) > 5 else 0
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    recorder = kind_of(folder, kind, seed, port, sys.argv[6] if len(sys.argv) > 6 else None)
    recorder.run(steps)
    acked = sum(event["ack"] is not None for event in recorder.events)
    print(f"{folder}: {kind}, seed {seed}: {len(recorder.events)} events, {acked} acknowledged, {len(recorder.log)} errors")


if __name__ == "__main__":
    main(Recorder)
