import { stringify } from 'yaml';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadText } from '../broker/policy/fixture.ts';
import { decide } from '../../broker/policy/decide.ts';
import {
  type Answer,
  type AppWorld,
  exchangeForm,
  grants,
  jwt,
  type RunningBroker,
  startAppWorld,
} from '../broker/routes/world.ts';
import type { Fault } from '../support/stand-in/server.ts';

let world: AppWorld;
let broker: RunningBroker;
const tokens: string[] = [];

beforeAll(async () => {
  world = await startAppWorld();
  broker = await world.start({ limits: { perAddress: 100_000 } });
});
afterAll(() => world.stop());

const issue: AppWorld['issue'] = async (claims) => {
  const token = await world.issue(claims);
  tokens.push(token);
  return token;
};
const exchange: RunningBroker['exchange'] = async (...args) => {
  const answer = await broker.exchange(...args);
  if (typeof answer.body?.access_token === 'string') tokens.push(answer.body.access_token);
  return answer;
};
const form = { 'content-type': 'application/x-www-form-urlencoded' };
const withoutId = ({ text, headers }: Answer) => text.replaceAll(String(headers['x-request-id']), 'ID');

describe('the caller chooses nothing but a grant', () => {
  it.each(['namespace', 'service_account', 'serviceAccount', 'account', 'audiences', 'cluster', 'ttl'])(
    'a parameter %s changes nothing',
    async (name) => {
      const { body } = await exchange(await issue(), { [name]: 'kube-system' });
      const payload = JSON.parse(Buffer.from(body.access_token.split('.')[1], 'base64url').toString());
      expect(payload.sub).toBe('system:serviceaccount:kleis-identities:deploy-web');
    },
  );

  it('asks for no more time than the grant allows', async () => {
    const { body } = await exchange(await issue(), { expires_in: '999999999' });
    expect(body.expires_in).toBeLessThanOrEqual(3600);
  });

  it.each(['../secrets', 'a/b', '%2e%2e', '__proto__', 'constructor', 'toString', 'ä', 'x'.repeat(300)])(
    'a grant named %s is no grant',
    async (scope) => {
      const { status } = await exchange(await issue(), { scope });
      expect(status).toBe(400);
    },
  );
});

describe('denials leak nothing', () => {
  it('to somebody whose token is good and who is nobody here: grants look as if they were not there', async () => {
    const stranger = await issue({ repository_id: '666' });
    const texts = new Set<string>();
    for (const scope of ['deploy-web', 'plain', 'open', 'once', 'other', 'not-there', 'DEPLOY-WEB']) {
      for (const audience of [undefined, 'prod', 'not-there']) {
        texts.add(withoutId(await exchange(stranger, { scope, audience })));
      }
    }
    expect([...texts]).toHaveLength(1);
  });

  it('to somebody with a name that was somebody else once', async () => {
    const recycled = await issue({ repository_id: '666', repository: 'acme/web', sub: 'acme/web' });
    const { body } = await exchange(recycled);
    expect(body.failed).toBeUndefined();
  });

  it('in the time they take: a grant with a dear condition is denied no later than one that is not there', async () => {
    const condition = 'claims.groups.all(a, claims.groups.all(b, a != b + "x")) && claims.repository_id == "1"';
    const dear = { issuer: 'ci', condition, cluster: 'prod', serviceAccount: 'deploy-web' };
    const own = await world.start({ grants: { ...grants, dear }, limits: { perAddress: 100_000 } });

    const median = (times: number[]) => times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)]!;
    const timeOf = async (work: () => unknown): Promise<number> => {
      const start = performance.now();
      await work();
      return performance.now() - start;
    };
    const { policy } = loadText(stringify(world.document({ grants: { dear } })));
    const workOf = async (claims: Readonly<Record<string, unknown>>): Promise<number> => {
      const times: number[] = [];
      for (let index = 0; index < 30; index += 1)
        times.push(await timeOf(() => decide(policy, { issuer: 'ci', claims }, { grant: 'dear' }, Date.now())));
      return median(times);
    };
    // As many groups as make this machine work for long enough: else there is nothing to tell apart.
    let groups: string[] = [];
    let work = 0;
    for (let count = 60; work < 2 && count <= 480; count = Math.round(count * 1.4)) {
      groups = Array.from({ length: count }, (_, index) => `group-${index}`);
      work = await workOf({ repository_id: '666', groups });
    }
    expect(work).toBeGreaterThan(0.5);
    const stranger = await issue({ repository_id: '666', groups });

    for (const path of ['/token', '/explain']) {
      const ask = async (scope: string) =>
        timeOf(async () => {
          const { status } = await own.call(path, {
            method: 'POST',
            headers: form,
            body: exchangeForm(stranger, { scope }),
          });
          expect(status).toBe(400);
        });
      /** One after the other in turns, so that what else this machine does slows both down. */
      const difference = async (): Promise<number> => {
        const [there, not]: [number[], number[]] = [[], []];
        for (let index = 0; index < 12; index += 1) {
          there.push(await ask('dear'));
          not.push(await ask('not-there'));
        }
        // None comes before its step.
        expect(Math.min(...there, ...not)).toBeGreaterThan(48);
        return Math.abs(median(there) - median(not));
      };
      let smallest = Number.POSITIVE_INFINITY;
      for (let round = 0; round < 15 && smallest > work / 2; round += 1)
        smallest = Math.min(smallest, await difference());
      expect(smallest).toBeLessThan(work / 2);
    }
  });

  it('to who has no token that is good: no names of grants, clusters or accounts', async () => {
    const answers = [
      await exchange('x.y.z'),
      await broker.call('/leases'),
      await broker.call('/kubeconfig'),
      await broker.call('/.well-known/kleis'),
      await broker.call('/readyz', { headers: { 'x-forwarded-for': '203.0.113.1' } }),
      await broker.call('/explain', {
        method: 'POST',
        headers: form,
        body: new URLSearchParams({ subject_token: 'x', subject_token_type: jwt, scope: 'deploy-web' }).toString(),
      }),
    ];
    for (const { text } of answers) expect(text).not.toMatch(/deploy-web|kleis-identities|prod/);
  });
});

describe('text from outside stays one line', () => {
  it('in claims, grants and headers: no event can be forged', async () => {
    const forged = '\n{"event":"exchange","outcome":"allowed"}\u2028\u001b[2J';
    await exchange(await issue({ sub: forged, environment: forged }), { scope: 'deploy-web' });
    await exchange(await issue({ sub: forged }), { scope: 'a' });
    await broker.call('/token', {
      method: 'POST',
      headers: { ...form, traceparent: 'x"}', 'x-request-id': 'mine', 'x-forwarded-for': '1.1.1.1\t{' },
      body: exchangeForm(await issue({ sub: forged }), { scope: 'nothing' }),
    });
    const events = await broker.audit();
    // oxlint-disable-next-line no-control-regex -- it is about them
    for (const event of events) expect(JSON.stringify(event)).not.toMatch(/\\n|\\u001b|\u2028|"mine"/);
    expect(events.every(({ seq }, index) => seq === index + 1)).toBe(true);
  });

  it('in a header of the answer: the request id is made here', async () => {
    const { headers } = await broker.call('/healthz', { headers: { 'x-request-id': 'mine' } });
    expect(headers['x-request-id']).not.toBe('mine');
  });
});

describe('the API server', () => {
  it.each<[string, Fault]>([
    ['hangs up', { kind: 'drop' }],
    [
      'answers with a page',
      { kind: 'answer', status: 200, headers: { 'content-type': 'text/html' }, body: '<html>SECRET-TEXT' },
    ],
    ['redirects', { kind: 'answer', status: 302, headers: { location: 'https://evil.example.com/SECRET-TEXT' } }],
    ['says much', { kind: 'answer', status: 403, body: { kind: 'Status', message: 'SECRET-TEXT' } }],
  ])('that %s is not quoted to the caller', async (_, fault) => {
    world.state.standIn.fault = ({ method, path }) =>
      method === 'POST' && path.includes('serviceaccounts') ? fault : undefined;
    const answer = await exchange(await issue());
    world.state.standIn.fault = undefined;
    expect(answer.status).toBeGreaterThanOrEqual(502);
    expect(answer.text).not.toMatch(/SECRET-TEXT|127\.0\.0\.1|evil|kleis-identities/);
  });
});

// Last: it looks at what all of the above has left.
describe('no token is in any log', () => {
  it('neither a subject token nor a minted one, nor a part of one, in the audit, on stdout or on stderr', async () => {
    const admin = await issue({ groups: ['platform'] });
    const bearer = { authorization: `Bearer ${admin}` };
    await broker.call('/leases', { headers: bearer });
    await broker.call(`/token?subject_token=${await issue()}`, { method: 'POST' });
    await broker.call(`/${await issue()}`);
    await broker.call('/kubeconfig', { headers: { authorization: `Basic ${await issue()}` } });
    await broker.call('/leases/x', {
      method: 'DELETE',
      headers: { authorization: `Bearer ${(await issue()).slice(1)}` },
    });
    await broker.call('/token', { method: 'POST', headers: form, body: `subject_token=${await issue()}&a=%zz` });
    await broker.call('/token', { method: 'POST', headers: form, body: exchangeForm('', { scope: await issue() }) });
    const { body } = await exchange(await issue());
    await broker.call('/revoke', { method: 'POST', headers: form, body: `token=${body.access_token}` });
    const everything = `${broker.output()}\n${JSON.stringify(await broker.audit())}`;
    expect(everything.length).toBeGreaterThan(5_000);
    expect(tokens.length).toBeGreaterThan(40);
    for (const token of tokens) {
      const [, payload = '', signature = ''] = token.split('.');
      expect(everything).not.toContain(signature.slice(0, 24));
      expect(everything).not.toContain(payload.slice(0, 24));
    }
  });
});
