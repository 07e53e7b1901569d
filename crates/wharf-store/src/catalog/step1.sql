-- Times are microseconds since 1970. Digests are text, as they are written everywhere.

-- Content that has come. here = 0: a check has found it damaged or missing, and others still name it.
CREATE TABLE blobs (
  id       INTEGER PRIMARY KEY,
  digest   TEXT NOT NULL UNIQUE,
  size     INTEGER NOT NULL,
  here     INTEGER NOT NULL DEFAULT 1,
  diff_id  TEXT,
  unpacked INTEGER
) STRICT;

-- One row per image: what a listing shows. id is the config's blob.
-- kept = 0: it has arrived, and nobody has given it a name yet.
CREATE TABLE images (
  id           INTEGER PRIMARY KEY REFERENCES blobs,
  manifest     INTEGER NOT NULL,
  kept         INTEGER NOT NULL DEFAULT 0,
  created      INTEGER,
  size         INTEGER NOT NULL,
  os           TEXT NOT NULL,
  architecture TEXT NOT NULL,
  variant      TEXT NOT NULL,
  labels       TEXT,
  last_tagged  INTEGER
) STRICT;

CREATE TABLE image_layers (
  image    INTEGER NOT NULL REFERENCES images,
  position INTEGER NOT NULL,
  diff_id  TEXT NOT NULL,
  chain_id TEXT NOT NULL,
  layer    INTEGER NOT NULL REFERENCES blobs,
  PRIMARY KEY (image, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX image_layers_chain ON image_layers (chain_id);
CREATE INDEX image_layers_layer ON image_layers (layer);

-- kind: 0 an index, 1 an image, 2 an artifact. children: how many it lists, here or not.
-- complete = 0: a check has set aside something that it needs.
CREATE TABLE manifests (
  id            INTEGER PRIMARY KEY REFERENCES blobs,
  kind          INTEGER NOT NULL,
  media_type    TEXT NOT NULL,
  image         INTEGER REFERENCES images,
  children      INTEGER NOT NULL,
  complete      INTEGER NOT NULL DEFAULT 1,
  subject       TEXT,
  artifact_type TEXT,
  annotations   TEXT
) STRICT;
CREATE INDEX manifests_image ON manifests (image) WHERE image IS NOT NULL;
CREATE INDEX manifests_subject ON manifests (subject) WHERE subject IS NOT NULL;

-- What a manifest needs, in its order: an image's config is at 0, its layers follow. Of an index:
-- those of its manifests that are here.
CREATE TABLE edges (
  parent   INTEGER NOT NULL REFERENCES manifests,
  position INTEGER NOT NULL,
  child    INTEGER NOT NULL REFERENCES blobs,
  PRIMARY KEY (parent, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX edges_child ON edges (child);

-- A repository is written in full: docker.io/library/busybox.
CREATE TABLE names (
  repository TEXT NOT NULL,
  tag        TEXT NOT NULL,
  target     INTEGER NOT NULL REFERENCES manifests,
  image      INTEGER REFERENCES images,
  updated    INTEGER NOT NULL,
  used       INTEGER NOT NULL,
  PRIMARY KEY (repository, tag)
) STRICT, WITHOUT ROWID;
CREATE INDEX names_image ON names (image) WHERE image IS NOT NULL;
CREATE INDEX names_target ON names (target);

-- The digest of an index names each of its platforms' images that was pulled.
CREATE TABLE repo_digests (
  repository TEXT NOT NULL,
  digest     TEXT NOT NULL,
  image      INTEGER NOT NULL REFERENCES images,
  updated    INTEGER NOT NULL,
  PRIMARY KEY (repository, digest, image)
) STRICT, WITHOUT ROWID;
CREATE INDEX repo_digests_image ON repo_digests (image);
CREATE INDEX repo_digests_digest ON repo_digests (digest);

-- The registry server's repositories. kind: 0 a blob, 1 a manifest.
CREATE TABLE links (
  repository TEXT NOT NULL,
  blob       INTEGER NOT NULL REFERENCES blobs,
  kind       INTEGER NOT NULL,
  made       INTEGER NOT NULL,
  PRIMARY KEY (repository, blob, kind)
) STRICT, WITHOUT ROWID;
CREATE INDEX links_blob ON links (blob);

-- What operations in progress need. token names the lock file of the process.
CREATE TABLE leases (
  digest  TEXT NOT NULL,
  token   TEXT NOT NULL,
  expires INTEGER NOT NULL,
  PRIMARY KEY (digest, token)
) STRICT, WITHOUT ROWID;
