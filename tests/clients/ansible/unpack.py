#!/usr/bin/env python3
"""Takes the collections that the playbook needs out of the package `ansible`: unpack.py WHEEL FOLDER"""
import sys
import zipfile

NEEDED = tuple(
    f"ansible_collections/community/{name}/" for name in ("docker", "library_inventory_filtering_v1")
)

wheel, folder = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive:
    names = [name for name in archive.namelist() if name.startswith(NEEDED)]
    if not names:
        sys.exit(f"FAILED: {wheel} has no collection community.docker")
    archive.extractall(folder, names)
