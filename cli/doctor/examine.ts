import type { Secret } from '../../shared/secret.ts';
import { shellWord } from '../../shared/shell.ts';
import { clean } from '../../shared/text.ts';
import { type Present, readToken } from '../get-token/present.ts';
import { clusterToken } from '../get-token/script-token.ts';
import { allowClientFiles } from '../session/client-files.ts';
import type { AmbientSettings } from '../settings/ambient.ts';
import { type ContextSettings, contextSettings } from '../settings/of-context.ts';
import { loadConfig } from '../settings/person.ts';
import { isAmbient, resolveRequest, type Settings } from '../settings/sign-in.ts';
import type { Deps } from '../surroundings/deps.ts';
import { toFailure } from '../surroundings/failure.ts';
import { checkBroker } from './broker.ts';
import { checkClient } from './client.ts';
import { compareToken, describeToken } from './claims.ts';
import type { ExpectedIssuer } from './expected.ts';
import { type DoctorFinding, failed, ok, unknown } from './finding.ts';
import { checkEntry, checkKuberc, notLookedAt } from './kubeconfig.ts';
import { checkCompletion, checkPlugin, checkPrograms, kubectlVersion } from './programs.ts';
import { describeProvider } from './provider.ts';
import { askServer, checkSkew, reachServer, versionOf } from './server.ts';
import { checkSession } from './session.ts';
import { checkKeyring, checkStorage, placesFault } from './storage.ts';

export interface Examination {
  readonly context?: string | undefined;
  readonly kubeconfig?: string | undefined;
  /** What the API server expects, where somebody says. */
  readonly expected: readonly ExpectedIssuer[] | undefined;
  readonly signIn: boolean;
}

/** What was found, and what it was found of. */
export interface Examined {
  readonly findings: readonly DoctorFinding[];
  readonly entry: ContextSettings | undefined;
  readonly settings: Settings | AmbientSettings | undefined;
  readonly present: Present | undefined;
}

/** Looks at everything between this machine and the cluster, in the order in which it breaks. */
export async function examine(request: Examination, surroundings: Deps): Promise<Examined> {
  const findings: DoctorFinding[] = checkPrograms(surroundings);
  const find = (...more: readonly DoctorFinding[]) => void findings.push(...more);
  const end = (rest: Partial<Examined> = {}): Examined => ({
    findings,
    entry: undefined,
    settings: undefined,
    present: undefined,
    ...rest,
  });

  // The kubeconfig: which entry it is, and whether kubectl can run the plugin by it.
  let entry: ContextSettings;
  try {
    entry = await contextSettings(request, surroundings);
  } catch (error) {
    find(failed('kubeconfig', toFailure(error, surroundings)), notLookedAt('there is no entry to look by'));
    return end();
  }
  const { deps, entry: found } = entry;
  const kubectl = await kubectlVersion(surroundings);
  find(...(await checkPlugin(found, surroundings)), await checkCompletion(surroundings));
  find(...checkEntry(found), await checkKuberc(found, kubectl?.minor, surroundings));

  // The settings: flags of the entry, its extension, config.yaml.
  let settings: Settings | AmbientSettings;
  try {
    const person = await loadConfig(deps);
    settings = resolveRequest(entry.flags, entry.extension, person.choices);
    await allowClientFiles(settings, { byPerson: false, mayAsk: deps.stdin.isTTY }, deps);
    find(
      ok(
        'config',
        person.path === undefined ? 'There is no config.yaml.' : `${clean(person.path, 400)} is fine, or not there.`,
      ),
    );
  } catch (error) {
    find(failed('config', toFailure(error, deps)), notLookedAt('the settings cannot be used'));
    return end({ entry });
  }

  // What is kept on this machine.
  const nowhere = placesFault(deps);
  if (nowhere !== undefined) {
    find(nowhere, notLookedAt('there is no place for sessions'));
    return end({ entry, settings });
  }
  find(...checkStorage(settings, deps), await checkKeyring(settings, deps));

  // The provider, the session there, and the token that it gave.
  if (!isAmbient(settings)) {
    const provider = await describeProvider(settings, deps);
    find(...provider.findings);
    if ('metadata' in provider) find(...(await checkClient(settings, provider, deps)));
  }
  const command = `kleis login --context ${shellWord(found.context, deps.platform)}`;
  const visit = { settings, cluster: entry.identity, command, signIn: request.signIn };
  const { findings: ofSession, present } = await checkSession(visit, deps);
  find(...ofSession);
  const own = present && readToken(present.token);
  if (present !== undefined && own === undefined) {
    find(unknown('token', 'It is opaque: only who made it can read it.'));
  }
  if (own !== undefined) find(describeToken(own, deps.clock.now()));
  const { broker } = settings;
  const compared = own && broker === undefined && request.expected ? compareToken(own, request.expected) : [];
  find(...compared);

  // The broker, which gives the token that the cluster gets.
  const ofBroker = broker ? await checkBroker(broker, settings, present, deps) : [];
  find(...ofBroker);
  if (broker !== undefined && request.expected !== undefined) {
    find(unknown('expected', 'The cluster gets the token of a broker: what it expects of a provider plays no part.'));
  }

  // The API server: reached, then asked whom it sees.
  const server = await reachServer(found, deps);
  if (!('cluster' in server)) {
    find(...server);
    return end({ entry, settings, present });
  }
  find(...server.findings);
  if (present === undefined) {
    find(checkSkew(kubectl, server.version));
    find(unknown('identity', 'Whom the API server sees is not known: nobody is signed in.', { next: command }));
    return end({ entry, settings, present });
  }
  if (isRefused(ofBroker)) {
    find(checkSkew(kubectl, server.version));
    find(unknown('identity', 'Whom the API server sees is not known: the broker gives no token.'));
    return end({ entry, settings, present });
  }
  let token: Secret;
  try {
    token = await clusterToken(settings, present, entry.identity, deps);
  } catch (error) {
    find(checkSkew(kubectl, server.version), failed('broker', toFailure(error, deps)));
    return end({ entry, settings, present });
  }
  const presented = {
    token,
    jwt: readToken(token),
    ofBroker: broker !== undefined,
    knownFault: isRefused(compared),
    context: found.context,
  };
  find(checkSkew(kubectl, await versionOf(server, token)), ...(await askServer(server, presented, found, deps)));
  return end({ entry, settings, present });
}

function isRefused(list: readonly DoctorFinding[]): boolean {
  return list.some(({ severity }) => severity === 'error');
}
