import { exitCodes } from '../../shared/errors.ts';
import { formatJson } from '../../shared/json.ts';
import { createFetch } from '../../shared/net/http.ts';
import { ConfigFaults } from '../config/documents.ts';
import { type LoadedConfig, loadConfig, locateEntries } from '../config/load.ts';
import type { Deps } from '../surroundings.ts';
import { chooseCluster } from './rbac.ts';
import { openAdmin } from '../cluster/admin-access.ts';
import { openClusters } from '../cluster/clusters.ts';
import { checkCluster } from '../check/cluster.ts';
import { checkFiles } from '../check/files.ts';
import type { Finding } from '../../shared/findings.ts';
import { widthOf } from '../../shared/table.ts';
import { countFindings, type PlacedFinding, placeOf, printTable, sortFindings } from '../check/findings.ts';
import { checkIssuers } from '../check/issuers.ts';
import { checkOwnAccess, isHere } from '../check/own-access.ts';

export interface CheckFlags {
  readonly config: string;
  /** Of an admin. Without it only the configuration is looked at. */
  readonly kubeconfig?: string;
  readonly context?: string;
  readonly cluster?: string;
  /** False: the files that it names are on another machine. */
  readonly files: boolean;
  /** Issuers are asked for their keys, and clusters whether the broker can work there. */
  readonly online?: boolean;
  readonly output: 'table' | 'json' | 'sarif';
}

/** `kleis-broker check`. Gives the exit code: 0 if no finding is an error, else 6. Throws when it cannot look. */
export async function check(flags: CheckFlags, deps: Pick<Deps, 'env' | 'stdout' | 'clock'>): Promise<number> {
  const { findings, cluster } = await look(flags, deps);
  const counts = countFindings(findings);
  deps.stdout.write(await print(findings, { flags, cluster, deps }));
  return counts.error === 0 ? exitCodes.ok : exitCodes.configuration;
}

async function print(
  findings: readonly PlacedFinding[],
  { flags, cluster, deps }: { flags: CheckFlags; cluster: string | undefined; deps: Pick<Deps, 'stdout'> },
): Promise<string> {
  switch (flags.output) {
    case 'table':
      return printTable(findings, widthOf(deps.stdout));
    case 'sarif': {
      const { toSarif } = await import('../check/sarif.ts');
      return formatJson(toSarif(sortFindings(findings), await locateEntries(flags.config)));
    }
    case 'json': {
      const counts = countFindings(findings);
      const list = sortFindings(findings).map((finding) => ({ ...finding, place: undefined }));
      return `${JSON.stringify({ ok: counts.error === 0, cluster, counts, findings: list }, null, 2)}\n`;
    }
  }
}

async function look(
  { config: path, kubeconfig, context, cluster: name, files, online = false }: CheckFlags,
  { env, clock }: Pick<Deps, 'env' | 'clock'>,
): Promise<{ findings: readonly PlacedFinding[]; cluster?: string }> {
  let loaded: LoadedConfig;
  try {
    loaded = await loadConfig(path);
  } catch (error) {
    if (!(error instanceof ConfigFaults)) throw error;
    return { findings: error.faults.map(toFinding) };
  }
  const { config, warnings, hash } = loaded;
  const count = Object.keys(config.grants).length;
  const findings: PlacedFinding[] = [
    ...warnings.map((warning): PlacedFinding => ({ ...toFinding(warning), severity: 'warning', code: warning.code })),
    {
      severity: 'ok',
      code: 'config',
      about: 'configuration',
      what: `It is valid: ${count} grant${count === 1 ? '' : 's'}, policy hash ${hash}.`,
    },
  ];
  if (files) findings.push(...(await checkFiles(loaded, env)));
  if (online) findings.push(...(await askAll(loaded, files, { env, clock })));
  if (kubeconfig === undefined) return { findings };
  const cluster = chooseCluster(config, name, 'check');
  const admin = await openAdmin({ kubeconfig, context, env, now: () => clock.now() });
  try {
    const sleep = (milliseconds: number) => clock.sleep(milliseconds);
    const found = await checkCluster(config, cluster, { kube: admin.kube, sleep });
    return { findings: [...findings, ...found], cluster: cluster.name };
  } finally {
    await admin.close();
  }
}

async function askAll(
  { config }: LoadedConfig,
  files: boolean,
  { env, clock }: Pick<Deps, 'env' | 'clock'>,
): Promise<Finding[]> {
  const clusters = openClusters(config.clusters, { clock, env });
  try {
    const found = await Promise.all([
      checkOwnAccess(clusters, config, (cluster) => isHere(cluster, files, env)),
      checkIssuers(Object.values(config.issuers), clusters, {
        clock,
        fetchFor: (options) => createFetch({ ...options, env, now: () => clock.now() }),
      }),
    ]);
    return found.flat();
  } finally {
    clusters.close();
  }
}

function toFinding({ path, message, file, line, column }: ConfigFaults['faults'][number]): PlacedFinding {
  const place = { file, line, column, path };
  const what = `${path === '' ? '' : `${path} `}${message}`;
  return { severity: 'error', code: 'config', about: placeOf(place), what, place };
}
