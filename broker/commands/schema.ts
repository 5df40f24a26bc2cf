import { formatJson } from '../../shared/json.ts';
import type { Deps } from '../surroundings.ts';

/** `kleis-broker schema`: what a configuration may hold, or what there is to call, for machines. */
export async function printSchema(which: 'config' | 'openapi', { stdout }: Pick<Deps, 'stdout'>): Promise<void> {
  const { brokerJsonSchema } = await import('../config/json-schema.ts');
  const { openApi } = await import('../contract/openapi.ts');
  stdout.write(formatJson(which === 'config' ? brokerJsonSchema() : openApi()));
}
