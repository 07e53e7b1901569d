#!/usr/bin/env python3
"""How much of a slow download a power loss leaves: resume.py FOLDER FILE_SYSTEM COUNT [PORT]

Records one pull of a large layer that takes about a minute; then, in states of the whole of it, pulls again and
compares what had come before with what did not come again. Fails if more than LOST_MAX seconds of it are lost.
"""
import json, os, shutil, signal, sys, time

import images
from device import Disk
from explore import State, Worker
from wharf import Proxy, Store

LAYER = ("huge", 72 << 20)
SLOW = 350_000  # bytes a second of each connection
LOST_MAX = 5  # seconds of download that a power loss may take
BESIDE = 65536  # bytes of manifests and configs, which come again


def record(folder, kind, port):
    slow = Proxy(port, SLOW)
    name, came = f"127.0.0.1:{slow.port}/own/huge:1", []
    open(f"{folder}/config.toml", "w").close()
    with Disk(folder, kind, 400 if kind == "xfs" else 256) as disk:
        store = Store(f"{disk.mount}/store", f"{folder}/config.toml")
        assert store.run("images")[0] == 0
        begin, started = disk.seq(), time.time()
        pull = store.start("pull", "-q", name)
        while pull.poll() is None:
            came.append([disk.seq(), slow.down, round(time.time() - started, 1)])
            time.sleep(0.1)
        assert pull.wait() == 0, pull.stderr.read()
        end = came[-1][0]
    with open(f"{folder}/events.json", "w") as file:
        json.dump({"file_system": kind, "size": disk.size, "root": "store", "begin": begin, "end": end, "blobs": [], "came": came,
                   "events": [{"what": "pull", "start": begin, "ack": end, "values": {}}]}, file)
    print(f"{kind}: the pull took {came[-1][2]} s")


def lost(came, row):
    """How many seconds of download did the power loss take?"""
    kept_at = max(second for _, had, second in came if had <= max(0, row["kept"]) + BESIDE)
    return max(0, round(row["second"] - kept_at, 1))


class Resume(Worker):
    def check(self, state, seen):
        before = max((entry for entry in self.about["came"] if entry[0] <= state.point), default=[0, 0, 0])
        seen["second"], seen["had"], seen["claimed"], down = before[2], before[1], sum(self.claimed().values()), self.proxy.down
        ingest = f"{self.store.root}/ingest"
        seen["length"] = sum(os.stat(f"{ingest}/{name}").st_blocks * 512 for name in os.listdir(ingest) if name.endswith(".data")) if os.path.isdir(ingest) else 0
        code, _, err = self.store.run("pull", "-q", f"127.0.0.1:{self.proxy.port}/own/huge:1")
        seen["again"] = self.proxy.down - down
        return [f"pull: {code}: {err}"] * (code != 0) + self.sound({})


def main():
    # So that what was started ends as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder, kind, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    port = int(sys.argv[4]) if len(sys.argv) > 4 else 0
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    registry = images.Registry(folder, port)
    blobs = images.image((LAYER,))
    assert images.push(registry.base, "own/huge", "1", blobs) == 201
    total = sum(map(len, blobs))
    record(folder, kind, registry.port)
    worker, rows, bad = Resume(folder, "r", registry.port), [], 0
    states = sorted((State(worker.log, worker.about, "r", number) for number in range(count)), key=lambda state: state.flush)
    for state in states:
        # The log has few flushes while a download goes on; points at any record, everywhere.
        worker.build(state)
        wrong, seen = worker.look(state)
        rows.append(seen | {"point": state.point, "mode": state.mode, "kept": total - seen.get("again", 0)})
        if wrong:
            print("WRONG", state.number, wrong)
            bad += 1
    worker.close()
    registry.stop()
    rows.sort(key=lambda row: row["point"])
    for row in rows:
        row["lost"] = lost(worker.about["came"], row) if row.get("again", 0) > BESIDE and row["had"] > 0 else 0
    for row in rows[::max(1, count // 15)]:
        print({key: (f"{value / 1e6:.1f}M" if key in ("had", "claimed", "length", "again", "kept") else value) for key, value in row.items()})
    tried = [row for row in rows if row["had"] > 4e6 and row["again"] > 1e6]
    print(f"{kind}: {len(rows)} states, {len(tried)} in the middle: nothing was reused in {sum(row['kept'] < 1e5 for row in tried)}, "
          f"all came and more in {sum(row['kept'] < -1e5 for row in tried)}; had {sum(row['had'] for row in tried) / 1e6:.0f} MB, "
          f"reused {sum(max(0, row['kept']) for row in tried) / 1e6:.0f} MB; lost at most {max(row['lost'] for row in rows)} s of download")
    sys.exit(bool(bad) or max(row["lost"] for row in rows) > LOST_MAX)


if __name__ == "__main__":
    main()
