import { formatJson } from '../../shared/json.ts';
import type { Deps } from '../surroundings.ts';

/** `kleis-broker schema`: what a configuration may hold, or what there is to call, for machines. */
export async function printSchema(which: 'config' | 'openapi', { stdout }: Pick<Deps, 'stdout'>): Promise<void> {
  const { default: document } =
    which === 'config'
      ? await import('../../docs/broker-config.schema.json', { with: { type: 'json' } })
      : await import('../../docs/openapi.json', { with: { type: 'json' } });
  stdout.write(formatJson(document));
}
