import { formatJson } from '../../shared/json.ts';
import { configJsonSchema } from '../settings/json-schema.ts';
import type { Deps } from '../surroundings/deps.ts';

/** `kleis config schema`: what config.yaml may hold, as JSON Schema. */
export function printConfigSchema({ stdout }: Pick<Deps, 'stdout'>): void {
  stdout.write(formatJson(configJsonSchema()));
}
