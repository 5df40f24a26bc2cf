import { parse } from 'yaml';
import type { Candidate, Question } from '../../shared/commands/complete.ts';
import { isObject } from '../../shared/json.ts';
import { readTextFile } from '../../shared/read-file.ts';
import { loadConfig } from '../config/load.ts';
import { starterRoles } from '../rbac/starter-roles.ts';

/** A thousand clusters with their certificates are 2 MB. */
const maxKubeconfig = 16 * 1024 * 1024;

/** What the files say that the line names already; nobody is asked. */
export async function knownValues({ name, flags }: Question): Promise<readonly Candidate[]> {
  const config = flags.get('--config');
  switch (name) {
    case '--grant':
      return config === undefined ? [] : plain(Object.keys((await loadConfig(config)).config.grants));
    case '--cluster':
      return config === undefined ? [] : plain(Object.keys((await loadConfig(config)).config.clusters));
    case '--context':
      return plain(await contextsIn(flags.get('--kubeconfig')));
    case '--role':
      return plain(Object.keys(starterRoles));
    default:
      return [];
  }
}

function plain(values: readonly string[]): Candidate[] {
  return values.toSorted().map((value) => ({ value }));
}

async function contextsIn(path: string | undefined): Promise<string[]> {
  if (path === undefined) return [];
  const document: unknown = parse(await readTextFile(path, { limit: maxKubeconfig }), { logLevel: 'error' });
  const list = isObject(document) && Array.isArray(document['contexts']) ? document['contexts'].filter(isObject) : [];
  return list.flatMap(({ name }) => (typeof name === 'string' ? [name] : []));
}
