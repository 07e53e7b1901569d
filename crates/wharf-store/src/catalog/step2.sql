-- local = 1: the manifest was made here, out of plain archives; a push compresses their layers first.
ALTER TABLE manifests ADD COLUMN local INTEGER NOT NULL DEFAULT 0;

-- Which blobs hold a layer, however it is compressed.
CREATE INDEX blobs_diff_id ON blobs (diff_id) WHERE diff_id IS NOT NULL;
