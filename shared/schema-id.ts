/** `$id` of the schema of a file: where an editor can get it. `docs/NAME.schema.json` in the repository. */
export function schemaId(name: 'broker-config' | 'config'): string {
  return `https://raw.githubusercontent.com/kleis-dev/kleis/main/docs/${name}.schema.json`;
}
