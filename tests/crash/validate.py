#!/usr/bin/env python3
"""Shows that the explorer finds what it should: validate.py FOLDER FILE_SYSTEM COUNT

Programs replace files and say so ("acknowledge"): one does all that is needed, others leave out a sync. The states in
which an acknowledged file is not what it was said to be are counted for each program: the first must have none, on a
disk that keeps every write in order (`all`, `prefix`) the others may.
"""
import collections, hashlib, json, os, random, shutil, sys

from device import Disk
from explore import State, Worker


def replace(folder, name, data, sync_file, sync_folder, rename=True):
    path = f"{folder}/{name}"
    with open(path + ".new" if rename else path, "wb") as file:
        file.write(data)
        file.flush()
        if sync_file:
            os.fsync(file.fileno())
    if rename:
        os.rename(path + ".new", path)
    if sync_folder:
        handle = os.open(folder, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)


PROGRAMS = {  # sync the file, sync the folder, rename
    "good": (True, True, True), "no-folder-sync": (True, False, True), "no-file-sync": (False, True, True), "no-sync": (False, False, True),
    "in-place": (True, True, False),
}


def record(folder, kind):
    rng, events = random.Random(kind), []
    with Disk(folder, kind) as disk:
        files = f"{disk.mount}/files"
        os.makedirs(files)
        os.sync()
        begin = disk.seq()
        for _ in range(200):
            program = rng.choice(list(PROGRAMS))
            name, data = f"{program}.{rng.randint(0, 5)}", rng.randbytes(rng.choice([100, 5000, 50_000]))
            start = disk.seq()
            replace(files, name, data, *PROGRAMS[program])
            value = hashlib.sha256(data).hexdigest()
            events.append({"what": name, "start": start, "ack": disk.seq(), "code": 0, "values": {name: value}})
        end = disk.seq()
    with open(f"{folder}/events.json", "w") as file:
        json.dump({"file_system": kind, "root": "files", "begin": begin, "end": end, "events": events, "blobs": []}, file)
    open(f"{folder}/config.toml", "w").close()


class Files(Worker):
    def check(self, state, seen):
        listed = {}
        for name in os.listdir(self.store.root):
            if not name.endswith(".new"):
                with open(f"{self.store.root}/{name}", "rb") as file:
                    listed[name] = hashlib.sha256(file.read()).hexdigest()
        return self.oracle.compare(listed, state.point)


def main():
    folder, kind, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    record(folder, kind)
    worker, lost, failed = Files(folder, "v", 0), collections.Counter(), collections.Counter()
    states = sorted((State(worker.log, worker.about, "v", number) for number in range(count)), key=lambda state: state.flush)
    for state in states:
        worker.build(state)
        wrong, _ = worker.look(state)
        for program in {line.split(".")[0] for line in wrong}:
            lost[program] += 1
            failed[f"{program} by {state.mode}"] += 1
    worker.close()
    print(f"{kind}: {count} states, {len(worker.log.records)} records, {len(worker.log.flushes)} flushes; states with a loss: {dict(lost)}")
    print(" ", dict(sorted(failed.items())))
    sys.exit(lost["good"] > 0 or not lost["no-sync"] or not lost["no-file-sync"])


if __name__ == "__main__":
    main()
