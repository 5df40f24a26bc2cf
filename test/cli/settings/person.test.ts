import { chmod, chown, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { configRows, loadConfig } from '../../../cli/settings/person.ts';

let home: string;
let file: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'kleis-config-'));
  file = join(home, '.config', 'kleis', 'config.yaml');
  await mkdir(join(home, '.config', 'kleis'), { recursive: true, mode: 0o755 });
});
afterEach(async () => {
  await rm(home, { recursive: true, force: true });
});

const load = (env: Readonly<Record<string, string>> = { HOME: home }) =>
  loadConfig({ env, platform: process.platform });
const fails = (code: string, message: RegExp, hint = /./) =>
  expect.objectContaining({ code, message: expect.stringMatching(message), hint: expect.stringMatching(hint) });

async function write(text: string): Promise<void> {
  await writeFile(file, text);
  await chmod(file, 0o644);
}

test('without a file, or with an empty one, everything is as Kleis thinks', async () => {
  const defaults = await load();
  expect(defaults).toEqual({ path: file, choices: {}, origins: {} });
  expect(configRows(defaults).every(({ source, text }) => source === 'default' && text !== '')).toBe(true);
  for (const text of ['', '# nothing\n', '---\n', '{}\n', 'login:\nproxy: null\n']) {
    await write(text);
    expect(await load()).toEqual(defaults);
  }
  expect(await load({})).toEqual({ path: undefined, choices: {}, origins: {} });
});

test('every setting is read, and knows where it stands', async () => {
  await write(`# how I sign in
login: device
browserCommand: [firefox, -P, my work, "{url}"]
cache: file
listenAddress:
  - 127.0.0.1:18001
  - "[::1]:0"
redirectUri: http://localhost:18001/callback
proxy: http://me:hunter2@proxy.example.com:3128
loginTimeout: 1h
minValidity: 90s
confirmNewClusters: true
brokerAudiences: { "https://kleis.test/": kleis }
clientFiles: [/run/secrets/kleis/, /etc/kleis.secret]
`);
  const config = await load();
  expect(config.choices).toEqual({
    login: 'device',
    browserCommand: ['firefox', '-P', 'my work', '{url}'],
    cache: 'file',
    listenAddress: ['127.0.0.1:18001', '[::1]:0'],
    redirectUri: 'http://localhost:18001/callback',
    proxy: 'http://me:hunter2@proxy.example.com:3128',
    loginTimeout: 3_600_000,
    minValidity: 90_000,
    confirmNewClusters: true,
    brokerAudiences: { 'https://kleis.test': 'kleis' },
    clientFiles: ['/run/secrets/kleis/', '/etc/kleis.secret'],
  });
  expect(configRows(config).map(({ key, text, source }) => `${key} | ${text} | ${source.replace(file, 'F')}`)).toEqual([
    'login | device | F:2',
    'browserCommand | firefox -P "my work" {url} | F:3',
    'listenAddress | 127.0.0.1:18001, [::1]:0 | F:5',
    'redirectUri | http://localhost:18001/callback | F:8',
    'cache | file | F:4',
    'minValidity | 1m30s | F:11',
    'loginTimeout | 1h | F:10',
    'proxy | http://me:…@proxy.example.com:3128 | F:9',
    'confirmNewClusters | true | F:12',
    'clientFiles | /run/secrets/kleis/, /etc/kleis.secret | F:14',
    'brokerAudiences | https://kleis.test: kleis | F:13',
  ]);
});

test('one text is a program, or an address, and is not divided', async () => {
  await write('browserCommand: /opt/my browser/run\nlistenAddress: localhost:0\n');
  expect((await load()).choices).toEqual({ browserCommand: ['/opt/my browser/run'], listenAddress: ['localhost:0'] });
});

test('XDG_CONFIG_HOME says where it is, if it is absolute', async () => {
  await mkdir(join(home, 'kleis'));
  await writeFile(join(home, 'kleis', 'config.yaml'), 'login: paste\n');
  expect((await load({ HOME: '/nowhere', XDG_CONFIG_HOME: home })).choices.login).toBe('paste');
  expect((await load({ HOME: home, XDG_CONFIG_HOME: 'relative' })).choices.login).toBeUndefined();
});

describe('faults', () => {
  test('are told all at once, each with its place', async () => {
    await write(`login: carrier-pigeon
browser-command: firefox
cahce: file
issuerUrl: https://sso.example.com
colour: green
confirmNewClusters: "yes"
`);
    await expect(load()).rejects.toEqual(fails('config_invalid', /^There are 6 faults in the configuration:\n/));
    const { message } = (await load().catch((error: unknown) => error)) as Error;
    expect(message.replaceAll(file, 'F').split('\n  ').slice(1)).toEqual([
      'F:1:8: login must be one of auto, browser, device, paste.',
      'F:2:1: there is no setting "browser-command"; it may be meant for browserCommand.',
      'F:3:1: there is no setting "cahce"; it may be meant for cache.',
      'F:4:1: issuerUrl says what to get, not how: it belongs to the kubeconfig (`kleis kubeconfig add`).',
      'F:5:1: there is no setting "colour"; there are login, browserCommand, listenAddress, redirectUri, cache, minValidity, loginTimeout, proxy, confirmNewClusters, clientFiles, brokerAudiences.',
      'F:6:21: confirmNewClusters must be true or false.',
    ]);
  });

  test.each([
    ['login: [device]', /:1:8: login must be one of/],
    ['browserCommand: []', /must be a program/],
    ['browserCommand: [a, 1]', /must be a program/],
    ['browserCommand: "a\\eb"', /must be a program/],
    ['listenAddress: 0.0.0.0:8000', /loopback host/],
    ['listenAddress: localhost', /loopback host/],
    ['listenAddress: [localhost:1, example.com:1]', /loopback host/],
    ['listenAddress: localhost:70000', /loopback host/],
    ['redirectUri: https://example.com/', /http URI on loopback/],
    ['redirectUri: http://localhost:1/#a', /http URI on loopback/],
    ['proxy: socks4://x:1', /URL of a proxy/],
    ['proxy: proxy.example.com:3128', /URL of a proxy/],
    ['loginTimeout: 5', /duration such as 90s or 15m, from 1s to 1h/],
    ['loginTimeout: 2h', /duration/],
    ['minValidity: 25h', /from 0s to 24h/],
    ['brokerAudiences: kleis', /must name an audience for each URL/],
    ['brokerAudiences: { "http://kleis.example.com": kleis }', /must name an audience/],
    ['brokerAudiences: { "https://kleis.example.com": --help }', /must name an audience/],
    ['clientFiles: secret', /must be the whole path/],
    ['clientFiles: [/a, ~/b]', /must be the whole path/],
    ['- login', /:1:1: this must be a mapping/],
    ['login', /:1:1: this must be a mapping/],
    ['login: a: b', /:1:8: this is not valid YAML/],
    ['login: auto\nlogin: auto', /:2:1: this is not valid YAML: Map keys must be unique/],
    ['login: auto\n---\nlogin: device', /not valid YAML/],
    ['proxy: *x', /config\.yaml:1:8: /],
    ['"\\e[31m": 1', /no setting "\[31m"/],
    ['toString: 1', /no setting "toString"/],
  ])('%j', async (text, message) => {
    await write(text);
    await expect(load()).rejects.toEqual(fails('config_invalid', message));
  });

  test('of the file itself', async () => {
    await write(`# ${'x'.repeat(70_000)}`);
    await expect(load()).rejects.toEqual(fails('config_invalid', /larger than 64 KiB/));
    await writeFile(file, Buffer.from([0xff, 0xfe]));
    await expect(load()).rejects.toEqual(fails('config_invalid', /not text in UTF-8/));
    await rm(file);
    await mkdir(file);
    await expect(load()).rejects.toEqual(fails('config_invalid', /not a regular file/));
  });
});

describe('whoever could write the file could make Kleis run a command, so it is refused', () => {
  test.each([0o666, 0o664, 0o646])('with mode %o', async (mode) => {
    await write('login: device\n');
    await chmod(file, mode);
    await expect(load()).rejects.toEqual(
      fails('storage_unsafe', /Others can write .*config\.yaml/, /chmod go-w .*config\.yaml/),
    );
  });

  test('in a folder that others can write, also behind a link', async () => {
    const elsewhere = join(home, 'dotfiles');
    await mkdir(elsewhere);
    await writeFile(join(elsewhere, 'kleis.yaml'), 'login: device\n');
    await symlink(join(elsewhere, 'kleis.yaml'), file);
    expect((await load()).choices).toEqual({ login: 'device' });
    await chmod(elsewhere, 0o777);
    await expect(load()).rejects.toEqual(fails('storage_unsafe', /Others can write .*dotfiles/));
    await chmod(elsewhere, 0o755);
    await chmod(join(home, '.config', 'kleis'), 0o775);
    await expect(load()).rejects.toEqual(fails('storage_unsafe', /Others can write .*kleis /));
  });

  // Only root can make a file somebody else's.
  test.skipIf(process.getuid?.() !== 0)(
    'of another user, whose it stays: `sudo -E` gives nothing of theirs to root',
    async () => {
      await write('login: device\n');
      await chown(file, 12_345, 12_345);
      await expect(load()).rejects.toEqual(
        fails('storage_unsafe', /belongs to another user/, /^Run Kleis as the user whose file it is/),
      );
    },
  );
});
