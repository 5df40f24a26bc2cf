import { KleisError } from '../../shared/errors.ts';
import { isObject } from '../../shared/json.ts';
import { clean, shown } from '../../shared/text.ts';
import type { SignInFlags } from './flags.ts';
import { type ConfigName, type ExtensionName, flagNames, isName, names, settingOf, type Values } from './table.ts';
import { Fault } from './values.ts';

/** What the person's config.yaml says; see person.ts. */
export type PersonChoices = { readonly [K in ConfigName]?: Values[K] };

/** What somebody says, checked one by one. */
export type Given = Partial<Values>;

/**
 * Flags, then the cluster's extension over them (it is the more specific), then the person's choices where neither says
 * anything. Throws `usage` (or what the setting says) for a flag, `kubeconfig_invalid` for the extension.
 */
export function gather(flags: SignInFlags, extension: unknown, person: PersonChoices): Given {
  return { ...person, ...readFlags(flags), ...readExtension(extension) };
}

/** Throws `usage`, naming the flag. */
export function readFlags(flags: SignInFlags): Given {
  const given: Record<string, unknown> = {};
  for (const name of flagNames) {
    const typed = flags[name];
    if (typed === undefined) continue;
    const value = settingOf(name).parse(typed);
    if (value instanceof Fault) {
      const what = (Array.isArray(typed) ? typed : [typed]).map((item) => shown(item)).join(', ');
      throw new KleisError(value.code, `${longOf(name)} ${what} cannot be used: it ${value.why}.`, {
        ...(value.hint !== undefined && { hint: value.hint }),
      });
    }
    given[name] = value;
  }
  return given;
}

const extensionNames = names.filter((name): name is ExtensionName => settingOf(name).extension === true);

function readExtension(extension: unknown): Partial<Pick<Values, ExtensionName>> {
  if (extension === undefined || extension === null) return {};
  const where = 'The cluster extension client.authentication.k8s.io/exec';
  if (!isObject(extension)) throw new KleisError('kubeconfig_invalid', `${where} is not a mapping.`);
  const given: Record<string, unknown> = {};
  for (const [name, content] of Object.entries(extension)) {
    if (!isName(name) || settingOf(name).extension !== true) {
      const message = `${where} has ${clean(name, 60)}, which Kleis takes from flags alone.`;
      throw new KleisError('kubeconfig_invalid', message, { hint: `It may hold ${extensionNames.join(', ')}.` });
    }
    const value = settingOf(name).parse(content);
    if (value instanceof Fault) throw new KleisError('kubeconfig_invalid', `${where}: ${name} ${value.why}.`);
    given[name] = value;
  }
  return given;
}

/** `--issuer-url` */
export function longOf(name: (typeof names)[number]): string {
  return settingOf(name).flag?.split(' ')[0] ?? name;
}

/** The one authority of a server: by file or by text. Throws `usage` where both are given. */
export function authorityOf(
  given: Given,
  name: 'certificateAuthority' | 'brokerCertificateAuthority',
): string | undefined {
  const data = given[`${name}Data`];
  if (data !== undefined && given[name] !== undefined) {
    throw new KleisError('usage', `${longOf(name)} and ${longOf(`${name}Data`)} say the same: give one of them.`);
  }
  return data ?? given[name];
}
