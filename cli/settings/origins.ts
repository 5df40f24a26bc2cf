import { isObject } from '../../shared/json.ts';
import { clean } from '../../shared/text.ts';
import type { SignInFlags } from './flags.ts';
import type { PersonConfig } from './person.ts';
import { names, settingOf } from './table.ts';

/** What was said, and where, for `--verbose`. What nobody says is left out. */
export function describeSettings(flags: SignInFlags, extension: unknown, { choices, origins }: PersonConfig): string {
  const byFlag: Readonly<Record<string, unknown>> = { ...flags };
  const byPerson: Readonly<Record<string, unknown>> = { ...choices };
  const byCluster = isObject(extension) ? extension : {};
  const said = names.flatMap((name) => {
    const { extension: ofCluster, config } = settingOf(name);
    if (ofCluster === true && byCluster[name] !== undefined) return [line(name, byCluster[name], 'the cluster')];
    // Parameters for the provider may hold anything, secrets too.
    if (byFlag[name] !== undefined) return [line(name, name === 'authParam' ? '…' : byFlag[name], 'flag')];
    if (byPerson[name] === undefined) return [];
    const plain = config?.plain ?? ((value: unknown) => value);
    return [
      line(
        name,
        plain(byPerson[name] as never),
        Object.entries(origins).find(([key]) => key === name)?.[1] ?? 'config.yaml',
      ),
    ];
  });
  return `Settings: ${said.join('; ') || 'none'}.`;
}

function line(name: string, value: unknown, source: string): string {
  return `${name} ${clean(Array.isArray(value) ? value.join(', ') : value, 400)} (${clean(source, 400)})`;
}
