import { sentencesOf } from '../../shared/findings.ts';
import { shellFlag, shellWord } from '../../shared/shell.ts';
import { clean } from '../../shared/text.ts';
import type { Settings } from '../settings/sign-in.ts';
import { addressesToTry } from '../sign-in/listener.ts';
import type { Advice } from './advice.ts';
import { describeClaims } from './claims-table.ts';
import type { Recipe } from './distributions.ts';
import type { ProviderName } from './flags.ts';
import type { Part, Section } from './guide.ts';
import type { SeenToken } from './look.ts';
import { type MappedClaim, spellPath, valueAt } from './mapping.ts';
import { type ClientWanted, fill, providerKind, registrationSteps } from './registration.ts';

/** The client as it is registered: with the addresses that a browser comes back to. */
export function clientWanted(settings: Settings): ClientWanted {
  return {
    clientId: settings.clientId,
    // RFC 8252 section 7.3: a provider that takes any port of loopback has it registered without one.
    redirectUris: addressesToTry(settings).map(({ redirectUri, port }) => redirectUri(port).replace(/:0(?=\/|$)/, '')),
  };
}

export function registrationSection(provider: ProviderName, settings: Settings): Section {
  const client = clientWanted(settings);
  const { title, notes } = providerKind(provider);
  const isConfidential = (settings.clientSecretFile ?? settings.clientKeyFile) !== undefined;
  const parts: Part[] = [
    {
      rows: [
        ['Client ID', clean(client.clientId, 200)],
        ['Type', isConfidential ? 'confidential, with PKCE' : 'public (no secret), with PKCE'],
        ['Redirect URIs', `${client.redirectUris.join(', ')}, exactly so`],
        ['Grants', 'authorization code, refresh token; device code, if people work over SSH'],
        ['Scopes', clean(settings.scopes.join(' '), 300)],
      ],
    },
    ...registrationSteps(provider, client).map((text) => ({ text: `- ${text}` })),
    // Of the others they are about some, of which this need not be one.
    ...(provider === 'other' ? [] : notes.map((note) => ({ text: `- ${fill(note, client)}` }))),
  ];
  return { title: `At the provider: ${provider === 'other' ? clean(settings.issuerUrl) : title}`, parts };
}

export function tokenSection(token: SeenToken | undefined): Section {
  if (token === undefined) {
    return {
      title: 'What the token says',
      parts: [
        {
          text: 'Nobody has signed in: what follows comes from discovery and from flags alone. Without --no-sign-in it shows.',
        },
      ],
    };
  }
  return {
    title: `What the token of ${clean(token.name)} says`,
    parts: [{ rows: describeClaims(token.claims) }],
  };
}

export function mappingSection(
  {
    username,
    groups,
    advice,
  }: { readonly username: MappedClaim; readonly groups: MappedClaim | undefined; readonly advice: readonly Advice[] },
  token: SeenToken | undefined,
): Section {
  const rows: (readonly [string, string])[] = [
    ['Name of a person', describeMapped(username, token)],
    ['Groups', groups === undefined ? 'none' : describeMapped(groups, token)],
  ];
  const said = advice.map((each) => ({
    text: `${each.severity === 'warning' ? 'Warning: ' : ''}${spellAdvice(each)}`,
  }));
  return { title: 'Whom the cluster sees', parts: [{ rows }, ...said] };
}

export function spellAdvice(advice: Advice): string {
  return clean(sentencesOf(advice), 2000);
}

/** As the API server will call them. */
export function namesOf({ path, prefix }: MappedClaim, token: SeenToken | undefined): string[] {
  const value = token && valueAt(token.claims, path);
  return [value ?? []].flat().flatMap((each) => (typeof each === 'string' ? [`${prefix}${each}`] : []));
}

/** `oidc: and the claim sub, such as oidc:alice` */
function describeMapped(mapped: MappedClaim, token: SeenToken | undefined): string {
  const names = namesOf(mapped, token);
  const shown = names.slice(0, 5).map((name) => clean(name, 80));
  const more = names.length > 5 ? ` and ${names.length - 5} more` : '';
  const prefix = mapped.prefix === '' ? '' : `${clean(mapped.prefix)} and `;
  const claim = `${prefix}the claim ${spellPath(mapped.path)}`;
  return names.length === 0 ? claim : `${claim}: ${shown.join(', ')}${more}`;
}

/** What the files with authorities are called. */
export const caNames = { cluster: 'cluster-ca.crt', provider: 'oidc-ca.crt' } as const;

export interface Pieces {
  readonly recipe: Recipe;
  readonly title: string;
  readonly flags: { readonly flags: readonly string[] } | { readonly why: string } | undefined;
  /** PEM. */
  readonly authorities: { readonly cluster: string | undefined; readonly provider: string | undefined };
  readonly bindings: string | undefined;
  readonly command: readonly string[] | undefined;
  readonly kubeconfig: string | undefined;
}

/** @param placeOf where a file was written; undefined: it was not */
export function serverSection({ recipe, title, flags, authorities }: Pieces, placeOf: PlaceOf): Section {
  const parts: Part[] = [
    ...Object.entries(recipe.files).map(([name, content]) => filePart(name, content, placeOf)),
    ...recipe.steps.map(({ text, ...rest }) => ({ ...rest, text: `- ${text}` })),
  ];
  if (flags !== undefined && 'flags' in flags) {
    const where = authorities.provider === undefined ? '' : `, with ${caNames.provider} on its machine`;
    parts.push({
      text: `- A server that takes no file takes these flags, which mean the same${where}:`,
      lines: flags.flags,
    });
    if (authorities.provider === undefined) {
      parts.push({
        text: '- It trusts the provider by the authorities of its own machine. Where the provider has one of yours, run this again with --certificate-authority FILE.',
      });
    }
  }
  if (flags !== undefined && 'why' in flags) parts.push({ text: `- There are no --oidc-… flags for it. ${flags.why}` });
  return { title: title === 'the API server' ? `At ${title}` : `At the API server: ${title}`, parts };
}

type PlaceOf = (name: string) => string | undefined;

function filePart(name: string, content: string, placeOf: PlaceOf): Part {
  const place = placeOf(name);
  return { file: clean(place ?? name, 400), content: place === undefined ? content : undefined };
}

export function bindingsSection(
  { bindings }: Pieces,
  { username, groups }: { readonly username: MappedClaim; readonly groups: MappedClaim | undefined },
  { placeOf, platform }: { readonly placeOf: PlaceOf; readonly platform: NodeJS.Platform },
): Section {
  const title = 'What groups may do';
  if (bindings === undefined) {
    const who = groups === undefined ? `--user=${username.prefix}NAME` : `--group=${groups.prefix}GROUP`;
    const words = ['kubectl create clusterrolebinding developers --clusterrole=view', shellFlag(who, platform)];
    return {
      title,
      parts: [
        { text: 'Nobody may do anything yet. --bind writes the bindings, or with kubectl:', lines: [words.join(' ')] },
      ],
    };
  }
  const place = shellWord(placeOf('bindings.yaml') ?? 'bindings.yaml', platform);
  return {
    title,
    parts: [
      filePart('bindings.yaml', bindings, placeOf),
      { text: 'As an admin of the cluster:', lines: [`kubectl apply -f ${place}`] },
    ],
  };
}

export function developersSection({ command, kubeconfig }: Pieces, placeOf: PlaceOf): Section {
  const parts: Part[] = [];
  if (command !== undefined) {
    const files = [caNames.cluster, caNames.provider].filter((name) => command.some((line) => line.includes(name)));
    const given =
      files.length === 0
        ? ''
        : ` (${files.join(' and ')} ${files.length === 1 ? 'is a file' : 'are files'} that you give them)`;
    const open = command.some((line) => /API-SERVER|=FILE/.test(line)) ? ', with your values in place of capitals' : '';
    parts.push({ text: `Each runs this once${open}${given}:`, lines: command });
  }
  if (kubeconfig !== undefined) {
    parts.push(
      { text: `${command === undefined ? 'A' : 'Or give them a'} kubeconfig that works as it is (Linux, macOS):` },
      filePart('kubeconfig.yaml', kubeconfig, placeOf),
    );
  }
  parts.push({
    text: 'Then kubectl says whom the server sees; where it refuses, kleis says why:',
    lines: ['kubectl auth whoami', 'kleis doctor'],
  });
  return { title: 'For developers', parts };
}
