import { type ApiServerWants, oidcFlags } from '../../cli/setup/authentication-config.ts';
import { distribution } from '../../cli/setup/distributions.ts';
import { type DistributionName, distributionNames } from '../../cli/setup/flags.ts';
import { type Part, table } from './reference.ts';

const page = (name: DistributionName) => (name === 'other' ? 'README' : name);

/** What `kleis setup` prints for each kind of cluster, each on its page. */
export const clusterParts: readonly Part[] = [
  { file: 'docs/clusters/README.md', name: 'clusters', make: overview },
  ...distributionNames.flatMap((name): Part[] => [
    { file: `docs/clusters/${page(name)}.md`, name: 'setup', make: () => command(name) },
    { file: `docs/clusters/${page(name)}.md`, name: 'steps', make: () => steps(name) },
  ]),
  { file: 'docs/clusters/README.md', name: 'flags', make: flags },
];

const issuer = 'https://login.example.com';
const prefixOf = (name: DistributionName) => {
  const { prefix = 'oidc:' } = distribution(name);
  return prefix;
};

function overview(): string {
  const rows = distributionNames
    .filter((name) => name !== 'other')
    .map((name) => {
      const { title, throughBroker = false, plainOnly = false } = distribution(name);
      const { files } = recipe(name);
      return [
        `[${title}](${page(name)}.md)`,
        throughBroker ? 'no: through the broker' : 'yes',
        throughBroker ? '' : plainOnly ? 'at the top of the token alone' : 'also within others',
        throughBroker ? '' : `\`${prefixOf(name)}\``,
        Object.keys(files)
          .map((file) => `\`${file}\``)
          .join(', '),
      ];
    });
  return table(
    ['cluster', 'takes your provider', 'claims that it takes', 'prefix', 'files that `kleis setup` makes'],
    rows,
  );
}

function wantsOf(name: DistributionName): ApiServerWants {
  const prefix = prefixOf(name);
  return {
    issuer,
    audience: 'kleis',
    certificateAuthority: undefined,
    username: { path: ['sub'], prefix },
    groups: { path: ['groups'], prefix },
    groupsAreText: false,
    algorithms: ['RS256'],
  };
}

function recipe(name: DistributionName) {
  const scopes = ['openid', 'email', 'groups', 'offline_access'];
  return distribution(name).recipe({ wants: wantsOf(name), version: 'v1', signIn: { clientId: 'kleis', scopes } });
}

function command(name: DistributionName): string {
  const { throughBroker = false } = distribution(name);
  const bind = throughBroker ? '' : ' --bind developers=view';
  const line = `kleis setup --issuer-url ${issuer} --distribution ${name}${bind} --output-dir prod-access`;
  return `\`\`\`sh\n${line}\n\`\`\``;
}

function steps(name: DistributionName): string {
  const { files, steps: all } = recipe(name);
  // What is for no cluster in particular stands in docs/api-server.md.
  const parts = Object.entries(name === 'other' ? {} : files).map(([file, content]) => {
    const language = file.endsWith('.json') ? 'json' : 'yaml';
    return `\`${file}\`:\n\n\`\`\`${language}\n${content.trimEnd()}\n\`\`\``;
  });
  const said = all.map(({ text: printed, lines }) => {
    const text = printed.replaceAll(/docs\/([\w-]+)\.md/g, '[$1.md](../$1.md)');
    return lines === undefined ? text : `${text}\n\n\`\`\`sh\n${lines.join('\n')}\n\`\`\``;
  });
  return [...parts, ...said].join('\n\n');
}

function flags(): string {
  const found = oidcFlags(wantsOf('other'), '/PATH/oidc-ca.crt');
  if ('why' in found) throw new Error(found.why);
  return `\`\`\`sh\n${found.flags.join('\n')}\n\`\`\``;
}
