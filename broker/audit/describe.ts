import { isObject } from '../../shared/json.ts';
import { asText, clean } from '../../shared/text.ts';
import { denialWords } from '../policy/denial.ts';

/** What a line says, as it was read back: anybody may have written it. */
export type Said = Readonly<Record<string, unknown>>;

/** A member that is text; empty if there is none. */
export function textOf(said: Said, name: string, max = 200): string {
  const value = Object.hasOwn(said, name) ? said[name] : undefined;
  return typeof value === 'string' ? clean(value, max) : '';
}

/** A claim as people read it: text as it is, else JSON. */
export function claimText(value: unknown): string {
  if (typeof value === 'string') return value;
  try {
    return asText(JSON.stringify(value));
  } catch {
    return '(nested too deeply)';
  }
}

/** The issuer and the subject of a token that was verified. */
export function whoOf(said: Said): string {
  return [textOf(said, 'issuer', 80), textOf(said, 'subject')].filter((part) => part !== '').join(' ');
}

/** Why it came out so, or what is worth knowing of it; empty if there is nothing. */
export function whyOf(said: Said): string {
  const { outcome, retry, asker, lost, failed } = said;
  const parts: string[] = [];
  const reason = reasonOf(said);
  if (reason !== '') parts.push(reason);
  for (const each of Array.isArray(failed) ? failed.slice(0, 5) : []) {
    if (isObject(each)) parts.push(`${textOf(each, 'claim', 60)} is ${textOf(each, 'seen', 80)}`);
  }
  if (outcome !== 'allowed') parts.push(textOf(said, 'detail'));
  if (retry === true) parts.push('the same request again');
  if (isObject(asker)) parts.push(`asked by ${whoOf(asker)}`);
  if (typeof lost === 'number') parts.push(`${lost} outcomes were not recorded`);
  switch (said['event']) {
    case 'started':
      parts.push(`version ${textOf(said, 'version', 40)} at ${textOf(said, 'host', 80)}`);
      break;
    case 'config':
      parts.push(`policy ${textOf(said, 'policy').slice(0, 12)}`);
      break;
    case 'revoke':
    case 'withdrawn':
      if (textOf(said, 'lease') !== '') parts.push(`lease ${textOf(said, 'lease', 80)}`);
      break;
    default:
      break;
  }
  return parts.filter((part) => part !== '').join('; ');
}

/** What to give to `audit used` and `revoke`; empty if the line tells of no token. */
export function tokenNoteOf(said: Said): string {
  if (said['event'] !== 'exchange' || textOf(said, 'jti') === '') return '';
  const lease = textOf(said, 'lease', 80);
  return lease === '' ? `JTI=${textOf(said, 'jti', 128)}` : `lease ${lease}`;
}

/** The reason of a decision says more than the code that stands for each of them. */
function reasonOf(said: Said): string {
  const reason = textOf(said, 'reason', 80) || textOf(said, 'code', 80);
  return (reasons[reason] ?? reason).replaceAll('_', ' ');
}

const reasons: Readonly<Record<string, string>> = {
  ...denialWords,
  grant_dropped: 'its grant went out of the configuration',
};
