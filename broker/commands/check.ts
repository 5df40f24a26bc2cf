import { exitCodes } from '../../shared/errors.ts';
import { clean } from '../../shared/text.ts';
import { ConfigFaults } from '../config/documents.ts';
import { type LoadedConfig, loadConfig } from '../config/load.ts';
import type { Deps } from '../surroundings.ts';
import { chooseCluster } from './rbac.ts';
import { openAdmin } from '../cluster/admin-access.ts';
import { checkCluster } from '../check/cluster.ts';
import { countFindings, type Finding, printTable, sortFindings } from '../check/findings.ts';

export interface CheckFlags {
  readonly config: string;
  /** Of an admin. Without it only the configuration is looked at. */
  readonly kubeconfig?: string;
  readonly context?: string;
  readonly cluster?: string;
  readonly output: 'table' | 'json';
}

/** `kleis-broker check`. Gives the exit code: 0 if no finding is an error, else 6. Throws when it cannot look. */
export async function check(flags: CheckFlags, deps: Pick<Deps, 'env' | 'stdout' | 'clock'>): Promise<number> {
  const { findings, cluster } = await look(flags, deps);
  const counts = countFindings(findings);
  deps.stdout.write(
    flags.output === 'json'
      ? `${JSON.stringify({ ok: counts.error === 0, cluster, counts, findings: sortFindings(findings) }, null, 2)}\n`
      : printTable(findings),
  );
  return counts.error === 0 ? exitCodes.ok : exitCodes.configuration;
}

async function look(
  { config: path, kubeconfig, context, cluster: name }: CheckFlags,
  { env, clock }: Pick<Deps, 'env' | 'clock'>,
): Promise<{ findings: readonly Finding[]; cluster?: string }> {
  let loaded: LoadedConfig;
  try {
    loaded = await loadConfig(path);
  } catch (error) {
    if (!(error instanceof ConfigFaults)) throw error;
    return { findings: error.faults.map(toFinding) };
  }
  const { config, warnings, hash } = loaded;
  const count = Object.keys(config.grants).length;
  const findings: Finding[] = [
    ...warnings.map((warning): Finding => ({ ...toFinding(warning), severity: 'warning', code: warning.code })),
    {
      severity: 'ok',
      code: 'config',
      about: 'configuration',
      what: `It is valid: ${count} grant${count === 1 ? '' : 's'}, policy hash ${hash}.`,
    },
  ];
  if (kubeconfig === undefined) return { findings };
  const cluster = chooseCluster(config, name, 'check');
  const admin = await openAdmin({ kubeconfig, context, env, now: () => clock.now() });
  try {
    return { findings: [...findings, ...(await checkCluster(config, cluster, admin.kube))], cluster: cluster.name };
  } finally {
    await admin.close();
  }
}

function toFinding({ file, line, column, path, message }: ConfigFaults['faults'][number]): Finding {
  const what = `${path === '' ? '' : `${path} `}${message}`;
  return { severity: 'error', code: 'config', about: `${clean(file)}:${line}:${column}`, what };
}
