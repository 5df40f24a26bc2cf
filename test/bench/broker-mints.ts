import { randomBytes } from 'node:crypto';
import type { Cluster } from '../support/cluster.ts';
import { type Client, connect } from './broker-client.ts';
import type { BrokerScene, Cost } from './broker-scene.ts';

type Json = Record<string, unknown> & {
  readonly metadata: { readonly name: string; readonly namespace: string; readonly uid: string };
};

/** Gets one token; throws if it does not. */
export type Mint = () => Promise<void>;

const form = { 'content-type': 'application/x-www-form-urlencoded' };

/** As a job asks the broker. */
export function mintFromBroker(client: Client, scene: BrokerScene, cost: Cost): Mint {
  return async () => {
    await exchange(client, scene.subjectToken(cost), cost);
  };
}

/** Whatever the answer is. */
export async function ask(
  client: Client,
  subjectToken: string,
  { grant }: { readonly grant: string },
): Promise<{ readonly status: number; readonly body: Record<string, unknown>; readonly text: string }> {
  const body = new URLSearchParams({
    grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
    subject_token: subjectToken,
    subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
    scope: grant,
  });
  const { status, text } = await client.send('POST', '/token', form, body.toString());
  return { status, text, body: JSON.parse(text) as Record<string, unknown> };
}

async function exchange(client: Client, subjectToken: string, cost: Cost): Promise<Record<string, unknown>> {
  const { status, text, body } = await ask(client, subjectToken, cost);
  if (status !== 200) throw new Error(`the broker answers ${status}: ${text}`);
  return body;
}

/**
 * The calls of the broker without a broker: the same objects under other names, with the same credentials, one after
 * the other as each needs what the one before it gave.
 */
export async function mintBare(scene: BrokerScene, cost: Cost): Promise<{ readonly mint: Mint; close(): void }> {
  const { cluster, brokerToken, plain } = scene;
  const client = connect(cluster.server, cluster.caPem);
  const headers = {
    accept: 'application/json',
    authorization: `Bearer ${brokerToken}`,
    'content-type': 'application/json',
  };
  const call = async (path: string, body: string): Promise<Json> => {
    const { status, text } = await client.send('POST', path, headers, body);
    if (status !== 201) throw new Error(`POST ${path}: ${status} ${text}`);
    return JSON.parse(text) as Json;
  };
  const { lease, secret, uid } = await lookUp(cluster, plain.url, scene, cost);
  const identities = '/api/v1/namespaces/kleis-identities';
  const mint: Mint = async () => {
    const name = `l${randomBytes(16).toString('hex')}`;
    if (lease !== undefined) {
      await call('/apis/coordination.k8s.io/v1/namespaces/kleis-state/leases', lease.as(name));
    }
    const made = secret === undefined ? undefined : await call(`${identities}/secrets`, secret.as(name));
    const bound = made && { kind: 'Secret', apiVersion: 'v1', name: made.metadata.name, uid: made.metadata.uid };
    const token = await call(
      `${identities}/serviceaccounts/deploy-0/token`,
      JSON.stringify({
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenRequest',
        metadata: { name: 'deploy-0', namespace: 'kleis-identities', uid },
        spec: { audiences: [cluster.server], expirationSeconds: 900, ...(bound && { boundObjectRef: bound }) },
      }),
    );
    if (typeof (token['status'] as { token?: unknown }).token !== 'string') throw new Error('there is no token');
  };
  return { mint, close: () => client.close() };
}

interface Copied {
  /** The text of the object, for another lease. */
  as(lease: string): string;
}

/** What the broker itself writes for such a mint. */
async function lookUp(
  cluster: Cluster,
  brokerUrl: string,
  scene: BrokerScene,
  cost: Cost,
): Promise<{ readonly lease: Copied | undefined; readonly secret: Copied | undefined; readonly uid: string }> {
  const client = connect(brokerUrl);
  const { lease: name } = await exchange(client, scene.subjectToken(cost), cost);
  client.close();
  const get = async (path: string) => (await cluster.request('GET', path)) as unknown as Json;
  const { metadata } = await get('/api/v1/namespaces/kleis-identities/serviceaccounts/deploy-0');
  const { uid } = metadata;
  if (typeof name !== 'string') return { lease: undefined, secret: undefined, uid };
  const copy = (object: Json): Copied => {
    const {
      uid: _,
      resourceVersion: __,
      creationTimestamp: ___,
      managedFields: ____,
      ...kept
    } = object.metadata as {
      readonly [field: string]: unknown;
    };
    const text = JSON.stringify({ ...object, metadata: kept });
    return { as: (lease) => text.replaceAll(name, lease) };
  };
  const lease = copy(await get(`/apis/coordination.k8s.io/v1/namespaces/kleis-state/leases/${name}`));
  if (!cost.secret) return { lease, secret: undefined, uid };
  const list = await get(`/api/v1/namespaces/kleis-identities/secrets?labelSelector=kleis.dev/lease%3D${name}`);
  const [found] = list['items'] as readonly Json[];
  if (found === undefined) throw new Error('the lease has no Secret');
  return { lease, secret: copy({ apiVersion: 'v1', kind: 'Secret', ...found }), uid };
}
