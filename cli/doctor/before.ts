import { exitCodes, KleisError } from '../../shared/errors.ts';
import { sentencesOf } from '../../shared/findings.ts';
import type { ExecCluster } from '../kubeconfig/cluster-identity.ts';
import type { AmbientSettings } from '../settings/ambient.ts';
import { isAmbient, type Settings } from '../settings/sign-in.ts';
import type { Deps } from '../surroundings/deps.ts';
import { toFailure } from '../surroundings/failure.ts';
import { within } from '../surroundings/within.ts';
import { checkBroker } from './broker.ts';
import { checkKnown } from './client.ts';
import { type DoctorFinding, errorOf, failed, type Severity, soften } from './finding.ts';
import { describeProvider } from './provider.ts';
import { reachServer } from './server.ts';

/** What makes an entry useless wherever it is used; all else may be otherwise there, or tomorrow. */
const decisive = new Set(['provider', 'sign-in', 'device', 'broker', 'grant']);

/**
 * What can be found before anybody signs in and before anything is written, in a few seconds: the provider, the broker
 * and the API server are asked at once. An error is about what the entry itself says; the rest warns.
 *
 * @param cluster where it is said
 */
export async function checkBefore(
  settings: Settings | AmbientSettings,
  cluster: ExecCluster | undefined,
  deps: Deps,
): Promise<DoctorFinding[]> {
  const { broker } = settings;
  const host = URL.parse(cluster?.server ?? '')?.host ?? 'The API server';
  const parts = await Promise.all([
    ...(isAmbient(settings)
      ? []
      : [inTime('provider', new URL(settings.issuerUrl).host, providerOf(settings, deps), deps)]),
    ...(broker === undefined
      ? []
      : [inTime('broker', new URL(broker.url).host, checkBroker(broker, settings, undefined, deps), deps)]),
    ...(cluster === undefined ? [] : [inTime('server', host, serverOf(cluster, deps), deps)]),
  ]);
  return parts.flat().map((finding) => (decisive.has(finding.about) ? finding : soften(finding)));
}

/** Tells what is worth a warning. Throws the first error, with the others told before it. */
export function refuseFaults(findings: readonly DoctorFinding[], deps: Pick<Deps, 'report'>): void {
  const of = (severity: Severity) => findings.filter((finding) => finding.severity === severity);
  const [first, ...others] = of('error');
  for (const finding of [...of('warning'), ...others]) deps.report.warn(sentencesOf(finding));
  if (first === undefined) return;
  const error = errorOf(first);
  if (error.exitCode !== exitCodes.unavailable) throw error;
  const hint = `${error.hint} --offline writes it without asking.`.trim();
  throw new KleisError(error.code, error.message, { hint, cause: error });
}

async function providerOf(settings: Settings, deps: Deps): Promise<readonly DoctorFinding[]> {
  const provider = await describeProvider(settings, deps);
  // The secret or key of a client is for those whom the person lets have it.
  const confidential = settings.clientSecretFile !== undefined || settings.clientKeyFile !== undefined;
  if (!('metadata' in provider) || confidential) return provider.findings;
  return [...provider.findings, ...(await checkKnown(settings, provider, deps))];
}

async function serverOf(cluster: ExecCluster, deps: Deps): Promise<readonly DoctorFinding[]> {
  const reached = await reachServer({ cluster }, deps);
  return 'cluster' in reached ? reached.findings : reached;
}

async function inTime(
  about: string,
  host: string,
  work: Promise<readonly DoctorFinding[]>,
  deps: Deps,
): Promise<readonly DoctorFinding[]> {
  try {
    return await within(host, work, deps);
  } catch (error) {
    deps.signal.throwIfAborted();
    return [failed(about, toFailure(error, deps))];
  }
}
