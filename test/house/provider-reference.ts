import { providerNames } from '../../cli/setup/flags.ts';
import { fill, providerKind } from '../../cli/setup/registration.ts';
import { defaultListenAddresses } from '../../cli/settings/listen-address.ts';
import type { Part } from './reference.ts';

/** What `kleis setup` says of each kind of provider. */
export const providerParts: readonly Part[] = [{ file: 'docs/api-server.md', name: 'providers', make: providers }];

function providers(): string {
  const client = { clientId: 'kleis', redirectUris: defaultListenAddresses.map((address) => `http://${address}`) };
  const sections = providerNames.map((name) => {
    const { title, steps, groupSteps, notes } = providerKind(name);
    const lines = [...steps, ...groupSteps.map((step) => `Groups: ${step}`), ...notes];
    return `### ${title}\n\n${lines.map((line) => `* ${fill(line, client)}`).join('\n')}`;
  });
  return sections.join('\n\n');
}
