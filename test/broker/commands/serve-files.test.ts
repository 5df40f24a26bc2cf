import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run } from '../../../broker/program.ts';
import { createAuthority } from '../../support/certificates.ts';
import { Mounted } from '../../support/mounted.ts';
import { clientSecret } from '../../support/provider.ts';
import { until } from '../../support/wait.ts';
import {
  type Answer,
  type AppWorld,
  exchangeForm,
  formType,
  request,
  startAppWorld,
  testDeps,
} from '../routes/world.ts';
import { type RunningBroker } from '../routes/world.ts';
import { newKey, startWebWorld, type WebWorld } from '../web/world.ts';

// Files as a kubelet, a CSI driver, an agent or a script bring them: late, in parts, by a link, by a rename, or not at all.

type Change = (path: string, text: string) => Promise<void>;

const damages: readonly [string, Change][] = [
  ['vanishes', async (path) => rm(path)],
  ['is empty', async (path) => writeFile(path, '')],
  ['is cut off', async (path, text) => writeFile(path, text.slice(0, text.length / 3))],
];
const ways: Readonly<Record<string, Change>> = {
  'in place': async (path, text) => writeFile(path, text),
  'by a rename': async (path, text) => {
    await writeFile(`${path}.new`, text);
    await rename(`${path}.new`, path);
  },
};

const readyz = async (broker: RunningBroker, ca?: string): Promise<readonly Record<string, unknown>[]> =>
  ((await request(`${broker.operations}/readyz`, {}, ca)).body.checks ?? []) as Record<string, unknown>[];
const checkOf = async (broker: RunningBroker, name: string) =>
  (await readyz(broker)).find((check) => check['name'] === name);
const logged = (broker: RunningBroker, name: string, what: string) =>
  broker.lines().filter(({ msg, check }) => msg === what && check === name).length;

/** Whatever is kept for a time is looked at anew; so it is when the clock is set back. Two clocks may differ by so much. */
const turned = new WeakSet<RunningBroker>();
function turn(broker: RunningBroker): void {
  broker.pass(turned.has(broker) ? -15_000 : 15_000);
  if (!turned.delete(broker)) turned.add(broker);
}

/** `look` makes the broker look at its files now. */
async function goesOn(
  broker: RunningBroker,
  check: string,
  { damage, works, mend, look }: Record<'damage' | 'works' | 'mend' | 'look', () => Promise<unknown>>,
): Promise<void> {
  const told = logged(broker, check, 'not well');
  if (turned.has(broker)) await look();
  await damage();
  const bad = await until(`${check} is not well`, async () => {
    await look();
    const found = await checkOf(broker, check);
    return found?.['ok'] === false ? found : undefined;
  });
  expect(bad['critical']).toBe(false);
  expect(bad['message']).toMatch(/stays in use|last good|cannot be read|cannot be used|no token|no key|one line/);
  await works();
  if (told === 0) await until('the log says so', () => logged(broker, check, 'not well') > 0);
  await mend();
  await until(`${check} is well again`, async () => {
    await look();
    return (await checkOf(broker, check))?.['ok'] === true;
  });
  if (told === 0) await until('and the log says that', () => logged(broker, check, 'well again') > 0);
}

describe('files of a broker', () => {
  let world: AppWorld;
  let broker: RunningBroker;
  let mounted: Mounted;
  let ca: string;
  let files: Record<string, string>;
  beforeAll(async () => {
    world = await startAppWorld();
    const authority = await createAuthority();
    ca = authority.cert;
    const { cert, key } = await authority.issueServer(['127.0.0.1']);
    const folder = join(world.folder, 'mounted');
    await mkdir(folder);
    mounted = new Mounted(folder);
    files = {
      'tls.crt': cert,
      'tls.key': key,
      'ca.crt': ca + (await createAuthority('Another')).cert,
      'jwks.json': await readFile(join(world.folder, 'jwks.json'), 'utf8'),
      kubeconfig: await readFile(world.state.cluster.adminKubeconfig, 'utf8'),
    };
    await mounted.put(files);
    const { issuers } = world.document() as { issuers: { ci: object } };
    broker = await world.start({
      listen: { address: '127.0.0.1:0', tls: { certFile: mounted.path('tls.crt'), keyFile: mounted.path('tls.key') } },
      metrics: { listen: '127.0.0.1:0' },
      clusters: { prod: { credentials: { kubeconfig: mounted.path('kubeconfig') } } },
      issuers: {
        ...issuers,
        ci: {
          ...issuers.ci,
          jwks: mounted.path('jwks.json'),
          signIn: { certificateAuthority: mounted.path('ca.crt') },
        },
      },
    });
  });
  afterAll(() => world.stop());

  const exchange = async (): Promise<Answer> =>
    request(`${broker.url}/token`, { method: 'POST', headers: formType, body: exchangeForm(await world.issue()) }, ca);
  const serves = async () => expect((await exchange()).status).toBe(200);
  /** Each file is looked at after some time, when somebody needs it. */
  const look = async () => {
    turn(broker);
    broker.hangUp();
    await exchange();
  };

  it.each<[string, string, string]>([
    ['tls.crt', 'certificate', 'in place'],
    ['tls.key', 'certificate', 'by a rename'],
    ['ca.crt', 'file of issuers.ci.signIn.certificateAuthority', 'in place'],
    ['kubeconfig', 'files of clusters.prod', 'by a rename'],
    ['jwks.json', 'issuer ci', 'in place'],
  ])('%s: the last good one stays, /readyz and the log say so, and it recovers', async (name, check, way) => {
    for (const [what, damage] of damages) {
      await mounted.put(files);
      const path = mounted.path(name);
      await goesOn(broker, check, {
        damage: async () => {
          // Not through the link: what is damaged is one file.
          await rm(path);
          await writeFile(path, '');
          await damage(path, files[name]!);
        },
        works: serves,
        mend: async () => {
          if (what === 'vanishes') return mounted.put(files);
          return ways[way]!(path, files[name]!);
        },
        look,
      });
      await serves();
      await rm(path, { force: true });
    }
    await mounted.put(files);
  });

  it('a certificate that a kubelet switches is served soon, and half a renewal never', async () => {
    const authority = await createAuthority();
    const next = await authority.issueServer(['127.0.0.1']);
    await mounted.put({ ...files, 'tls.crt': next.cert });
    broker.hangUp();
    await until('half of it is told', async () => (await checkOf(broker, 'certificate'))?.['ok'] === false);
    await serves();
    await mounted.put({ ...files, 'tls.crt': next.cert, 'tls.key': next.key });
    await until('the new one is served', async () => {
      broker.hangUp();
      return request(`${broker.url}/livez`, {}, authority.cert).then(
        ({ status }) => status < 500,
        () => false,
      );
    });
    await mounted.put(files);
    await until('the old one is back', async () => {
      broker.hangUp();
      return exchange().then(
        ({ status }) => status === 200,
        () => false,
      );
    });
  });

  it.each([
    [
      'a certificate that is not there yet',
      'tls.crt',
      /error: listen\.tls: .*tls\.crt cannot be read: it does not exist/,
    ],
    ['an empty one', 'tls.crt', /The certificate .*tls\.crt and its key cannot be used/],
  ])('%s ends `serve` with 6, and it begins when the file is there', async (what, name, message) => {
    const path = mounted.path(name);
    await rm(path);
    if (what.includes('empty')) await writeFile(path, '');
    const config = join(world.folder, 'late.yaml');
    const tls = { certFile: mounted.path('tls.crt'), keyFile: mounted.path('tls.key') };
    const late = world.document({ listen: { address: '127.0.0.1:0', tls }, audit: { file: '-' } });
    await writeFile(config, stringify(late, { aliasDuplicateObjects: false }));
    const { deps, output } = testDeps();
    expect(await run(['serve', '--config', config], deps)).toBe(6);
    expect(output().replaceAll(/\s+/g, ' ')).toMatch(message);
    await rm(path, { force: true });
    await mounted.put(files);
    const second = testDeps();
    const ended = run(['serve', '--config', config], second.deps);
    await until('it is ready', () => second.output().includes('"msg":"ready"'));
    second.end();
    expect(await ended).toBe(0);
  });

  it.each<[string, (path: string) => Promise<unknown>, RegExp]>([
    ['not there', async () => undefined, /cannot be read: it does not exist/],
    ['empty', async (path) => mkdir(path), /has no \*\.yaml or \*\.yml file in it/],
  ])('a folder of the configuration that is %s ends `serve` with 6 and what to do', async (what, make, message) => {
    const path = join(world.folder, `config ${what}`);
    await make(path);
    const { deps, output } = testDeps({ KUBERNETES_SERVICE_HOST: '10.0.0.1' });
    expect(await run(['serve', '--config', path], deps)).toBe(6);
    expect(output()).toMatch(message);
    expect(output().replaceAll(/\s+/g, ' ')).toContain('is its ConfigMap there, and mounted at that path?');
  });
});

describe('files of the web page', () => {
  let suite: WebWorld;
  beforeAll(async () => void (suite = await startWebWorld({ metrics: { listen: '127.0.0.1:0' } })));
  afterAll(async () => {
    await suite.world.stop();
    await suite.provider.stop();
  });

  it.each(damages)(
    'keys of sessions whose file %s go on to open, and so does the secret of the client',
    async (_, damage) => {
      const { broker, keyFile, world } = suite;
      const alice = await suite.person('alice');
      const secretFile = join(world.folder, 'client-secret');
      const texts = [await readFile(keyFile, 'utf8'), `${clientSecret}\n`] as const;
      const isSignedIn = async () => expect((await alice.get('/ui/access')).status).toBe(200);
      const look = async () => {
        turn(broker);
        broker.hangUp();
        await isSignedIn();
      };
      await goesOn(broker, 'file of web.cookieKeyFile', {
        damage: () => damage(keyFile, texts[0].split('\n')[1]!),
        works: isSignedIn,
        mend: () => writeFile(keyFile, texts[0], { mode: 0o600 }),
        look,
      });
      // A part of a secret is one, so what is cut off cannot be told from what was meant.
      if (damage === damages[2]![1]) return;
      await goesOn(broker, 'file of web.clientSecretFile', {
        damage: () => damage(secretFile, texts[1]),
        works: async () => expect((await suite.visitor().signIn('alice')).status).toBe(303),
        mend: () => writeFile(secretFile, texts[1], { mode: 0o600 }),
        look,
      });
    },
  );

  it('are told before anybody signs in where they are not there at the start, and taken when they come', async () => {
    const { world, web } = suite;
    const late = join(world.folder, 'late-keys');
    const { issuers } = world.document() as { issuers: object };
    const sso = { url: suite.provider.issuer, allowLoopbackHttp: true, audience: 'kleis', signIn: {} };
    const broker = await world.start({
      issuers: { ...issuers, sso },
      web: { ...web, cookieKeyFile: late },
      metrics: { listen: '127.0.0.1:0' },
    });
    const check = 'file of web.cookieKeyFile';
    const found = await until('it is told', async () => {
      const one = await checkOf(broker, check);
      return one?.['ok'] === false ? one : undefined;
    });
    expect(found['message']).toMatch(/late-keys does not exist/);
    expect((await broker.exchange(await world.issue())).status).toBe(200);
    await writeFile(late, newKey(), { mode: 0o600 });
    await until('it is taken', async () => {
      turn(broker);
      broker.hangUp();
      return (await checkOf(broker, check))?.['ok'] === true;
    });
  });
});
