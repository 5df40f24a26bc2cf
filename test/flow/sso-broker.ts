import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { AppWorld, RunningBroker } from '../broker/routes/world.ts';
import { freePorts } from '../support/processes.ts';
import type { World } from './world.ts';

/** A broker that people sign in to with the provider of a world, at an address that it knows. */
export interface SsoBroker {
  readonly broker: RunningBroker;
  readonly url: string;
}

/** `parts` of the configuration; `sso` of its issuer `sso`, in which people sign in unless it says otherwise. */
export async function startSsoBroker(
  { world, app }: { readonly world: World; readonly app: AppWorld },
  { sso = { signIn: { scopes: ['email', 'groups', 'offline_access'] } }, others, ...parts }: SsoBrokerParts,
): Promise<SsoBroker> {
  const [port] = await freePorts(1);
  const url = `http://127.0.0.1:${port}`;
  const certificateAuthority = join(app.folder, 'sso.pem');
  await copyFile((await world.person()).providerCaFile, certificateAuthority);
  const broker = await app.start({
    publicUrl: url,
    listen: { address: `127.0.0.1:${port}` },
    admins: [],
    issuers: { sso: { url: world.provider.issuer, audience: 'kleis', certificateAuthority, ...sso }, ...others?.(url) },
    ...parts,
  });
  return { broker, url };
}

interface SsoBrokerParts extends Record<string, unknown> {
  readonly sso?: Readonly<Record<string, unknown>>;
  /** Issuers beside it, of a broker at that address. */
  readonly others?: (url: string) => Readonly<Record<string, unknown>>;
  readonly grants: Readonly<Record<string, unknown>>;
}
