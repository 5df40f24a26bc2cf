import { readFileSync } from 'node:fs';
import { parse } from 'yaml';

interface ActionFile {
  readonly inputs: Readonly<Record<string, Setting & { readonly required?: boolean; readonly default?: string }>>;
  readonly outputs: Readonly<Record<string, Setting>>;
}

interface Setting {
  readonly description: string;
}

/** What the page says of the action, from its own file. */
export const actionParts = [{ file: 'docs/ci/github-actions.md', name: 'action', make: actionTables }];

function actionTables(): string {
  const { inputs, outputs } = parse(readFileSync('cli/packaging/action/action.yml', 'utf8')) as ActionFile;
  const rows = Object.entries(inputs).map(([name, { description, required, default: usual }]) => {
    const more = required === true ? '; must be given' : usual === undefined ? '' : ` (default: \`${usual}\`)`;
    return `| \`${name}\` | ${description}${more} |`;
  });
  const given = Object.entries(outputs).map(([name, { description }]) => `| \`${name}\` | ${description} |`);
  const table = (head: string, lines: readonly string[]) =>
    `| ${head} | what it is |\n| --- | --- |\n${lines.join('\n')}`;
  return `${table('input', rows)}\n\n${table('output', given)}`;
}
