import { formatJson } from '../../shared/json.ts';
import { clean } from '../../shared/text.ts';
import { type ConfigRow, configRows, loadConfig } from '../settings/person.ts';
import type { Deps } from '../surroundings/deps.ts';
import type { OutputFlags } from '../settings/flags.ts';
import { placesOf } from '../settings/paths.ts';
import { printTable } from '../surroundings/print-table.ts';

/** `kleis config`: the person's settings as they hold, and where each comes from. */
export async function showConfig(flags: OutputFlags, deps: Deps): Promise<void> {
  const config = await loadConfig(deps);
  const rows = [...configRows(config), ...environmentRows(deps)];
  if (flags.output === 'json') {
    const settings = rows.map(({ key, value, source }) => ({ key, value, source }));
    deps.stdout.write(formatJson({ file: config.path, settings }));
    return;
  }
  printTable(
    ['SETTING', 'VALUE', 'FROM'],
    rows.map(({ key, text, source }) => [key, text, source]),
    deps,
  );
  deps.report.info(`\nThe file is ${config.path ?? 'nowhere: HOME is not set'}. A flag of the same name wins over it.`);
}

function environmentRows(deps: Deps): ConfigRow[] {
  const { state, credentials } = placesOf(deps);
  const {
    env,
    report: { level },
  } = deps;
  return [
    folderRow('sessions', state, deps, ['KLEIS_STATE_DIR', 'XDG_STATE_HOME']),
    folderRow('credentials', credentials[0], deps, ['KLEIS_CACHE_DIR', 'XDG_RUNTIME_DIR', 'XDG_CACHE_HOME']),
    {
      key: 'log',
      text: level,
      value: level,
      source: level === env['KLEIS_LOG'] ? 'KLEIS_LOG' : level === 'debug' ? '-v' : 'default',
    },
  ];
}

function folderRow(key: string, path: string | undefined, deps: Deps, variables: readonly string[]): ConfigRow {
  const source = variables.find((name) => (deps.env[name] ?? '') !== '') ?? 'default';
  const text = path === undefined ? 'nowhere, as with cache: none' : clean(path, 400);
  return { key, text, value: path ?? null, source };
}
