import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createAuthority } from '../../support/certificates.ts';
import { needs } from '../../support/needs.ts';
import { assertFiring } from '../../support/promtool.ts';
import { until } from '../../support/wait.ts';
import { sign } from '../issuers/fixture.ts';
import { type AppWorld, audience, request, type RunningBroker, startAppWorld } from '../routes/world.ts';

let world: AppWorld;

beforeAll(async () => {
  world = await startAppWorld();
});
afterEach(() => {
  Object.assign(world.state.standIn, { fault: undefined, clockOffset: 0 });
});
afterAll(() => world.stop());

const metrics = { listen: '127.0.0.1:0' };
const scrape = async (broker: RunningBroker) => (await request(`${broker.operations}/metrics`)).text;
const says = async (broker: RunningBroker, line: string) =>
  until(line, async () => {
    const text = await scrape(broker);
    return text.split('\n').includes(`kleis_broker_${line}`) ? text : undefined;
  });
const fires = (text: string, ...alerts: readonly string[]) => assertFiring(text, alerts, Date.now());
const notReady = ['KleisBrokerNotReady', 'KleisBrokerNoneReady'];

/** Each alert is told by the metrics of a broker that is unwell in that way, and no other alert with it. */
describe.skipIf(!needs('promtool'))('of a broker', () => {
  it('that is well, with tokens given out, nothing is told', async () => {
    const broker = await world.start({ metrics });
    await until('a token', async () => (await broker.exchange(await world.issue())).status === 200);
    const text = await says(broker, 'ready 1');
    expect(text).toContain('kleis_broker_leases_live{grant="deploy-web"} 1');
    fires(text);
    expect(() => fires(text, 'KleisBrokerAbsent')).toThrow(/promtool/);
  });

  it('whose audit cannot be written', async () => {
    const broker = await world.start({ metrics });
    await says(broker, 'ready 1');
    await rename(broker.auditFile, `${broker.auditFile}.1`);
    await mkdir(broker.auditFile);
    fires(await says(broker, 'audit_ok 0'), ...notReady, 'KleisBrokerAuditNotWritten');
  });

  it('whose configuration cannot be used, and will not hold for long', async () => {
    const broker = await world.start({ metrics, reload: { maxStale: '2h' } });
    await says(broker, 'ready 1');
    await broker.reconfigure({ metrics, grants: { bad: { issuer: 'nobody' } } });
    fires(await says(broker, 'config_ok 0'), 'KleisBrokerConfigurationBad', 'KleisBrokerConfigurationEnds');
  });

  it('whose issuer is dead, and whose certificate and credential are about to end', async () => {
    const now = Date.now();
    const tokenFile = join(world.folder, 'ending');
    const claims = { iat: Math.floor(now / 1000) - 36_000, exp: Math.floor(now / 1000) + 60 };
    await writeFile(tokenFile, await sign({ url: audience }, claims, { key: world.key, now }));
    const authority = await createAuthority();
    const old = { notBefore: new Date(now - 100 * 3_600_000), notAfter: new Date(now + 3_600_000) };
    const { cert, key } = await authority.issueServer(['127.0.0.1'], old);
    const [certFile, keyFile] = [join(world.folder, 'old.crt'), join(world.folder, 'old.key')];
    await writeFile(certFile, cert);
    await writeFile(keyFile, key);
    const { server, caFile: certificateAuthority } = world.state.cluster;
    const broker = await world.start({
      metrics,
      listen: { address: '127.0.0.1:0', tls: { certFile, keyFile } },
      state: { memory: true },
      issuers: { ...(world.document()['issuers'] as object), gone: { url: 'https://127.0.0.1:1', audience } },
      clusters: { prod: { server, certificateAuthority, credentials: { tokenFile } } },
    });
    const dead = ['KleisBrokerIssuerDown', 'KleisBrokerIssuerWithoutKeys'];
    const ending = ['KleisBrokerCertificateEnds', 'KleisBrokerCredentialEnds'];
    // That token is of nobody: the cluster is none that can be used.
    const refused = ['KleisBrokerClusterDown', ...notReady];
    await until('the credential', async () =>
      (await scrape(broker)).includes('cluster_credential_expires_timestamp_seconds{'),
    );
    fires(await says(broker, 'issuer_up{issuer="gone"} 0'), ...dead, ...ending, ...refused);
    await writeFile(certFile, 'half of it');
    // SIGHUP, so that nobody waits for the next look.
    await broker.reconfigure({ limits: { perAddress: 599 } });
    fires(await bad(broker), ...dead, ...ending, ...refused, 'KleisBrokerCertificateBad');
  });

  const bad = async (broker: RunningBroker) => {
    await until('it was looked at', async () => (await scrape(broker)).includes('kleis_broker_certificate_ok 0'));
    return scrape(broker);
  };

  it('that is not confined in a cluster where it must be', async () => {
    const broker = await world.start({ metrics, admissionPolicy: 'required' });
    await says(broker, 'state_up 1');
    fires(await says(broker, 'cluster_up{cluster="prod"} 1'), ...notReady, 'KleisBrokerPolicyMissing');
  });

  it('whose clock is another than the cluster’s', async () => {
    const broker = await world.start({ metrics });
    await says(broker, 'ready 1');
    world.state.standIn.clockOffset = 90_000;
    const text = await until('the skew', async () => {
      await broker.exchange(await world.issue());
      const now = await scrape(broker);
      return /clock_skew_seconds\{cluster="prod"\} (?:8|9)\d/.test(now) && now.includes('ready 0') ? now : undefined;
    });
    fires(
      text,
      ...notReady,
      'KleisBrokerClockSkew',
      ...(text.includes('outcome="failed"') ? ['KleisBrokerExchangesFail'] : []),
    );
  });

  it('whose cluster does not answer, with its leases and the anchors of its audit', async () => {
    world.state.standIn.fault = () => ({ kind: 'answer', status: 500 });
    const broker = await world.start({ metrics });
    const text = await until('the anchors', async () => {
      const now = await scrape(broker);
      return now.includes('audit_anchor_ok 0') && !now.includes('state_up 1') ? now : undefined;
    });
    fires(text, ...notReady, 'KleisBrokerClusterDown', 'KleisBrokerStateUnreachable', 'KleisBrokerAuditAnchorsStale');
  });

  it('whose mints fail', async () => {
    const broker = await world.start({ metrics });
    await says(broker, 'ready 1');
    world.state.standIn.fault = ({ method, path }) =>
      method === 'POST' && path.endsWith('/token') ? { kind: 'answer', status: 500 } : undefined;
    for (let index = 0; index < 3; index += 1) await broker.exchange(await world.issue(), { scope: 'plain' });
    fires(await scrape(broker), 'KleisBrokerMintsFail', 'KleisBrokerExchangesFail');
  });

  it('that denies many, sees tokens again, and refuses who asks too often or has too many leases', async () => {
    const broker = await world.start({
      metrics,
      limits: { perTenant: 20, leases: { perGrant: 5, perSubject: 4 } },
    });
    await says(broker, 'ready 1');
    for (let index = 0; index < 5; index += 1) await broker.exchange(await world.issue());
    const once = async (claims = {}) =>
      sign(
        { url: 'https://github.example.com' },
        { sub: 'a', ...job(), ...claims },
        { key: world.key, now: Date.now() },
      );
    const token = await once();
    for (let index = 0; index < 30; index += 1) await broker.exchange(token, { scope: 'once' });
    const text = await scrape(broker);
    expect(text).toMatch(/rate_limited_total\{by="tenant"\} \d/);
    expect(text).toContain('kleis_broker_rate_limited_total{by="leases_per_subject"} ');
    fires(
      text,
      'KleisBrokerLeasesNearLimit',
      'KleisBrokerReplays',
      'KleisBrokerRateLimited',
      'KleisBrokerDenialsSpike',
    );
  });
});

let ids = 0;

function job(): Record<string, string> {
  ids += 1;
  return { jti: `t${ids}`, event_name: 'push', repository_id: '1', environment: 'production' };
}
