import { Validator } from '@seriousme/openapi-schema-validator';
import { describe, expect, it } from 'vitest';
import { pathOf } from '../../../broker/contract/openapi.ts';
import { operations } from '../../../broker/contract/operations.ts';
import { type Broker, publicRoutes } from '../../../broker/routes/app.ts';
import { answeredCodes } from '../../../shared/answers.ts';
import { statusOf } from '../../../shared/errors.ts';
import { routes } from '../../../shared/protocol.ts';
import { type Described, described, document, faultsOf, faultsOfExample } from '../../support/contract.ts';
import { until } from '../../support/wait.ts';
import { type Answer, startSuite } from '../routes/world.ts';

const { world, broker, admin } = await startSuite();
const sub = 'repo:acme/web:ref:refs/heads/main';
const mint = async () =>
  (await broker.exchange(await world.issue({ sub }))).body as { access_token: string; lease: string };

/** What stands in an example for what nobody can write down. */
async function real(name: string, example: unknown): Promise<string> {
  if (name === 'subject_token') return world.issue({ sub });
  if (name === 'token') return (await mint()).access_token;
  if (name === 'id') return (await mint()).lease;
  return String(example);
}

async function realForm(form: Readonly<Record<string, unknown>>): Promise<string> {
  const fields = await Promise.all(
    Object.entries(form).map(async ([name, each]): Promise<[string, string]> => [name, await real(name, each)]),
  );
  return new URLSearchParams(fields).toString();
}

/** As a client that was made from the document would call it. */
async function callByExample(
  { method, path, parameters, form }: Described,
  bearer: Record<string, string>,
): Promise<Answer> {
  const headers: Record<string, string> = { ...bearer };
  const query = new URLSearchParams();
  let address = path;
  for (const { name, in: place, example } of parameters) {
    if (example === undefined) continue;
    const value = await real(name, example);
    if (place === 'query') query.set(name, value);
    else if (place === 'header') headers[name] = value;
    else address = address.replace(`{${name}}`, encodeURIComponent(value));
  }
  if (form !== undefined) headers['content-type'] = 'application/x-www-form-urlencoded';
  const body = form && (await realForm(form));
  return broker.call(`${address}?${query.toString()}`, { method, headers, ...(body !== undefined && { body }) });
}

describe('docs/openapi.json', () => {
  it('is OpenAPI, by its official schema', async () => {
    const judge = async (value: object) => new Validator().validate(structuredClone(value) as Record<string, unknown>);
    expect(await judge(document)).toMatchObject({ valid: true });
    expect(await judge({ ...document, paths: { token: {} } })).toMatchObject({ valid: false });
  });

  it('has an operation for each route, a route for each operation, and a name of its own for each', () => {
    const methodsOf = (table: Readonly<Record<string, object>>) =>
      Object.entries(table).flatMap(([path, methods]) => Object.keys(methods).map((method) => `${method} ${path}`));
    const ofPages = / \/(?:ui\b.*)?$/;
    const served = methodsOf(publicRoutes({} as Broker, 'nobody')).filter((each) => !ofPages.test(each));
    expect(methodsOf(operations).toSorted()).toEqual(served.toSorted());
    expect(described.map(({ name }) => name).toSorted()).toEqual(
      methodsOf(operations)
        .map((each) => pathOf(each))
        .toSorted(),
    );
    expect(new Set(described.map(({ id }) => id)).size).toBe(described.length);
  });

  it('says of each code that a broker answers with where it can be met', () => {
    const met = new Set(
      Object.values(operations).flatMap((methods) => Object.values(methods).flatMap(({ errors }) => errors)),
    );
    const onPages = [
      'sign_in_needed',
      'sign_in_refused',
      'sign_in_invalid',
      'claims_too_large',
      'request_foreign',
      'client_refused',
    ];
    const elsewhere = ['request_slow', 'method_unsupported', 'caller_gone', ...onPages];
    expect(answeredCodes.filter((code) => !met.has(code)).toSorted()).toEqual(elsewhere.toSorted());
    for (const code of met) expect(statusOf(code).status, code).toBeGreaterThanOrEqual(400);
  });

  it.each(described)('$name: what its examples show is described', (operation) => {
    const examples = Object.entries(operation.answers).filter(([, { example }]) => example !== undefined);
    for (const [status, { example }] of examples) expect(faultsOfExample(operation, status, example)).toEqual([]);
  });
});

describe('a call made from it', () => {
  it.each(described)('$name is answered as it says, with what its example shows', async (operation) => {
    const bearer = operation.bearer === 'never' ? {} : admin;
    if (operation.path === routes.readyz) {
      await until('ready', async () => (await broker.call(routes.readyz)).status === 200 || undefined);
    }
    const answer = await callByExample(operation, bearer);
    expect(answer.status, answer.text).toBe(200);
    const example = operation.answers['200']?.example as Record<string, unknown> | undefined;
    if (example === undefined) return;
    const more = operation.bearer === 'optional' ? expect.any(Array) : [];
    expect(Object.keys(answer.body).filter((name) => !(name in example))).toEqual(more);
    expect(Object.keys(example).filter((name) => !(name in answer.body))).toEqual([]);
    const fixed = [
      'token_type',
      'issued_token_type',
      'scope',
      'cluster',
      'revocable',
      'revoked',
      'allowed',
      'grant',
      'ready',
    ];
    for (const name of fixed.filter((each) => each in example)) expect(answer.body[name]).toEqual(example[name]);
  });

  it.each(described.filter(({ bearer }) => bearer === 'required'))(
    '$name is refused without a bearer token',
    async (operation) => {
      expect((await callByExample(operation, {})).status).toBe(401);
    },
  );

  it('finds an answer that is other than it says', async () => {
    const { status, headers, text } = await broker.call(routes.healthz);
    expect(faultsOf('GET', routes.healthz, { status, headers, text })).toEqual([]);
    expect(faultsOf('GET', routes.healthz, { status, headers, text: '{"alive":true,"more":1}' })).toHaveLength(1);
    expect(faultsOf('GET', routes.healthz, { status, headers, text: '{}' })).toHaveLength(1);
    expect(faultsOf('GET', routes.healthz, { status: 404, headers, text })).toHaveLength(1);
    expect(
      faultsOf('GET', routes.healthz, { status, headers: { ...headers, 'x-request-id': '1' }, text }),
    ).toHaveLength(1);
  });
});

describe('GET /openapi.json', () => {
  it('is for anybody, with this broker as its server, and leaves no event', async () => {
    const { status, headers, body } = await broker.call(routes.openApi);
    expect({ status, body }).toEqual({ status: 200, body: document });
    expect(headers).toMatchObject({
      'cache-control': 'public, no-cache',
      etag: expect.stringMatching(/^"[\w-]{43}"$/),
    });
    expect(headers).not.toHaveProperty('pragma');
    expect((await broker.audit()).filter(({ requestId }) => requestId === headers['x-request-id'])).toEqual([]);
  });

  it('is not sent again to who has it', async () => {
    const {
      headers: { etag = '' },
    } = await broker.call(routes.openApi);
    for (const named of [etag, `W/${etag}`, `"x", ${etag}`, '*']) {
      const { status, text, headers } = await broker.call(routes.openApi, { headers: { 'if-none-match': named } });
      expect([status, text, headers.etag, headers['content-type']]).toEqual([304, '', etag, undefined]);
    }
    expect((await broker.call(routes.openApi, { headers: { 'if-none-match': '"x"' } })).status).toBe(200);
  });
});
