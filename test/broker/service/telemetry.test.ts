import { describe, expect, it } from 'vitest';
import { createTelemetry } from '../../../broker/service/telemetry.ts';

const trace = '0af7651916cd43dd8448eb211c80319c';
const allowed = { outcome: 'allowed', reason: 'ok', grant: 'web', issuer: 'ci' };
const openMetrics = 'application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5';

/** Samples without exemplars and without what changes from look to look. */
const samplesOf = (text: string) =>
  text
    .split('\n')
    .filter((line) => line.startsWith('kleis_broker_'))
    .map((line) => line.replace(/ # \{.*$/, ''));

describe('metrics', () => {
  it('are the same in both formats, whichever is asked for first and however often', async () => {
    const telemetry = createTelemetry();
    telemetry.settled('exchange', allowed, 0.02, trace);
    telemetry.set('issuer_up', { issuer: 'ci' }, true);
    const open = await telemetry.read(openMetrics);
    const [plain, again] = await Promise.all([telemetry.read(undefined), telemetry.read(openMetrics)]);
    expect(open.type).toMatch(/^application\/openmetrics-text; version=1\.0\.0/);
    expect(open.text).toMatch(/\n# EOF\n$/);
    expect(plain.type).toMatch(/^text\/plain; version=0\.0\.4/);
    expect(plain.text).not.toContain(' # {');
    expect(samplesOf(open.text)).toEqual(samplesOf(plain.text));
    expect(samplesOf(again.text)).toEqual(samplesOf(plain.text));
    expect(plain.text).toContain('# TYPE kleis_broker_exchanges_total counter');
    expect(open.text).toContain('# TYPE kleis_broker_exchanges counter');
    telemetry.clear('issuer_up');
    telemetry.settled('exchange', allowed, 0.02);
    expect(samplesOf((await telemetry.read(openMetrics)).text)).toEqual(samplesOf((await telemetry.read('')).text));
  });

  it('name the latest trace of each bucket, and none where there is none', async () => {
    const telemetry = createTelemetry();
    telemetry.settled('exchange', allowed, 0.02, trace.replace('0', '1'));
    telemetry.settled('exchange', allowed, 0.02, trace);
    telemetry.settled('exchange', allowed, 3);
    telemetry.minted('prod', 'ok', 100, trace);
    const { text } = await telemetry.read(openMetrics);
    const exemplars = text.split('\n').filter((line) => line.includes(' # {'));
    expect(exemplars).toEqual([
      expect.stringMatching(
        `^kleis_broker_exchange_duration_seconds_bucket\\{le="0.025",outcome="allowed"\\} 2 # \\{trace_id="${trace}"\\} 0.02 \\d`,
      ),
      expect.stringMatching(
        `^kleis_broker_mint_duration_seconds_bucket\\{le="\\+Inf",cluster="prod",outcome="ok"\\} 1 # \\{trace_id="${trace}"\\} 100 \\d`,
      ),
    ]);
  });

  it('have no value, not 0, for what there is none of', async () => {
    const telemetry = createTelemetry();
    telemetry.set('certificate_expires_timestamp_seconds', {}, 7);
    telemetry.set('certificate_expires_timestamp_seconds', {}, undefined);
    for (const accept of [undefined, openMetrics]) {
      const { text } = await telemetry.read(accept);
      expect(text).not.toMatch(/^kleis_broker_certificate_expires_timestamp_seconds /m);
    }
  });
});
