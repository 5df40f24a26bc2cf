import { writeFile } from 'node:fs/promises';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { wantsSpans } from '../../../broker/service/spans.ts';
import { createAuthority } from '../../support/certificates.ts';
import { type Collector, type ReceivedSpan, startCollector } from '../../support/collector.ts';
import { until } from '../../support/wait.ts';
import { type AppWorld, request, type RunningBroker, startAppWorld } from '../routes/world.ts';

let world: AppWorld;
const collectors: Collector[] = [];

beforeAll(async () => {
  world = await startAppWorld();
});
afterEach(async () => {
  for (const name of Object.keys(process.env)) if (name.startsWith('OTEL_')) Reflect.deleteProperty(process.env, name);
  await Promise.all(collectors.splice(0).map((each) => each.stop()));
});
afterAll(() => world.stop());

async function collector(...answer: Parameters<typeof startCollector>): Promise<Collector> {
  const started = await startCollector(...answer);
  collectors.push(started);
  return started;
}

/** The SDK reads the environment of the process. */
async function start(more: Record<string, string>, parts: Record<string, unknown> = {}): Promise<RunningBroker> {
  const env = { OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json', OTEL_BSP_SCHEDULE_DELAY: '50', ...more };
  Object.assign(process.env, env);
  const broker = await world.start({ metrics: { listen: '127.0.0.1:0' }, ...parts }, env);
  await until('ready', async () => (await request(`${broker.operations}/healthz`)).status === 200);
  return broker;
}

const trace = '0af7651916cd43dd8448eb211c80319c';
const caller = { traceparent: `00-${trace}-b7ad6b7169203331-01`, tracestate: 'vendor=1' };
const named = (spans: readonly ReceivedSpan[], name: string) => spans.find((span) => span.name === name);
const requestSpan = async (sink: Collector) =>
  until('the span of the request', () => named(sink.spans(), 'POST /token'));

describe('spans', () => {
  it('are asked for by the environment, as OpenTelemetry has it', () => {
    const endpoint = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318' };
    expect(wantsSpans({})).toBe(false);
    expect(wantsSpans({ OTEL_SERVICE_NAME: 'x' })).toBe(false);
    expect(wantsSpans({ OTEL_EXPORTER_OTLP_ENDPOINT: ' ' })).toBe(false);
    expect(wantsSpans(endpoint)).toBe(true);
    expect(wantsSpans({ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://collector:4318/x' })).toBe(true);
    expect(wantsSpans({ ...endpoint, OTEL_SDK_DISABLED: 'TRUE' })).toBe(false);
    expect(wantsSpans({ ...endpoint, OTEL_SDK_DISABLED: '1' })).toBe(true);
    expect(wantsSpans({ ...endpoint, OTEL_TRACES_EXPORTER: 'none' })).toBe(false);
  });

  it('are one tree below the caller’s, with each part of an exchange, and name what it was about', async () => {
    const sink = await collector();
    const broker = await start({ OTEL_EXPORTER_OTLP_ENDPOINT: sink.url });
    const token = await world.issue();
    const { body, headers } = await until('a token', async () => {
      const answer = await broker.exchange(token, {}, caller);
      return answer.status === 200 ? answer : undefined;
    });
    await until('all of it', () => named(sink.spans(), 'POST /token')?.attributes['kleis.lease'] === body.lease);
    const all = sink.spans();
    const root = all.find(({ attributes }) => attributes['kleis.lease'] === body.lease)!;
    expect(root).toMatchObject({ traceId: trace, parentSpanId: 'b7ad6b7169203331', kind: 2, traceState: 'vendor=1' });
    expect(root.attributes).toMatchObject({
      'http.request.method': 'POST',
      'http.route': '/token',
      'url.path': '/token',
      'url.scheme': 'http',
      'http.response.status_code': 200,
      'client.address': '127.0.0.1',
      'kleis.request_id': headers['x-request-id'],
      'kleis.outcome': 'allowed',
      'kleis.grant': 'deploy-web',
      'kleis.issuer': 'ci',
      'k8s.cluster.name': 'prod',
    });
    const parts = all.filter(({ parentSpanId }) => parentSpanId === root.spanId);
    expect(parts.map(({ name }) => name)).toEqual(['verify', 'decide', 'lease', 'mint', 'audit']);
    for (const part of parts) {
      expect(part.traceId).toBe(trace);
      expect(BigInt(part.startTimeUnixNano)).toBeGreaterThanOrEqual(BigInt(root.startTimeUnixNano));
      expect(BigInt(part.endTimeUnixNano)).toBeLessThanOrEqual(BigInt(root.endTimeUnixNano));
    }
    // No token, no claim.
    const sent = sink.requests.map(({ body: text }) => text).join('\n');
    for (const secret of [token, ...token.split('.'), body.access_token, 'acme/web', 'production', 'repository_id']) {
      expect(sent).not.toContain(secret);
    }
  });

  it('join the metrics, the log and the audit, also where the caller brought no trace', async () => {
    const sink = await collector();
    const broker = await start({ OTEL_EXPORTER_OTLP_ENDPOINT: sink.url });
    await broker.exchange(await world.issue({ repository_id: '3' }), { scope: 'nobodys-grant' });
    const { traceId, attributes, status } = await requestSpan(sink);
    expect((await broker.audit()).find(({ event }) => event === 'exchange')).toMatchObject({ traceId });
    expect(broker.lines().find(({ msg }) => msg === 'refused')).toMatchObject({ traceId });
    const accept = 'application/openmetrics-text';
    const { text } = await request(`${broker.operations}/metrics`, { headers: { accept } });
    expect(text).toContain(`trace_id="${traceId}"`);
    // A name that is none of the configuration is a caller's words.
    expect(attributes).toMatchObject({ 'kleis.outcome': 'denied', 'kleis.reason': 'grant_denied' });
    expect(JSON.stringify(sink.spans())).not.toContain('nobodys');
    expect(status.code ?? 0).toBe(0);
    expect(sink.spans().map(({ name }) => name)).not.toContain('GET /metrics');
  });

  it('go on at the API server below that of the mint, which says how it failed', async () => {
    const authority = await createAuthority();
    const { cert, key } = await authority.issueServer(['127.0.0.1']);
    const seen: unknown[] = [];
    const spy = https.createServer({ cert, key }, ({ url, headers }, response) => {
      if (url?.endsWith('/token') === true) seen.push([headers['traceparent'], headers['tracestate']]);
      response.writeHead(422).end();
    });
    await new Promise<void>((resolve) => {
      spy.listen(0, '127.0.0.1', resolve);
    });
    const [tokenFile, certificateAuthority] = [join(world.folder, 'spied'), join(world.folder, 'spied.crt')];
    await writeFile(tokenFile, 'x');
    await writeFile(certificateAuthority, authority.cert);
    const server = `https://127.0.0.1:${(spy.address() as AddressInfo).port}`;
    const sink = await collector();
    const broker = await start(
      { OTEL_EXPORTER_OTLP_ENDPOINT: sink.url },
      {
        state: { memory: true },
        clusters: { prod: { server, certificateAuthority, credentials: { tokenFile } } },
      },
    );
    await until('the cluster was asked', async () => {
      await broker.exchange(await world.issue(), { scope: 'plain' }, caller);
      return seen.length > 0;
    });
    const mint = await until('the mint', () => named(sink.spans(), 'mint'));
    spy.close();
    spy.closeAllConnections();
    expect(seen[0]).toEqual([`00-${trace}-${mint.spanId}-01`, 'vendor=1']);
    expect(mint).toMatchObject({ kind: 3, status: { code: 2 } });
    expect(mint.attributes['error.type']).toMatch(/^[\w]+$/);
    expect(mint.status.message).toBeUndefined();
  });

  it('go where, as whose, and with which headers the environment says', async () => {
    const sink = await collector();
    const broker = await start({
      OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${sink.url}/elsewhere`,
      OTEL_EXPORTER_OTLP_HEADERS: 'authorization=Bearer%20of-the-collector',
      OTEL_SERVICE_NAME: 'tokens',
      OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=test,service.name=other',
    });
    await broker.exchange(await world.issue());
    await requestSpan(sink);
    expect(sink.requests[0]).toMatchObject({
      path: '/elsewhere',
      headers: { authorization: 'Bearer of-the-collector' },
    });
    expect(sink.resource()).toMatchObject({
      'service.name': 'tokens',
      'service.version': expect.stringMatching(/^\d+\.\d+/),
      'service.instance.id': 'Test.Host',
      'deployment.environment.name': 'test',
    });
    expect(broker.output()).not.toContain('of-the-collector');
  });

  it('are sampled as the environment says; a trace that is not kept is passed on and makes no exemplar', async () => {
    const sink = await collector();
    const broker = await start({
      OTEL_EXPORTER_OTLP_ENDPOINT: sink.url,
      OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
      OTEL_TRACES_SAMPLER_ARG: '0',
    });
    await broker.exchange(await world.issue());
    const headers = { accept: 'application/openmetrics-text' };
    expect((await request(`${broker.operations}/metrics`, { headers })).text).not.toContain('trace_id');
    // The caller's decision counts for more.
    await broker.exchange(await world.issue(), {}, caller);
    await requestSpan(sink);
    expect(new Set(sink.spans().map(({ traceId }) => traceId))).toEqual(new Set([trace]));
    expect((await broker.audit()).filter(({ event }) => event === 'exchange')).toEqual([
      expect.objectContaining({ traceId: expect.stringMatching(/^[0-9a-f]{32}$/) }),
      expect.objectContaining({ traceId: trace }),
    ]);
  });

  it('are in protobuf unless the environment wants JSON', async () => {
    const sink = await collector();
    const broker = await start({ OTEL_EXPORTER_OTLP_ENDPOINT: sink.url, OTEL_EXPORTER_OTLP_PROTOCOL: '' });
    await broker.exchange(await world.issue());
    const [first] = await until('something', () => (sink.requests.length > 0 ? sink.requests : undefined));
    expect(first).toMatchObject({ path: '/v1/traces', headers: { 'content-type': 'application/x-protobuf' } });
    expect(first!.body).toContain('kleis-broker');
  });

  it('that are left at the end are sent then', async () => {
    const sink = await collector();
    const broker = await start({ OTEL_EXPORTER_OTLP_ENDPOINT: sink.url, OTEL_BSP_SCHEDULE_DELAY: '3600000' });
    await broker.exchange(await world.issue());
    expect(sink.requests).toEqual([]);
    await broker.stop();
    expect(named(sink.spans(), 'POST /token')).toBeDefined();
  });

  it('that nobody takes cost one line of the log and nothing else, at the end neither', async () => {
    const hanging = await collector(() => undefined);
    for (const url of ['http://user:secret@127.0.0.1:1', hanging.url]) {
      const broker = await start({ OTEL_EXPORTER_OTLP_ENDPOINT: url, OTEL_EXPORTER_OTLP_TIMEOUT: '300' });
      const told = () => broker.lines().filter(({ msg }) => msg === 'spans could not be sent');
      for (let index = 0; index < 5; index += 1) {
        expect((await broker.exchange(await world.issue())).status).toBe(200);
      }
      await until('it is told', () => told().length > 0);
      const began = performance.now();
      expect(await broker.stop()).toBe(0);
      expect(performance.now() - began).toBeLessThan(10_000);
      expect(told()).toHaveLength(1);
      expect(broker.output()).not.toContain('secret');
    }
  });
});
