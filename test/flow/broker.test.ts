import { createHash, randomUUID } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import https from 'node:https';
import { connect } from 'node:net';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decodeUnverified } from '../../shared/jwt.ts';
import { type Answer, exchangeForm } from '../broker/routes/world.ts';
import { everyGrant } from '../broker/rbac/fixture.ts';
import type { AuditEvent, ClusterOptions } from '../support/cluster.ts';
import { expectDead } from '../support/dead.ts';
import { needs } from '../support/needs.ts';
import { type BrokerWorld, jsonLines, type Replica, startBrokerWorld } from './broker-world.ts';
import { until } from '../support/wait.ts';

const kinds: readonly { kind: ClusterOptions['kind']; missing: boolean; kills: number }[] = [
  { kind: 'stand-in', missing: false, kills: 6 },
  { kind: '1.36', missing: !needs('kube'), kills: 20 },
  { kind: '1.30', missing: !needs('kube-1.30'), kills: 6 },
];
const kubectl = needs('kubectl-new') ?? needs('kubectl');

const system = 'system:serviceaccount:kleis-system:kleis-broker';
const identities = '/api/v1/namespaces/kleis-identities/secrets';
const ephemeral = '/api/v1/namespaces/kleis-ephemeral/serviceaccounts';
const bindings = '/apis/rbac.authorization.k8s.io/v1/namespaces/web/rolebindings';
const leases = '/apis/coordination.k8s.io/v1/namespaces/kleis-state/leases';
const secrets = '/api/v1/namespaces/web/secrets';
const killSwitch = 'kleis-kill-deployer';
/** Milliseconds for which an API server remembers that it took a token. */
const cached = 10_000;

const jtiOf = (token: string) => (decodeUnverified(token).claims as { jti: string }).jti;
const tokenOf = ({ status, body, text }: Answer): string => {
  if (status !== 200) throw new Error(`no token: ${status} ${text}`);
  return body.access_token as string;
};

for (const { kind, missing, kills } of kinds) {
  const real = kind !== 'stand-in';

  describe.skipIf(missing || kubectl === undefined)(
    `replicas of the broker, with what rbac prints alone, on ${kind}`,
    () => {
      let world: BrokerWorld;
      let a: Replica;
      let b: Replica;
      beforeAll(async () => {
        world = await startBrokerWorld(kind);
        [a, b] = await Promise.all([world.replica('a'), world.replica('b')]);
      }, 120_000);
      afterAll(() => world?.stop(), 30_000);

      const mint = async (replica: Replica, grant: string) =>
        tokenOf(await replica.exchange(await world.issue(), grant));
      const ofLease = async (path: string) =>
        (await world.list(path)).filter(({ metadata }) => metadata.labels?.['kleis.dev/lease'] !== undefined);
      const kept = async () => (await world.list(leases)).filter(({ metadata }) => !metadata.name.startsWith('audit-'));

      /** Waiting for the API server to forget takes its time, in which the other tests go on. */
      const ending: Promise<{ readonly token: string; readonly accepted: number }>[] = [];
      const watchTheEndOf = (token: string): void => {
        const ended = performance.now();
        let accepted = 0;
        const watch = async () => {
          await until(
            'it is dead',
            async () => {
              await sleep(100);
              const asked = performance.now();
              const status = await world.ask(token);
              if (status === 201) accepted = asked - ended;
              return status === 401;
            },
            3 * cached,
          );
          return { token, accepted };
        };
        const watched = watch();
        watched.catch(() => undefined);
        ending.push(watched);
      };

      it('was given exactly what the command prints', async () => {
        const printed = await world.kleisBroker('rbac', '--config', a.config);
        expect(printed).toMatchObject({ code: 0, stderr: '' });
        const again = await world.applyAgain(printed.stdout);
        expect(again.stdout.split('\n').filter((line) => line !== '' && !line.endsWith(' unchanged'))).toEqual([]);
      });

      // The stand-in's audit has no ids of tokens.
      if (real) {
        it("its audit and the API server's are one by the ids of tokens", async () => {
          const tokens = new Map<string, string>();
          for (const grant of Object.keys(everyGrant)) tokens.set(await mint(a, grant), grant);
          const paths = ['/api/v1/namespaces/web/configmaps', '/api/v1/namespaces/web/secrets/database'];
          for (const token of tokens.keys()) for (const path of paths) await world.as(token)('GET', path);

          const told = (await a.audit()).filter(({ event }) => event === 'exchange');
          let events: readonly AuditEvent[] = [];
          const usesOf = (jti: string) => events.filter(({ credentialId }) => credentialId === `JTI=${jti}`);
          await until('the API server has written all that down', async () => {
            events = await world.cluster.audit();
            return [...tokens.keys()].every((token) => usesOf(jtiOf(token)).length === paths.length);
          });

          // From the broker's lines to what was done, and nothing was minted of which there is no line.
          const minted = events.filter(
            ({ user, uri, status }) => user === system && /\/token(\?|$)/.test(uri) && status === 201,
          );
          expect(minted.map(({ issuedCredentialId }) => issuedCredentialId).toSorted()).toEqual(
            told.map(({ jti }) => `JTI=${String(jti)}`).toSorted(),
          );
          for (const { jti, grant, account } of told) {
            const [namespace, name] = String(account).split('/');
            const [request, ...more] = minted.filter(
              ({ issuedCredentialId }) => issuedCredentialId === `JTI=${String(jti)}`,
            );
            expect(more).toEqual([]);
            expect(request?.uri).toMatch(new RegExp(`^/api/v1/namespaces/${namespace}/serviceaccounts/${name}/token`));
            const uses = usesOf(String(jti));
            expect(uses.map(({ uri, user }) => ({ uri, user }))).toEqual(
              paths.map((uri) => ({ uri, user: `system:serviceaccount:${namespace}:${name}` })),
            );
            // The Roles of the grant say what comes of it; nobody's Role reads Secrets.
            const roles = grant === 'elsewhere' || grant === 'unbound' ? [403, 403] : [200, 403];
            expect(uses.map(({ status }) => status)).toEqual(roles);
          }
          // And from each use of an account of Kleis back to the line.
          const known = new Set(told.map(({ jti }) => `JTI=${String(jti)}`));
          const strange = events.filter(
            ({ user, credentialId }) =>
              /:kleis-(identities|ephemeral):/.test(user ?? '') && !known.has(credentialId ?? ''),
          );
          expect(strange).toEqual([]);
        });
      }

      it('an unused token dies with /revoke, within the time that it says', async () => {
        for (const grant of ['deploy-web', 'lease']) {
          const token = await mint(a, grant);
          const { status, body } = await b.revoke(token);
          expect([status, body]).toEqual([200, { revoked: true, dead_within: 10, lease: expect.any(String) }]);
          await expectDead(world, token);
          expect((await a.revoke(token)).body).toMatchObject({ revoked: true });
        }
      });

      it('an account that was made for one lease is gone with it, and so are its bindings', async () => {
        const token = await mint(a, 'lease');
        const { name, uid } = (decodeUnverified(token).claims as unknown as MintedClaims)['kubernetes.io']
          .serviceaccount;
        const there = async () => (await world.list(ephemeral)).some(({ metadata }) => metadata.uid === uid);
        const bound = async () =>
          (await world.list(bindings)).filter(({ metadata }) => metadata.name.startsWith(`${name}-`));
        // Its Role and its ClusterRole.
        expect([await there(), (await bound()).length]).toEqual([true, 2]);
        await a.revoke(token);
        expect([await there(), (await bound()).length]).toEqual([false, 0]);
      });

      it('used just before, a token ends within ten seconds, and the answer says so; a kill switch ends all of a grant', async () => {
        const used = [await mint(a, 'deploy-web'), await mint(b, 'lease'), await mint(a, 'elsewhere')] as const;
        const unused: string[] = [];
        for (let count = 0; count < 10; count += 1) unused.push(await mint(b, 'elsewhere'));
        for (const token of used) expect(await world.ask(token)).toBe(201);
        for (const token of used.slice(0, 2)) {
          expect((await b.revoke(token)).body).toMatchObject({ revoked: true, dead_within: cached / 1000 });
          watchTheEndOf(token);
        }
        // Of a kill switch there is no lease: dropping the grant pulls it, or whoever may delete the Secret.
        const { elsewhere: _, ...others } = everyGrant;
        await a.useGrants(others);
        await until('the kill switch is pulled', async () =>
          (await world.list(secrets)).every(({ metadata }) => metadata.name !== killSwitch),
        );
        watchTheEndOf(used[2]);
        // The API server hears of it some milliseconds later, and remembers what it took meanwhile: another one each time.
        await until('an unused one is dead', async () => {
          await sleep(50);
          const token = unused.pop();
          if (token === undefined) throw new Error('each of them was taken');
          return (await world.ask(token)) === 401;
        });
        expect((await b.exchange(await world.issue(), 'elsewhere')).body).toMatchObject({ code: 'cluster_refused' });

        await world.admin('POST', secrets, {
          apiVersion: 'v1',
          kind: 'Secret',
          type: 'kleis.dev/kill-switch',
          metadata: { namespace: 'web', name: killSwitch },
        });
        await a.useGrants(everyGrant);
        expect(await world.ask(await mint(a, 'elsewhere'))).toBe(201);
        for (const token of unused) await expectDead(world, token);
      });

      it('who puts a finalizer on the Secret makes it last, and the answer says so', async () => {
        const token = await mint(a, 'deploy-web');
        const { secret } = (decodeUnverified(token).claims as unknown as MintedClaims)['kubernetes.io'];
        const path = `${identities}/${secret?.name}`;
        await world.admin('PATCH', path, { metadata: { finalizers: ['example.com/wait'] } });
        expect((await a.revoke(token)).body).toMatchObject({ revoked: true, dead_within: 70 });
        const isThere = async () =>
          (await world.list(identities)).some(({ metadata }) => metadata.name === secret?.name);
        expect(await isThere()).toBe(true);
        await world.admin('PATCH', path, { metadata: { finalizers: null } });
        expect(await isThere()).toBe(false);
      });

      it('a single-use token that both get at once is exchanged once, twenty times over', async () => {
        for (let round = 0; round < 20; round += 1) {
          const token = await world.issue();
          const answers = await Promise.all([a, b].map(async (replica) => replica.exchange(token, 'deploy-web')));
          expect(answers.map(({ status, body }) => [status, body.code]).toSorted()).toEqual([
            [200, undefined],
            [400, 'subject_replayed'],
          ]);
        }
      });

      it('either ends what the other minted, by the token or by its lease', async () => {
        const { body } = await a.exchange(await world.issue(), 'deploy-web');
        const admin = ['--broker', b.url, '--token-file', await world.adminToken()];
        const flags = [...admin, '--certificate-authority', world.authority.file, '-o', 'json'];
        const listed = await world.kleisBroker('leases', '--grant', 'deploy-web', ...flags);
        expect(listed).toMatchObject({ code: 0, stderr: '' });
        expect(listed.stdout).toContain(body.lease);
        expect(await world.kleisBroker('revoke', body.lease, ...flags)).toMatchObject({ code: 0, stderr: '' });
        await expectDead(world, body.access_token);

        const token = await mint(b, 'lease');
        expect((await a.revoke(token)).body).toMatchObject({ revoked: true });
        await expectDead(world, token);
      });

      it(`killed ${kills} times amid exchanges: no token without its line, no job locked out, no thief let in`, async () => {
        const grants = ['deploy-web', 'lease', 'plain'];
        const handed: { readonly token: string; readonly file: string }[] = [];
        let interrupted = 0;
        let begun = 0;
        let next = world.replica('killed-0');
        for (let kill = 0; kill < kills; kill += 1) {
          const victim = await next;
          const open: Attempt[] = [];
          const over = new AbortController();
          const job = async (): Promise<void> => {
            while (!over.signal.aborted) {
              const grant = grants[(begun += 1) % grants.length]!;
              const attempt = { subject: await world.issue(), key: randomUUID(), grant };
              const answer = await victim
                .exchange(attempt.subject, grant, { 'idempotency-key': attempt.key })
                .catch(() => undefined);
              if (answer === undefined) {
                open.push(attempt);
                return;
              }
              handed.push({ token: tokenOf(answer), file: victim.auditFile });
            }
          };
          const jobs = [job(), job(), job(), job()];
          await sleep(20 + Math.random() * 180);
          const killed = victim.end('SIGKILL');
          over.abort();
          next = kill + 1 < kills ? world.replica(`killed-${kill + 1}`) : next;
          await Promise.all([killed, ...jobs]);

          const taken = new Set((await kept()).map(({ metadata }) => metadata.annotations?.['kleis.dev/subject']));
          for (const { subject, key, grant } of open) {
            interrupted += 1;
            // What came far enough to be a token, is nobody's but the one's who asked for it.
            const isTaken = taken.has(createHash('sha256').update(subject).digest('hex'));
            if (isTaken) {
              expect((await b.exchange(subject, grant)).body).toMatchObject({ code: 'subject_replayed' });
              const other = { 'idempotency-key': randomUUID() };
              expect((await b.exchange(subject, grant, other)).body).toMatchObject({ code: 'subject_replayed' });
            }
            const again = await b.exchange(subject, grant, { 'idempotency-key': key });
            // Where nothing can end the first token, there is no second one.
            if (isTaken && grant === 'plain') expect(again.body).toMatchObject({ code: 'subject_replayed' });
            else handed.push({ token: tokenOf(again), file: b.auditFile });
            expect((await b.exchange(subject, grant)).body).toMatchObject({ code: 'subject_replayed' });
          }
        }
        expect(interrupted).toBeGreaterThan(0);
        expect(handed.length).toBeGreaterThan(kills);

        const lines = new Map<string, ReadonlySet<unknown>>();
        for (const file of world.auditFiles) {
          const allowed = jsonLines(await readFile(file, 'utf8')).filter(({ outcome }) => outcome === 'allowed');
          lines.set(file, new Set(allowed.map(({ jti }) => jti)));
        }
        expect(handed.filter(({ token, file }) => !lines.get(file)?.has(jtiOf(token)))).toEqual([]);
        const [{ token } = { token: '' }] = handed.filter(({ file }) => file === b.auditFile);
        expect(await world.ask(token)).toBe(201);
      }, 120_000);

      it('the used tokens were dead when that time was over, and stay so', async () => {
        const ends = await Promise.all(ending);
        expect(ends).toHaveLength(3);
        for (const { token, accepted } of ends) {
          // By when it was last taken: what this machine is slow in must not count.
          expect(accepted).toBeLessThan(cached + 1000);
          expect(await world.ask(token)).toBe(401);
        }
      }, 30_000);

      it('a replica that lacks a right says which, mints nothing that it could not end, and goes on when it has it', async () => {
        const role = '/apis/rbac.authorization.k8s.io/v1/namespaces/kleis-identities/roles/kleis-broker';
        const { rules } = (await world.cluster.request('GET', role)) as unknown as {
          rules: { resources: string[]; verbs: string[] }[];
        };
        const without = rules.map((rule) =>
          rule.resources.includes('secrets') ? { ...rule, verbs: ['create'] } : rule,
        );
        await world.cluster.request('PATCH', role, { rules: without });
        const half = await world.replica('half', { ahead: 0 });
        try {
          const refused = await until('it is refused', async () => {
            const answer = await half.exchange(await world.issue(), 'deploy-web');
            return answer.status === 503 ? answer : undefined;
          });
          expect(refused.body).toMatchObject({ code: 'broker_not_ready' });
          expect(JSON.stringify(await half.audit())).toContain('the broker may not delete secrets in kleis-identities');
        } finally {
          await world.cluster.request('PATCH', role, { rules });
        }
        const minted = await until('it mints', async () => {
          const answer = await half.exchange(await world.issue(), 'deploy-web');
          return answer.status === 200 ? answer : undefined;
        });
        expect((await half.revoke(tokenOf(minted))).body).toMatchObject({ revoked: true });
        expect(await half.end('SIGTERM')).toBe(0);
      }, 60_000);

      it('a replica whose clock is two hours ahead removes nothing', async () => {
        const before = await kept();
        const token = await mint(a, 'deploy-web');
        const ahead = await world.replica('ahead', { ahead: 2 * 3_600_000 });
        await ahead.process.waitFor(/clocks of this broker and the cluster differ/, 30_000);
        await ahead.process.waitFor(/clocks of this broker and the cluster differ[^]*clocks of this broker/, 30_000);
        expect(await ahead.end('SIGTERM')).toBe(0);
        const after = new Set((await kept()).map(({ metadata }) => metadata.name));
        expect(before.filter(({ metadata }) => !after.has(metadata.name))).toEqual([]);
        expect(await world.ask(token)).toBe(201);
      }, 60_000);

      it('what killed replicas left is removed by another when its time has come', async () => {
        const left = async () => [
          await kept(),
          await ofLease(identities),
          await ofLease(ephemeral),
          await ofLease(bindings),
        ];
        expect((await left()).map(({ length }) => length > 0)).toEqual([true, true, true, true]);
        // All of this is of tokens of ten minutes, remembered for ten more: as if that was two hours ago.
        for (const { metadata } of await kept()) {
          const due = String(Number(metadata.labels?.['kleis.dev/until']) - 120);
          const patch = { metadata: { labels: { 'kleis.dev/until': due } } };
          await world.cluster.request('PATCH', `${leases}/${metadata.name}`, patch);
        }
        const sweeper = await world.replica('sweeper', { ahead: 0 });
        await until('it is swept', async () => (await left()).every(({ length }) => length === 0), 40_000);
        expect(await sweeper.end('SIGTERM')).toBe(0);
      }, 60_000);

      it('SIGTERM: what is under way is answered, nobody new is let in, and it ends with 0', async () => {
        const agent = new https.Agent({ keepAlive: true, ca: world.authority.pem });
        const underWay = await Promise.all(
          Array.from({ length: 4 }, async () => beginExchange(b, agent, await world.issue(), 'deploy-web')),
        );
        const began = performance.now();
        b.process.kill('SIGTERM');
        await b.process.waitFor(/"msg":"ending"/);
        await until('nobody is let in', async () => !(await connects(b.url)));
        const answers = await Promise.all(underWay.map(async (finish) => finish()));
        for (const answer of answers) expect(await world.ask(tokenOf(answer))).toBe(201);
        expect((await b.process.done).code).toBe(0);
        // By itself, and not because patience was at its end.
        expect(performance.now() - began).toBeLessThan(15_000);
        expect(b.process.stderr()).toContain('"cut":false');
        const audit = await b.audit();
        expect(audit.at(-1)).toMatchObject({ event: 'stopped' });
        const told = new Set(audit.map(({ jti }) => jti));
        expect(answers.filter((answer) => !told.has(jtiOf(tokenOf(answer))))).toEqual([]);
        agent.destroy();
        expect(await a.end('SIGTERM')).toBe(0);
      }, 40_000);

      it('the audits of all, killed or not, are whole; an edit, a gap, a cut and a missing one are shown', async () => {
        const verify = async (files: readonly string[]) => {
          const { code, stdout } = await world.kleisBroker(
            'audit',
            'verify',
            ...files,
            '--config',
            a.config,
            '-o',
            'json',
          );
          return { code, report: JSON.parse(stdout) as VerifyReport };
        };
        const { code, report } = await verify(world.auditFiles);
        expect([code, report.faults, report.anchorsAsked]).toEqual([0, [], true]);
        expect(report.chains).toHaveLength(kills + 5);
        expect(report.chains.filter(({ ended }) => ended)).toHaveLength(5);

        const others = world.auditFiles.filter((file) => file !== b.auditFile);
        const text = await readFile(b.auditFile, 'utf8');
        const lines = text.trimEnd().split('\n');
        const chain = report.chains.find((one) => text.includes(`"chain":"${one.chain}"`));
        expect(chain).toMatchObject({ ended: true, anchored: lines.length, last: lines.length });
        const damaged = async (name: string, changed: readonly string[]) => {
          const file = join(world.folder, `${basename(b.auditFile)}.${name}`);
          await writeFile(file, `${changed.join('\n')}\n`);
          const found = await verify([...others, file]);
          return [
            found.code,
            ...new Set(found.report.faults.map((fault) => `${fault.chain === chain?.chain} ${fault.kind}`)),
          ];
        };
        const middle = Math.floor(lines.length / 2);
        const edited = lines.map((line, index) =>
          index === middle ? line.replace('"event":"', '"event":"not-') : line,
        );
        expect(await damaged('edited', edited)).toEqual([1, 'true edited']);
        expect(await damaged('gap', lines.toSpliced(middle, 1))).toEqual([1, 'true gap']);
        expect(await damaged('cut', lines.slice(0, -1))).toEqual([1, 'true cut']);
        expect(await damaged('headless', lines.slice(1))).toEqual([1, 'true cut']);
        const without = await verify(others);
        expect(without.report.faults).toMatchObject([{ kind: 'missing', chain: chain?.chain }]);
      }, 30_000);
    },
  );
}

interface Attempt {
  readonly subject: string;
  readonly key: string;
  readonly grant: string;
}

interface MintedClaims {
  readonly 'kubernetes.io': {
    readonly serviceaccount: { readonly name: string; readonly uid: string };
    readonly secret?: { readonly name: string };
  };
}

interface VerifyReport {
  readonly anchorsAsked: boolean;
  readonly chains: readonly {
    readonly chain: string;
    readonly ended: boolean;
    readonly last: number;
    readonly anchored?: number;
  }[];
  readonly faults: readonly { readonly kind: string; readonly chain?: string }[];
}

/** Resolves when the replica has begun with the request; what it gives sends the rest and waits for the answer. */
async function beginExchange(
  { url }: Replica,
  agent: https.Agent,
  token: string,
  grant: string,
): Promise<() => Promise<Answer>> {
  const body = exchangeForm(token, { scope: grant });
  const headers = {
    'content-type': 'application/x-www-form-urlencoded',
    'content-length': Buffer.byteLength(body),
    expect: '100-continue',
  };
  const request = https.request(`${url}/token`, { method: 'POST', agent, headers });
  const answer = new Promise<Answer>((resolve, reject) => {
    request.on('error', reject);
    request.on('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString();
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          text,
          body: JSON.parse(text) as unknown,
        });
      });
    });
  });
  answer.catch(() => undefined);
  await new Promise((resolve, reject) => {
    request.once('continue', () => resolve(undefined));
    request.once('error', reject);
    request.flushHeaders();
  });
  return async () => {
    request.end(body);
    return answer;
  };
}

async function connects(url: string): Promise<boolean> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve) => {
    const socket = connect(Number(port), hostname);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
