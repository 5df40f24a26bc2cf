import { formatJson } from '../../shared/json.ts';
import packageJson from '../../package.json' with { type: 'json' };
import { clean } from '../../shared/text.ts';
import { readDirectory } from '../broker/directory.ts';
import { askBroker } from '../get-token/ask-broker.ts';
import type { VersionFlags } from '../settings/flags.ts';
import type { Deps } from '../surroundings/deps.ts';
import { thisProcess } from '../surroundings/process.ts';

/** `kleis version`: of this program, and of a broker, which tells it to who signs in. */
export async function printVersion(flags: VersionFlags, deps: Deps): Promise<void> {
  const own = { version: packageJson.version, node: thisProcess.nodeVersion, platform: thisProcess.target };
  const asksBroker = flags.broker !== undefined || flags.context !== undefined;
  const broker = asksBroker ? await versionOfBroker(flags, deps) : undefined;
  if (flags.output === 'json') {
    deps.stdout.write(formatJson({ ...own, ...(broker && { broker }) }));
    return;
  }
  deps.stdout.write(`kleis ${own.version}\nNode ${own.node} on ${own.platform}\n`);
  if (broker !== undefined)
    deps.stdout.write(`broker ${broker.version ?? 'of an earlier version'} at ${clean(broker.url)}\n`);
}

async function versionOfBroker(
  flags: VersionFlags,
  deps: Deps,
): Promise<{ readonly url: string; readonly version?: string }> {
  const { broker, caller } = await askBroker(flags, deps);
  const { version } = await readDirectory(broker, caller.token);
  return { url: broker.url, ...(version !== undefined && { version }) };
}
