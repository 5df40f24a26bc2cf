import { KleisError } from '../../shared/errors.ts';
import { isObject } from '../../shared/json.ts';
import { readTextFile } from '../../shared/read-file.ts';
import { asText, clean } from '../../shared/text.ts';

/** Flags of kube-apiserver, under its own names. */
export interface OidcFlags {
  readonly oidcIssuerUrl?: string;
  readonly oidcClientId?: string;
  readonly oidcUsernameClaim?: string;
  readonly oidcGroupsClaim?: string;
  readonly oidcRequiredClaim?: readonly string[];
  readonly oidcSigningAlgs?: string;
}

/** What an API server wants of the tokens of one issuer. */
export interface ExpectedIssuer {
  readonly issuer: string;
  /** One of them is enough. */
  readonly audiences: readonly string[];
  readonly algorithms: readonly string[];
  readonly username: Mapped | undefined;
  readonly groups: Mapped | undefined;
  /** Claims with the value that each must have. */
  readonly required: readonly { readonly claim: string; readonly value: string }[];
  /** Conditions in CEL, which are not evaluated here. */
  readonly expressions: readonly string[];
}

/** Where a name comes from: a claim, or the claims that an expression reads. */
export type Mapped =
  | { readonly kind: 'claim'; readonly claim: string }
  | { readonly kind: 'expression'; readonly text: string };

/** All that a structured configuration takes; the flag takes RS256 unless it is told otherwise. */
const everyAlgorithm = ['RS', 'ES', 'PS'].flatMap((family) => ['256', '384', '512'].map((size) => family + size));
const maxIssuers = 64;

/**
 * What the API server expects, by its AuthenticationConfiguration (v1, v1beta1, v1alpha1) or its `--oidc-…` flags;
 * undefined where nobody says. Throws `usage`, `config_invalid`.
 */
export async function readExpected(file: string | undefined, flags: OidcFlags): Promise<ExpectedIssuer[] | undefined> {
  const byFlags = Object.entries(flags).some(([name, value]) => name.startsWith('oidc') && value !== undefined);
  if (file !== undefined && byFlags) {
    throw new KleisError('usage', 'An API server has either an authentication configuration or --oidc-… flags.', {
      hint: 'Give --authentication-config or the flags.',
    });
  }
  if (file !== undefined) return readConfiguration(file);
  if (!byFlags) return undefined;
  const { oidcIssuerUrl: issuer, oidcClientId: audience, oidcGroupsClaim: groups } = flags;
  if (issuer === undefined || audience === undefined) {
    throw new KleisError('usage', 'The API server has --oidc-issuer-url and --oidc-client-id together or not at all.', {
      hint: 'Give both as the API server has them.',
    });
  }
  return [
    {
      issuer,
      audiences: [audience],
      algorithms: (flags.oidcSigningAlgs ?? 'RS256').split(',').map((each) => each.trim()),
      username: { kind: 'claim', claim: flags.oidcUsernameClaim ?? 'sub' },
      groups: groups === undefined ? undefined : { kind: 'claim', claim: groups },
      required: (flags.oidcRequiredClaim ?? []).map(readRequired),
      expressions: [],
    },
  ];
}

function readRequired(pair: string): { claim: string; value: string } {
  const [, claim, value] = /^([^=]+)=(.*)$/s.exec(pair) ?? [];
  if (claim !== undefined && value !== undefined) return { claim, value };
  throw new KleisError('usage', `--oidc-required-claim ${clean(pair)} is not CLAIM=VALUE.`);
}

async function readConfiguration(file: string): Promise<ExpectedIssuer[]> {
  const name = clean(file, 400);
  const text = await readTextFile(file);
  const { parse } = await import('yaml');
  let value: unknown;
  try {
    value = parse(text);
  } catch (cause) {
    throw new KleisError('config_invalid', `${name} is not YAML.`, { cause });
  }
  if (!isObject(value) || value['kind'] !== 'AuthenticationConfiguration') {
    throw new KleisError('config_invalid', `${name} is no AuthenticationConfiguration (apiserver.config.k8s.io).`, {
      hint: 'Give the file that kube-apiserver has as --authentication-config.',
    });
  }
  const list: unknown = value['jwt'] ?? [];
  if (!Array.isArray(list) || list.length > maxIssuers || !list.every(isObject)) {
    throw new KleisError('config_invalid', `jwt of ${name} is not a list of at most ${maxIssuers} issuers.`);
  }
  return list.map((item) => {
    const issuer = isObject(item['issuer']) ? item['issuer'] : {};
    const mappings = isObject(item['claimMappings']) ? item['claimMappings'] : {};
    const rules = objects(item['claimValidationRules']);
    const users = objects(item['userValidationRules']);
    return {
      issuer: typeof issuer['url'] === 'string' ? issuer['url'] : '',
      audiences: Array.isArray(issuer['audiences']) ? issuer['audiences'].map(asText) : [],
      algorithms: everyAlgorithm,
      username: mapped(mappings['username']),
      groups: mapped(mappings['groups']),
      required: rules.flatMap(({ claim, requiredValue = '' }) =>
        typeof claim === 'string' && claim !== '' ? [{ claim, value: asText(requiredValue) }] : [],
      ),
      expressions: [...rules, ...users].flatMap(({ expression }) =>
        typeof expression === 'string' && expression !== '' ? [expression] : [],
      ),
    };
  });
}

function mapped(value: unknown): Mapped | undefined {
  if (!isObject(value)) return undefined;
  const { claim, expression } = value;
  if (typeof claim === 'string' && claim !== '') return { kind: 'claim', claim };
  return typeof expression === 'string' && expression !== '' ? { kind: 'expression', text: expression } : undefined;
}

function objects(value: unknown): Record<string, unknown>[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}
