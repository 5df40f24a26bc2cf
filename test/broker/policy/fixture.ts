import { stringify } from 'yaml';
import { ConfigFaults } from '../../../broker/config/documents.ts';
import { judgeInSteps, type LoadedConfig } from '../../../broker/config/load.ts';
import { readPlainYaml } from '../../../broker/config/plain-yaml.ts';
import { readAnyYaml } from '../../../broker/config/yaml.ts';
import { compilePolicy } from '../../support/compile-policy.ts';
import type { Where } from '../../../broker/policy/grant.ts';
import { finish } from '../../../shared/steps.ts';
import { type Asker, type Decision, decide, type Question } from '../../../broker/policy/decide.ts';

/** Everything but grants; parts can be replaced. */
export function baseDocument(parts: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    apiVersion: 'kleis.dev/v1',
    kind: 'BrokerConfig',
    publicUrl: 'https://kleis.example.com',
    listen: { address: '127.0.0.1:8080' },
    state: { cluster: 'prod' },
    issuers: {
      github: { url: 'https://token.actions.githubusercontent.com', audience: 'https://kleis.example.com' },
      gitlab: { url: 'https://gitlab.example.com', audience: 'https://kleis.example.com' },
      sso: { url: 'https://login.example.com', audience: 'kleis', platform: 'other' },
    },
    clusters: { prod: { credentials: { inCluster: true } } },
    grants: {},
    ...parts,
  };
}

/** A grant named `g` with these fields, for the issuer `sso` unless told. */
export function loadGrant(grant: Record<string, unknown>, parts: Record<string, unknown> = {}): LoadedConfig {
  return loadDocument({
    ...parts,
    grants: { g: { issuer: 'sso', cluster: 'prod', serviceAccount: 'deploy', ...grant } },
  });
}

export function loadDocument(parts: Record<string, unknown>): LoadedConfig {
  return loadText(stringify(baseDocument(parts), { aliasDuplicateObjects: false }));
}

export function loadText(...texts: readonly string[]): LoadedConfig {
  const files = texts.map((text, index) => ({ file: `${index + 1}.yaml`, text, plain: readPlainYaml(text) }));
  return finish(judgeInSteps(files, readAnyYaml));
}

/** `line: path message` of every fault; empty if there is none. */
export function faultsOf(work: () => unknown): string[] {
  try {
    work();
    return [];
  } catch (error) {
    if (!(error instanceof ConfigFaults)) throw error;
    return error.faults.map((fault) => `${fault.path} ${fault.message}`.trim());
  }
}

export function ask(
  loaded: LoadedConfig,
  claims: Record<string, unknown>,
  { issuer = 'sso', now = 0, ...more }: Partial<Asker & Question> & { now?: number } = {},
): Decision {
  return decide(loaded.policy, { issuer, claims }, { grant: 'g', ...more }, now);
}

/** Whether a grant with this `where` is given to these claims. */
export function allows(where: Record<string, unknown>, claims: Record<string, unknown>): boolean {
  const { config } = template;
  const grants = { g: { ...config.grants['g']!, where: where as Where } };
  return decide(compilePolicy({ ...config, grants }), { issuer: 'sso', claims }, { grant: 'g' }, 0).allowed;
}

const template = loadGrant({ where: { a: 'x' } });
