import { join } from 'node:path';
import { KleisError } from '../../shared/errors.ts';
import { isObject } from '../../shared/json.ts';
import { certificatesIn } from '../../shared/net/certificates.ts';
import { readTextFile } from '../../shared/read-file.ts';
import { shellWord } from '../../shared/shell.ts';
import { asText, clean } from '../../shared/text.ts';
import { findProgram } from '../files/find-program.ts';
import type { FoundEntry } from '../kubeconfig/find.ts';
import type { Deps } from '../surroundings/deps.ts';
import { type DoctorFinding, failed, ok, unknown, warning } from './finding.ts';

const versions = ['client.authentication.k8s.io/v1', 'client.authentication.k8s.io/v1beta1'];

/** Whether kubectl can run the plugin by this entry, and tells it what it must know. */
export function checkEntry({ context, user, exec, args, cluster, file }: FoundEntry): DoctorFinding[] {
  const place = `The user ${clean(user)} in ${clean(file, 400)}`;
  const refuse = (code: 'kubeconfig_invalid' | 'cluster_unknown', what: string, hint: string) =>
    failed('kubeconfig', new KleisError(code, `${place} ${what}.`, { hint }));
  const findings: DoctorFinding[] = [];
  const { apiVersion, interactiveMode, provideClusterInfo } = exec;
  if (!versions.includes(asText(apiVersion))) {
    findings.push(
      refuse(
        'kubeconfig_invalid',
        `has the apiVersion ${clean(apiVersion, 80)}, which kubectl does not take any more`,
        `Set \`apiVersion: ${versions[0]}\` in its exec section.`,
      ),
    );
  }
  if (apiVersion === versions[0] && !['Never', 'IfAvailable', 'Always'].includes(asText(interactiveMode))) {
    findings.push(
      refuse('kubeconfig_invalid', 'has no interactiveMode', 'Set `interactiveMode: IfAvailable` in its exec section.'),
    );
  }
  if (provideClusterInfo !== true && !args.some((arg) => /^--cluster-server(=|$)/.test(arg))) {
    findings.push(
      refuse(
        'cluster_unknown',
        'does not say provideClusterInfo, so the plugin does not hear for which cluster it is asked, and gives nothing',
        'Set `provideClusterInfo: true` in its exec section, or run kleis kubeconfig add again.',
      ),
    );
  }
  if (cluster['insecure-skip-tls-verify'] === true) {
    findings.push(
      warning(
        'kubeconfig',
        'insecure_cluster',
        `The cluster of the context ${clean(context)} says insecure-skip-tls-verify: whoever answers there gets your token.`,
        { next: 'Put the certificate authority of the API server in its place.' },
      ),
    );
  }
  const authority = cluster['certificate-authority-data'];
  if (authority !== undefined) {
    try {
      certificatesIn(Buffer.from(authority, 'base64').toString());
    } catch (error) {
      findings.push(
        failed(
          'kubeconfig',
          new KleisError(
            'kubeconfig_invalid',
            `The certificate authority of the cluster of ${clean(context)} cannot be used: ${(error as Error).message}.`,
            { hint: 'Give it anew: kleis kubeconfig add NAME --cluster-certificate-authority FILE' },
          ),
        ),
      );
    }
  }
  if (findings.some(({ severity }) => severity === 'error')) return findings;
  const fine = `The context ${clean(context)} runs ${clean(exec['command'], 400)} for ${clean(cluster.server)}.`;
  return [ok('kubeconfig', fine), ...findings];
}

/** kubectl's own list of plugins that it may run (client-go 0.35 and later; kuberc, `credentialPluginPolicy`). */
export async function checkKuberc(
  { exec }: FoundEntry,
  kubectl: number | undefined,
  deps: Deps,
): Promise<DoctorFinding> {
  const { env } = deps;
  const path = env['KUBERC'] ?? join(env['HOME'] ?? '/', '.kube', 'kuberc');
  if (path === 'off' || /^(false|0)$/i.test(env['KUBECTL_KUBERC'] ?? '')) return ok('kuberc', 'kubectl reads none.');
  const text = await readTextFile(path).catch(() => undefined);
  if (text === undefined) return ok('kuberc', 'There is none, so kubectl runs any plugin.');
  const name = clean(path, 400);
  const { parse } = await import('yaml');
  let value: unknown;
  try {
    value = parse(text);
  } catch {
    return failed(
      'kuberc',
      new KleisError('config_invalid', `${name} is not YAML, so kubectl stops or passes it over.`),
    );
  }
  const kuberc = isObject(value) ? value : {};
  const policy = kuberc['credentialPluginPolicy'] ?? '';
  const command = asText(exec['command']);
  const list: unknown[] = Array.isArray(kuberc['credentialPluginAllowlist']) ? kuberc['credentialPluginAllowlist'] : [];
  const allowed = list.filter(isObject).map((item) => asText(item['command'] ?? item['name']));
  const permits =
    policy === '' ||
    policy === 'AllowAll' ||
    (policy === 'Allowlist' && allowed.some((each) => isSame(each, command, deps)));
  if (permits) return ok('kuberc', `${name} lets kubectl run ${clean(command, 400)}.`);
  const error = new KleisError(
    'config_invalid',
    `${name} says credentialPluginPolicy: ${clean(policy, 40)}, which keeps kubectl from running ${clean(command, 400)}.`,
    {
      hint: `Allow it there: kubectl kuberc set --section credentialplugin --policy Allowlist --allowlist-entry ${shellWord(`command=${command}`, deps.platform)}`,
    },
  );
  if (kubectl !== undefined && kubectl < 35) {
    return warning('kuberc', error.code, error.message, {
      why: `kubectl 1.${kubectl} does not read that yet; 1.35 does.`,
      next: error.hint,
    });
  }
  return failed('kuberc', error);
}

/** As client-go compares: the same words, or the same file where both are looked up (exec.go, `allowlist`). */
function isSame(entry: string, command: string, deps: Deps): boolean {
  if (entry === command) return true;
  const found = (name: string) => (/[\\/]/.test(name) ? name : findProgram(name, deps));
  return found(entry) !== undefined && found(entry) === found(command);
}

/** What comes after an entry that cannot be used. */
export function notLookedAt(why: string): DoctorFinding {
  return unknown('the rest', `Provider, session, broker and API server were not looked at: ${why}.`);
}
