import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createIssuers, type IssuerDeps } from '../../../broker/issuers/issuers.ts';
import type { TrustedIssuer } from '../../../broker/issuers/trusted-issuer.ts';
import type { ClusterConnection } from '../../../broker/issuers/cluster-keys.ts';
import { until } from '../../support/wait.ts';
import { KubeError } from '../../../shared/kube/error.ts';
import {
  audience,
  codeOf,
  issuerDeps,
  makeKey,
  manualClock,
  refusal,
  sign,
  startIssuer,
  type SigningKey,
} from './fixture.ts';

/** kubeadm's, everywhere. */
const url = 'https://kubernetes.default.svc.cluster.local';

/** An API server as the broker sees it. */
class Api implements ClusterConnection {
  issuer: unknown = url;
  keys: readonly SigningKey[];
  failure: Error | undefined;
  readonly asked: string[] = [];

  constructor(...keys: readonly SigningKey[]) {
    this.keys = keys;
  }

  async request(_method: 'GET', path: string) {
    this.asked.push(path);
    if (this.failure !== undefined) throw this.failure;
    return { body: path.endsWith('jwks') ? { keys: this.keys.map(({ jwk }) => jwk) } : { issuer: this.issuer } };
  }
}

let one: SigningKey;
let two: SigningKey;
const stops: (() => Promise<void>)[] = [];

beforeAll(async () => {
  [one, two] = await Promise.all([makeKey('one', 'RS256'), makeKey('two', 'RS256')]);
});
afterEach(async () => {
  await Promise.all(stops.splice(0).map((stop) => stop()));
});

const entry = (name: string, more: Partial<TrustedIssuer> = {}): TrustedIssuer => ({
  name,
  url: undefined,
  cluster: name,
  audience,
  singleUse: false,
  leeway: 30_000,
  ...more,
});

function scene(apis: Readonly<Record<string, Api>>, more: readonly TrustedIssuer[] = [], clock = manualClock()) {
  const deps: IssuerDeps = { ...issuerDeps(clock), connectionTo: (name) => apis[name] };
  const configs = [...Object.keys(apis).map((name) => entry(name)), ...more];
  const issuers = createIssuers(configs, deps);
  const of = async (key: SigningKey, iss = url) =>
    issuers.verify(await sign({ url: iss }, { aud: [audience] }, { key, now: clock.now() }));
  return { issuers, of, deps, clock, configs };
}

const down = () =>
  new KubeError('GET /openid/v1/jwks: it did not answer in time.', { ambiguous: false, retryable: true });

describe('an API server as issuer', () => {
  it('gives its URL and its keys through the connection of the broker, and nothing else is asked', async () => {
    const api = new Api(one);
    const { of, issuers } = scene({ prod: api });
    expect((await of(one)).issuer).toBe('prod');
    expect(api.asked).toEqual(['/.well-known/openid-configuration', '/openid/v1/jwks']);
    expect(issuers.urls()).toEqual({ prod: url });
    expect(await codeOf(of(two))).toBe('subject_signature');
    expect(await codeOf(of(one, 'https://other.example.com'))).toBe('subject_issuer_unknown');
  });

  it('is who the configuration says it is, if it says so', async () => {
    const [api, clock] = [new Api(one), manualClock()];
    const configs = [entry('prod', { url: 'https://other.example.com' })];
    const issuers = createIssuers(configs, { ...issuerDeps(clock), connectionTo: () => api });
    const token = await sign({ url: 'https://other.example.com' }, {}, { key: one });
    const { detail, retryAfter = 0 } = await refusal(issuers.verify(token));
    expect(detail).toContain(`the API server is another issuer, "${url}"`);
    api.issuer = 'https://other.example.com';
    clock.advance(retryAfter * 1000);
    expect((await issuers.verify(token)).issuer).toBe('prod');
  });

  it.each([undefined, '', 7, 'x'.repeat(3000)])('that says it is %j is no issuer', async (issuer) => {
    const api = new Api(one);
    api.issuer = issuer;
    const { of, issuers } = scene({ prod: api });
    expect(await codeOf(of(one))).toBe('issuer_unavailable');
    expect(issuers.health()['prod']).toMatchObject({ ok: false, lastError: expect.stringContaining('does not say') });
  });

  it('that forbids its discovery to the broker: the operator reads which ClusterRole allows it, the caller nothing', async () => {
    const api = new Api(one);
    api.failure = new KubeError('GET /openid/v1/jwks: HTTP 403: forbidden', {
      status: 403,
      ambiguous: false,
      retryable: false,
    });
    const { of, issuers } = scene({ prod: api });
    const { code, message, retryAfter } = await refusal(of(one));
    expect([code, retryAfter]).toEqual(['issuer_unavailable', expect.any(Number)]);
    expect(message).not.toContain('403');
    expect(issuers.health()['prod']?.lastError).toContain('system:service-account-issuer-discovery');
  });

  it('whose cluster is configured anew is asked anew: keys belong to a connection, not to a name', async () => {
    const [old, next] = [new Api(one), new Api(two)];
    const { of, issuers, deps, configs } = scene({ prod: old });
    await of(one);
    const same = createIssuers(configs, deps, issuers);
    const moved = createIssuers(configs, { ...deps, connectionTo: () => next }, same);
    const token = await sign({ url }, {}, { key: one });
    expect((await same.verify(token)).issuer).toBe('prod');
    expect(old.asked).toHaveLength(2);
    expect(await codeOf(moved.verify(token))).toBe('subject_signature');
  });

  it('is not used where the configuration has no such cluster', () => {
    expect(() => createIssuers([entry('prod')], issuerDeps())).toThrow(/its cluster is not in the configuration/);
  });
});

describe('two API servers with one URL', () => {
  it('are told apart by their keys, and none is asked for the tokens of the other', async () => {
    const apis = { prod: new Api(one), stage: new Api(two) };
    const { of } = scene(apis);
    for (let times = 0; times < 3; times += 1) {
      expect((await of(one)).issuer).toBe('prod');
      expect((await of(two)).issuer).toBe('stage');
    }
    expect([apis.prod.asked.length, apis.stage.asked.length]).toEqual([2, 2]);
    expect(await codeOf(of({ ...(await makeKey('one', 'RS256')), kid: 'one' }))).toMatch(
      /^subject_signature|^issuer_un/,
    );
  });

  it('that share a key are refused by name, whoever of them is asked first, also while one does not answer', async () => {
    const apis = { prod: new Api(one, two), stage: new Api({ ...one, jwk: { ...one.jwk, kid: 'other' } }) };
    const { of, issuers } = scene(apis);
    const error = await refusal(of(one));
    expect(error).toMatchObject({ code: 'subject_issuer_unknown', detail: 'issuers prod and stage' });
    expect(error.message).not.toMatch(/prod|stage/);
    expect((await of(two)).issuer).toBe('prod');
    expect(issuers.health()).toMatchObject({
      prod: { ok: false, lastError: 'it signs with a key of issuers.stage: such tokens are refused' },
      stage: { ok: false, lastError: 'it signs with a key of issuers.prod: such tokens are refused' },
    });
  });

  it('that share a key are refused also when keys of one are too old to be used', async () => {
    const apis = { prod: new Api(one), stage: new Api(one) };
    const { of, clock } = scene(apis);
    expect(await codeOf(of(one))).toBe('subject_issuer_unknown');
    apis.stage.failure = down();
    clock.advance(25 * 3_600_000);
    expect(await codeOf(of(one))).toBe('subject_issuer_unknown');
  });

  it('of which one never answered: whose tokens they are cannot be told yet', async () => {
    const apis = { prod: new Api(one), stage: new Api(two) };
    apis.stage.failure = down();
    const { of, clock } = scene(apis);
    const error = await refusal(of(one));
    expect(error).toMatchObject({ code: 'issuer_unavailable', detail: expect.stringContaining('issuer stage') });
    apis.stage.failure = undefined;
    clock.advance((error.retryAfter ?? 0) * 1000);
    expect((await of(one)).issuer).toBe('prod');
  });

  it('of which one has it in the configuration: that one has it alone and waits for no other', async () => {
    const apis = { prod: new Api(one), stage: new Api(two) };
    apis.stage.failure = down();
    const { deps, clock } = scene(apis);
    const issuers = createIssuers([entry('prod', { url }), entry('stage')], deps);
    const verify = async (key: SigningKey) => issuers.verify(await sign({ url }, {}, { key, now: clock.now() }));
    const later = async (what: string, seen: () => boolean) =>
      until(what, () => {
        clock.advance(10_000);
        return seen();
      });
    expect((await verify(one)).issuer).toBe('prod');
    issuers.start();
    apis.stage.failure = undefined;
    await later('stage has answered', () => issuers.urls()['stage'] === url);
    expect((await verify(one)).issuer).toBe('prod');
    expect(await codeOf(verify(two))).toBe('subject_signature');
    expect(issuers.health()).toMatchObject({
      prod: { ok: true },
      stage: { ok: false, lastError: 'its URL is that of issuers.prod, which has it alone' },
    });
    // Also then a key that both have is nobody's.
    apis.stage.keys = [one];
    await later('stage was asked again', () => issuers.health()['prod']?.ok === false);
    expect(await codeOf(verify(one))).toBe('subject_issuer_unknown');
    issuers.close();
  });

  it('and a cluster that claims the URL of another issuer gets none of its tokens', async () => {
    const github = await startIssuer([one]);
    stops.push(github.stop);
    const api = new Api(one, two);
    api.issuer = github.url;
    const configured = { name: 'github', url: github.url, audience, singleUse: false, leeway: 30_000 };
    const { of, issuers } = scene({ evil: api }, [configured]);
    issuers.start();
    expect((await of(one, github.url)).issuer).toBe('github');
    expect(await codeOf(of(two, github.url))).toBe('subject_signature');
    expect(issuers.health()['evil']).toMatchObject({ ok: false, lastError: expect.stringContaining('issuers.github') });
    expect(issuers.health()['github']).toMatchObject({ ok: true });
    issuers.close();
  });
});
