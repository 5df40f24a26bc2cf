import { createHash } from 'node:crypto';
import { dirname, join } from 'node:path';
import { KleisError } from '../../shared/errors.ts';
import { isObject } from '../../shared/json.ts';
import { hasNoLauncher } from '../surroundings/installation.ts';
import { execEntry } from '../../shared/kube/exec-entry.ts';
import type { Secret } from '../../shared/secret.ts';
import { clean } from '../../shared/text.ts';
import { type Plan, PlanBuilder } from '../kubeconfig/change.ts';
import { type Mapping, textOf } from '../kubeconfig/document.ts';
import { contextNamed } from '../kubeconfig/find.ts';
import type { Kubeconfig, KubeconfigEntry } from '../kubeconfig/load.ts';
import { methodOf } from '../kubeconfig/method.ts';
import { environment } from '../settings/environment.ts';
import { type SignInFlags, toArguments } from '../settings/flags.ts';
import type { PersonChoices } from '../settings/gather.ts';
import { configFile } from '../settings/paths.ts';
import { resolveRequest } from '../settings/sign-in.ts';
import type { Deps } from '../surroundings/deps.ts';
import { translateUser } from './translate.ts';
import { Translation, Untranslatable } from './translation.ts';

export interface MigrationRequest {
  /** Contexts, or users; empty: every user that can be. */
  readonly names: readonly string[];
  /** What the person says: it wins over what an entry says. */
  readonly typed: SignInFlags;
  readonly choices: PersonChoices;
  /** What a broker offers for the server of a cluster; undefined: no broker is asked. Throws `Untranslatable`. */
  readonly offer?: ((servers: readonly string[]) => SignInFlags) | undefined;
}

export interface MigrationPlan extends Plan {
  /** Contexts whose users sign in with Kleis from then on. */
  readonly contexts: readonly string[];
  /** By the files in which they are to stand. */
  readonly secrets: ReadonlyMap<string, Secret>;
}

/** Of an entry that says nothing of a provider. */
const instead =
  'Name the provider, if the API server takes its tokens: --issuer-url URL --client-id ID; or a broker that has a grant for the cluster: --from URL.';

/** Throws `kubeconfig_invalid` for a named entry that cannot become one of Kleis; without names such entries are told of. */
export async function planMigration(
  kubeconfig: Kubeconfig,
  request: MigrationRequest,
  deps: Deps,
): Promise<MigrationPlan> {
  const plan = new PlanBuilder(kubeconfig);
  const notes: string[] = [];
  const contexts: string[] = [];
  const secrets = new Map<string, Secret>();
  for (const user of usersOf(kubeconfig, request.names)) {
    const uses = [...kubeconfig.entries.contexts.values()].filter(({ body }) => body['user'] === user.name);
    const title = `The user "${clean(user.name)}"`;
    try {
      const found = await translate(user, uses, kubeconfig, request);
      if (found === undefined) {
        if (request.names.length > 0) notes.push(`${title} signs in with Kleis already.`);
        continue;
      }
      const { flags, secret } = withSecretFile(found, user, deps);
      resolveRequest(flags, undefined, request.choices);
      const { env, dropped } = keptEnvironment(user.body);
      const args = toArguments(flags);
      plan.set('users', user.name, {
        exec: execEntry({ args, platform: deps.platform, env, isPlugin: hasNoLauncher(deps.platform) }),
        ...(user.body['extensions'] !== undefined && { extensions: user.body['extensions'] }),
      });
      if (secret !== undefined) secrets.set(...secret);
      contexts.push(...uses.map(({ name }) => name));
      for (const name of dropped) found.leave(`the variable ${clean(name, 60)}`, 'Kleis does not read it');
      notes.push(`${title} (${found.from}) is to sign in with Kleis:`, ...linesOf(found, secret?.[0]));
    } catch (error) {
      const why = reasonOf(error);
      if (request.names.length > 0) {
        throw new KleisError('kubeconfig_invalid', `${title} cannot sign in with Kleis: it ${why}.`, {
          hint: error instanceof Untranslatable ? instead : 'Correct it, or say it with the flags of Kleis.',
          cause: error,
        });
      }
      notes.push(`${title} stays as it is: it ${why}.`);
    }
  }
  return { changes: plan.changes, values: plan.values, notes, contexts, secrets };
}

function reasonOf(error: unknown): string {
  if (error instanceof Untranslatable) return error.message;
  if (error instanceof KleisError) return `would be refused (${error.message.replace(/\.$/, '')})`;
  throw error;
}

/** Names are those of contexts, whose users are meant; then those of users. */
function usersOf(kubeconfig: Kubeconfig, names: readonly string[]): KubeconfigEntry[] {
  const { users, contexts } = kubeconfig.entries;
  if (names.length === 0) return [...users.values()];
  const found = names.map((name) => {
    const user = users.get(contexts.has(name) ? textOf(contexts.get(name)?.body['user']) : name);
    if (user !== undefined) return user;
    contextNamed(kubeconfig, name);
    throw new KleisError('kubeconfig_invalid', `The user of the context "${clean(name)}" does not exist.`);
  });
  return [...new Set(found)];
}

async function translate(
  { body }: KubeconfigEntry,
  uses: readonly KubeconfigEntry[],
  { entries }: Kubeconfig,
  { typed, offer }: MigrationRequest,
): Promise<Translation | undefined> {
  const { kind } = methodOf(body);
  if (kind === 'kleis') return undefined;
  const servers = uses.map(({ body: { cluster } }) => textOf(entries.clusters.get(textOf(cluster))?.body['server']));
  const byHand = (flags: SignInFlags, whose: string) => {
    const result = new Translation(kind);
    Object.assign(result.flags, flags);
    result.leave(kind === 'plugin' ? 'the plugin' : kind, whose);
    return result;
  };
  if (offer !== undefined) return byHand(offer(servers), 'the broker gives a token in its place');
  try {
    const result = await translateUser(body);
    if (result === undefined) return undefined;
    Object.assign(result.flags, typed);
    if (typed.clientSecretFile ?? typed.clientKeyFile) result.clientSecret = undefined;
    return result;
  } catch (error) {
    const says = typed.issuerUrl !== undefined || (typed.identity !== undefined && typed.identity !== 'sso');
    if (!says || !(error instanceof Untranslatable)) throw error;
    return byHand(typed, 'you sign in in its place, as you say');
  }
}

/** A secret that stood in the kubeconfig gets a file of its own, where no question is asked about it (decision 27). */
function withSecretFile(
  { flags, clientSecret }: Translation,
  { name }: KubeconfigEntry,
  { env, platform }: Deps,
): { readonly flags: SignInFlags; readonly secret?: [string, Secret] } {
  if (clientSecret === undefined) return { flags };
  const config = configFile(env, platform);
  if (config === undefined) throw new Untranslatable('holds a secret, and without HOME there is no place to keep it');
  const about = createHash('sha256')
    .update(JSON.stringify([flags.issuerUrl, flags.clientId, name]))
    .digest('hex');
  const readable = name.replaceAll(/[^\w.-]+/g, '-').slice(0, 40);
  const path = join(dirname(config), 'secrets', `${readable}-${about.slice(0, 8)}`);
  return { flags: { ...flags, clientSecretFile: path }, secret: [path, clientSecret] };
}

const readHere = new Set(
  Object.keys(environment)
    .flatMap((names) => names.split(', '))
    .filter((name) => name !== 'NODE_OPTIONS'),
);

/** What the old entry adds to the environment of its plugin: Kleis keeps what it reads too, such as a proxy. */
function keptEnvironment({ exec }: Mapping): { readonly env?: unknown[]; readonly dropped: readonly string[] } {
  const list: unknown[] = isObject(exec) && Array.isArray(exec['env']) ? exec['env'] : [];
  const kept = list.filter((item) => readHere.has(nameIn(item).toUpperCase()));
  const dropped = list.filter((item) => !kept.includes(item)).map(nameIn);
  return { ...(kept.length > 0 && { env: kept }), dropped };
}

function nameIn(item: unknown): string {
  return isObject(item) ? textOf(item['name']) : '';
}

function linesOf({ lines }: Translation, secretFile: string | undefined): string[] {
  return lines.map(({ from, to, why = '' }) => {
    if (to === undefined) return fitted(`  ${from}: left out,`, why);
    if (to !== '--client-secret-file') return `  ${from} → ${to}`;
    return fitted(`  ${from} → ${to}=${clean(secretFile, 400)},`, 'a new file that you alone can read');
  });
}

/** On a line of its own if a terminal would break it. */
function fitted(start: string, end: string): string {
  return start.length + end.length < 80 ? `${start} ${end}` : `${start}\n      ${end}`;
}
