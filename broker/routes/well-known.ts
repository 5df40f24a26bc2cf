import packageJson from '../../package.json' with { type: 'json' };
import {
  routes,
  subjectTokenTypes,
  tokenExchangeGrant,
  type WellKnown,
  type WellKnownCluster,
  type WellKnownGrant,
} from '../../shared/protocol.ts';
import { type Answer, json } from '../http/answer.ts';
import { signedIn } from '../http/caller.ts';
import type { Call } from '../http/request.ts';
import type { Trail } from '../http/trail.ts';
import { accessInWords, onlyNamespace } from '../policy/access.ts';
import { CompiledPolicy, type CompiledGrant } from '../policy/compile.ts';
import { decide } from '../policy/decide.ts';
import type { Subject } from '../issuers/issuers.ts';
import type { Services } from '../service/services.ts';

/** `GET /.well-known/kleis` for anyone: how to get a token. */
export async function describeBroker(_: Call, services: Services): Promise<Answer> {
  return json(await describe(services));
}

/** The same for who signs in: also what they would get a token for, and which version this is. */
export async function describeAccess(call: Call, services: Services, trail: Trail): Promise<Answer> {
  const { grants, clusters } = await accessOf(await signedIn(call, services, trail.addSubject), services);
  const { version } = packageJson;
  return json({ ...(await describe(services)), version, clusters, grants: grants.map(describeGrant) });
}

/** What a client needs in order to get a token that this broker takes. */
async function describe({ loaded, issuers, publicIssuers }: Services): Promise<WellKnown> {
  const { publicUrl, issuers: configs } = loaded.config;
  return {
    broker: publicUrl,
    token_endpoint: `${publicUrl}${routes.token}`,
    revocation_endpoint: `${publicUrl}${routes.revoke}`,
    grant_types_supported: [tokenExchangeGrant],
    subject_token_types_supported: Object.values(subjectTokenTypes),
    issuers: await publicIssuers.describe(configs, issuers.urls()),
  };
}

export interface Access {
  readonly grants: readonly CompiledGrant[];
  /** Of those grants; without any that cannot be described now. */
  readonly clusters: readonly WellKnownCluster[];
}

/** What the subject would get now. */
export async function accessOf(subject: Subject, { loaded, clock, places }: Services): Promise<Access> {
  const grants = await grantsOf(loaded.policy, subject, clock.now());
  const clusters = await places.describe(loaded.config.clusters, new Set(grants.map(({ cluster }) => cluster)));
  return { grants, clusters };
}

/** As many decisions before others get their turn; each takes some 20 µs. */
const atOnce = 250;

async function grantsOf(policy: CompiledPolicy, subject: Subject, now: number): Promise<CompiledGrant[]> {
  const found: CompiledGrant[] = [];
  let tried = 0;
  for (const grant of CompiledPolicy.grants(policy)) {
    if (grant.issuer !== subject.issuer) continue;
    tried += 1;
    if (tried % atOnce === 0) await new Promise(setImmediate);
    if (decide(policy, subject, { grant: grant.name }, now).allowed) found.push(grant);
  }
  return found;
}

export function describeGrant({ name, cluster, config }: CompiledGrant): WellKnownGrant {
  const namespace = onlyNamespace(config.access);
  return {
    name,
    cluster,
    expires_in: config.ttl.default / 1000,
    max_expires_in: config.ttl.max / 1000,
    revocable: config.revocable,
    ...(config.access && { access: accessInWords(config.access) }),
    ...(namespace !== undefined && { namespace }),
  };
}
