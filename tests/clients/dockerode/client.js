// dockerode does with an engine what its users do: node client.js SOCKET REGISTRY LOCKED
//
// The story and its facts are those of ../README.md; the engine's store is empty before and after. Every step
// says `ok: …`; the first one that gets something else ends the program.
'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { Readable } = require('node:stream');
const { pipeline } = require('node:stream/promises');
const { setTimeout: pause } = require('node:timers/promises');
const Docker = require('dockerode');

const [socketPath, REGISTRY, LOCKED] = process.argv.slice(2);
const client = new Docker({ socketPath, version: 'v1.51' });

// What the fixtures are: tests/parity/fixtures.
const APP = `${REGISTRY}/team/app:1.1`;
const APP_ID = 'sha256:899f0ba431e55ba94a6162fb5e409b9ff6e157015c3d22d01f7278674bcf75f2';
const APP_DIGEST = 'sha256:8090c8205ff8bbec0c367dfd2a8f5eec95ca8de66b6eeb8a9e51203ba1b5b0e4';
const FILES = `${LOCKED}/team/files`;
const RIGHT = { username: 'ops', password: 'secret', serveraddress: LOCKED };
const WRONG = { username: 'ops', password: 'wrong', serveraddress: LOCKED };
const MINE = `${REGISTRY}/clients/dockerode`;
const MINE_LOCKED = `${LOCKED}/clients/dockerode`;

// How long the engine has for the last event, in milliseconds.
const EVENTS_MAX = 20_000;
// A block of an archive, in bytes.
const BLOCK = 512;

const happened = [];
const expect = (actions) => happened.push(...actions.split(/\s+/));
const names = (images) => images.flatMap((image) => image.RepoTags ?? []).sort();

// follow: the lines of a stream of progress, to its end. An error in the stream is a line too.
async function follow(stream) {
  const lines = [];
  await new Promise((resolve, reject) => {
    client.modem.followProgress(
      stream,
      (error) => (error && lines.every((line) => !line.error) ? reject(error) : resolve()),
      (line) => lines.push(line),
    );
  });
  return lines;
}

// refused: the call fails with a status and with words.
async function refused(status, words, call) {
  const error = await call().then(
    (got) => assert.fail(`no error with ${JSON.stringify(words)}, but ${JSON.stringify(got)}`),
    (error) => error,
  );
  assert.equal(error.statusCode, status, error.message);
  assert.ok(error.message.includes(words), `the error says ${JSON.stringify(words)}: ${error.message}`);
}

// tarOf: an archive with one small file.
function tarOf(name, content) {
  const header = Buffer.alloc(BLOCK);
  header.write(name, 0);
  header.write('0000644\0', 100);
  header.write('0000000\0', 108);
  header.write('0000000\0', 116);
  header.write(content.length.toString(8).padStart(11, '0') + '\0', 124);
  header.write('00000000000\0', 136);
  header.write('        0', 148);
  header.write('ustar\x0000', 257);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(sum.toString(8).padStart(6, '0') + '\0 ', 148);
  const file = Buffer.alloc(BLOCK);
  file.write(content);
  return Readable.from([Buffer.concat([header, file, Buffer.alloc(2 * BLOCK)])], { objectMode: false });
}

const story = {
  async 'ping, version, info'() {
    assert.equal((await client.ping()).toString(), 'OK');
    const version = await client.version();
    assert.equal(version.ApiVersion, '1.51');
    assert.equal(version.MinAPIVersion, '1.24');
    const info = await client.info();
    assert.equal(info.Images, 0);
    assert.equal(info.OSType, 'linux');
    assert.deepEqual(await client.listImages({ all: true }), []);
  },

  async 'pull, with progress'() {
    const lines = await follow(await client.pull(APP));
    assert.deepEqual(lines[0], { status: 'Pulling from team/app', id: '1.1' });
    const statuses = lines.map((line) => line.status);
    for (const words of ['Pulling fs layer', 'Download complete', 'Pull complete', `Digest: ${APP_DIGEST}`]) {
      assert.ok(statuses.includes(words), `the progress has ${words}: ${statuses}`);
    }
    assert.deepEqual(lines.at(-1), { status: `Status: Downloaded newer image for ${APP}` });
    const again = await follow(await client.pull(APP));
    assert.deepEqual(again.at(-1), { status: `Status: Image is up to date for ${APP}` });
    expect('pull pull');
  },

  async 'pull with a user and a password, and without'() {
    await refused(500, 'no basic auth credentials', () => client.pull(`${FILES}:1`));
    await refused(401, 'unauthorized: authentication required', () => client.pull(`${FILES}:1`, { authconfig: WRONG }));
    await follow(await client.pull(`${FILES}:1`, { authconfig: RIGHT }));
    assert.deepEqual((await client.getImage(`${FILES}:1`).inspect()).RepoTags, [`${FILES}:1`]);
    expect('pull');
  },

  async 'list, inspect, history'() {
    assert.deepEqual(names(await client.listImages()), [APP, `${FILES}:1`].sort());
    const ids = async (filters) => (await client.listImages({ filters })).map((image) => image.Id);
    assert.deepEqual(await ids({ reference: [`${REGISTRY}/team/app`] }), [APP_ID]);
    assert.deepEqual(await ids({ label: ['tier=web'] }), [APP_ID]);
    assert.deepEqual(await ids({ dangling: ['true'] }), []);
    // The other form of filters, as dockerode takes them in one string.
    assert.deepEqual(await ids(JSON.stringify({ label: { 'tier=web': true } })), [APP_ID]);
    const image = await client.getImage(APP).inspect();
    assert.deepEqual(image.RepoDigests, [`${REGISTRY}/team/app@${APP_DIGEST}`]);
    assert.deepEqual([image.Os, image.Architecture, image.RootFS.Layers.length], ['linux', 'amd64', 3]);
    assert.equal(image.Config.Labels.tier, 'web');
    const history = await client.getImage(APP).history();
    assert.equal(history.length, 5);
    assert.equal(history[0].CreatedBy, 'ENTRYPOINT ["/app/server"]');
  },

  async tag() {
    await client.getImage(APP).tag({ repo: MINE, tag: '1' });
    assert.equal((await client.getImage(`${MINE}:1`).inspect()).Id, APP_ID);
    await refused(404, 'No such image: nosuch:latest', () => client.getImage('nosuch').tag({ repo: MINE, tag: '1' }));
    await refused(400, 'must be lowercase', () => client.getImage(APP).tag({ repo: 'BAD', tag: '1' }));
    expect('tag');
  },

  async 'push, with progress; with a user and a password'() {
    // Docker wants the header, whoever asks.
    const anonymous = { username: '' };
    const push = async (name, tag, authconfig) => follow(await client.getImage(name).push({ tag, authconfig }));
    let lines = await push(MINE, '1', anonymous);
    assert.equal(lines[0].status, `The push refers to repository [${MINE}]`);
    const aux = lines.flatMap((line) => line.aux ?? []);
    assert.deepEqual(aux.map((one) => one.Tag), ['1']);
    const there = await client.getImage(`${MINE}:1`).distribution({});
    assert.equal(there.Descriptor.digest, aux[0].Digest);
    lines = await push(MINE, 'nope', anonymous);
    assert.equal(lines.at(-1).error, `tag does not exist: ${MINE}:nope`);
    await client.getImage(APP).tag({ repo: MINE_LOCKED, tag: '1' });
    lines = await push(MINE_LOCKED, '1', WRONG);
    assert.match(lines.at(-1).error, /unauthorized: authentication required/);
    lines = await push(MINE_LOCKED, '1', RIGHT);
    assert.ok(lines.at(-1).aux, JSON.stringify(lines.at(-1)));
    expect('push tag push');
  },

  async distribution() {
    const at = (name) => client.getImage(name).distribution({});
    const found = await at(`${REGISTRY}/team/multi:1`);
    assert.equal(found.Descriptor.mediaType, 'application/vnd.oci.image.index.v1+json');
    assert.ok(found.Platforms.some((one) => one.architecture === 'arm64'), JSON.stringify(found));
    await refused(404, 'manifest unknown', () => at(`${REGISTRY}/team/multi:nope`));
    await refused(500, 'no basic auth credentials', () => at(`${FILES}:1`));
  },

  async 'save, remove, load'() {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dockerode-'));
    try {
      const file = path.join(folder, 'saved.tar');
      await pipeline(await client.getImage(`${MINE}:1`).get(), fs.createWriteStream(file));
      assert.ok(fs.readFileSync(file).includes('manifest.json'));

      await refused(409, 'image is referenced in multiple repositories', () => client.getImage(APP_ID).remove());
      for (const name of [`${MINE_LOCKED}:1`, APP, `${MINE}:1`]) {
        const gone = await client.getImage(name).remove();
        assert.deepEqual(gone[0], { Untagged: name });
      }
      await refused(404, 'No such image', () => client.getImage(APP_ID).inspect());
      const lines = await follow(await client.loadImage(file, {}));
      assert.ok(lines.some((line) => line.stream === `Loaded image: ${MINE}:1\n`), JSON.stringify(lines));
    } finally {
      fs.rmSync(folder, { recursive: true });
    }
    assert.equal((await client.getImage(`${MINE}:1`).inspect()).Id, APP_ID);
    expect('save untag untag untag delete load');
  },

  async 'import, prune'() {
    const importing = async (content, more) => {
      const stream = await client.importImage(tarOf('hello', content), { repo: 'mine', tag: '1', ...more });
      return (await follow(stream)).at(-1).status;
    };
    const first = await importing('hi\n', { changes: ['CMD ["x"]'] });
    const image = await client.getImage('mine:1').inspect();
    assert.deepEqual([image.Id, image.Config.Cmd], [first, ['x']]);
    await importing('ho\n');
    const dangling = { filters: { dangling: ['true'] } };
    assert.deepEqual((await client.listImages(dangling)).map((one) => one.Id), [first]);
    const pruned = await client.pruneImages(dangling);
    assert.ok(pruned.ImagesDeleted.some((one) => one.Deleted === first), JSON.stringify(pruned));
    assert.equal(pruned.SpaceReclaimed, 3);
    assert.equal((await client.pruneImages()).ImagesDeleted, null);
    expect('tag import tag import delete prune prune');
  },

  async 'df, info'() {
    const usage = await client.df();
    assert.deepEqual(names(usage.Images), [`${FILES}:1`, `${MINE}:1`, 'mine:1'].sort());
    assert.ok(usage.LayersSize > 3_000_000, `the size of all layers: ${usage.LayersSize}`);
    assert.equal((await client.info()).Images, 3);
  },

  async errors() {
    await refused(404, 'No such image: nosuch:latest', () => client.getImage('nosuch').inspect());
    await refused(400, 'must be lowercase', () => client.getImage('BAD').inspect());
    await refused(404, 'manifest unknown', () => client.pull(`${REGISTRY}/team/app:nope`));
    await refused(404, 'No such image: nosuch:latest', () => client.getImage('nosuch').remove());
    await refused(400, "invalid filter 'nosuch'", () => client.listImages({ filters: { nosuch: ['1'] } }));
    await refused(500, '', () => client.searchImages({ term: `${REGISTRY}/box` }));
    await refused(500, '401 Unauthorized', () => client.checkAuth({ ...WRONG, serveraddress: `http://${LOCKED}` }));
    const login = await client.checkAuth({ ...RIGHT, serveraddress: `http://${LOCKED}` });
    assert.equal(login.Status, 'Login Succeeded');
    const junk = Readable.from([Buffer.from('junk'.repeat(300))], { objectMode: false });
    const lines = await follow(await client.loadImage(junk, {}));
    assert.deepEqual(lines.map((line) => line.error), ['archive/tar: invalid tar header']);
  },

  async 'containers, volumes, networks: none'() {
    assert.deepEqual(await client.listContainers({ all: true }), []);
    assert.deepEqual((await client.listVolumes()).Volumes ?? [], []);
    assert.ok(Array.isArray(await client.listNetworks()));
    await refused(404, 'No such container: nosuch', () => client.getContainer('nosuch').inspect());
  },

  async 'remove everything'() {
    for (const image of await client.listImages({ all: true })) {
      await client.getImage(image.Id).remove({ force: true });
    }
    assert.deepEqual(await client.listImages({ all: true }), []);
    // The one that was pulled has a digest, which is a name too.
    expect('untag delete untag untag delete untag delete');
  },
};

// listen: what comes of events, as it comes.
function listen(stream) {
  const heard = [];
  let rest = '';
  stream.on('data', (bytes) => {
    const lines = (rest + bytes).split('\n');
    rest = lines.pop();
    heard.push(...lines.filter(Boolean).map((line) => JSON.parse(line)));
  });
  return heard;
}

async function main() {
  const filters = JSON.stringify({ type: ['image'] });
  const began = Date.now() / 1000;
  const live = await client.getEvents({ filters });
  const heard = listen(live);
  for (const [name, step] of Object.entries(story)) {
    await step();
    console.log(`ok: ${name}`);
  }

  // The last event may still be on its way; what has happened so far can be asked for again.
  const ending = await client.getEvents({ filters, since: began, until: Date.now() / 1000 });
  const past = listen(ending);
  await new Promise((resolve) => ending.on('end', resolve));
  assert.deepEqual(past.map((event) => event.Action), happened);
  for (const deadline = Date.now() + EVENTS_MAX; heard.length < happened.length && Date.now() < deadline; ) {
    await pause(10);
  }
  live.destroy();
  assert.deepEqual(heard.map((event) => event.Action), happened);
  assert.ok(heard.every((event) => event.Type === 'image' && event.time), JSON.stringify(heard));
  console.log(`ok: events: ${heard.length}`);
}

main().catch((error) => {
  console.error(`FAILED: ${error.stack}`);
  process.exit(1);
});
