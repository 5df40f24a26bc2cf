import { createHash } from 'node:crypto';

// The texts that cli/credentials/kleis-credential.sh makes of a call and the assignments that it reads: both must make the same.

/** What says which job this is, and where sessions are kept; the launcher has the same names in the same order. */
const jobVariables = [
  'GITHUB_RUN_ID',
  'GITHUB_RUN_ATTEMPT',
  'GITHUB_JOB',
  'ACTIONS_ID_TOKEN_REQUEST_URL',
  'CI_JOB_ID',
  'CIRCLE_WORKFLOW_JOB_ID',
  'BUILDKITE_JOB_ID',
  'KLEIS_STATE_DIR',
  'XDG_STATE_HOME',
  'HOME',
] as const;

/** What a credential is kept under. */
export interface CredentialKey {
  /** Of the files: the lengths of arguments and exec info in bytes, and a hash. */
  readonly name: string;
  /** As far as the launcher can make the name by itself: the lengths. */
  readonly lengths: string;
  readonly arguments: string;
  readonly execInfo: string;
  readonly job: string;
  /** The launcher does not know of it: only Node can tell whose it is. */
  readonly own?: true;
}

/**
 * The key of a call: all arguments (without the launcher's own flag), what kubectl says about the cluster, the job.
 * Undefined for what cannot be told apart with certainty, which is then not kept.
 */
export function credentialKey(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): CredentialKey | undefined {
  const all = joinLines(args);
  const job = jobOf(env);
  const execInfo = execInfoOf(env['KUBERNETES_EXEC_INFO'] ?? '');
  if (all === undefined || job === undefined || execInfo === undefined) return undefined;
  const lengths = `${Buffer.byteLength(all)}-${Buffer.byteLength(execInfo)}`;
  const hash = createHash('sha256').update([all, execInfo, job].join('\0')).digest('hex').slice(0, 32);
  return { name: `${lengths}-${hash}`, lengths, arguments: all, execInfo, job };
}

/**
 * What a client says about the cluster, as far as the answer depends on it. kubectl says `interactive` at the end, by
 * whether there is a terminal; the answer is the same. Of every other spelling (another order, blanks, nothing at all)
 * each byte counts, behind a mark that kubectl's never begins with.
 */
function execInfoOf(text: string): string | undefined {
  // Some shells change these; of two texts with U+FFFD nobody can tell whether they are the same.
  if (/[^\P{Cc}\n\r\t]|\uFFFD/u.test(text)) return undefined;
  const [, ofKubectl] = /^([^]*)"interactive":(?:true|false)\}\}\n?$/.exec(text) ?? [];
  return ofKubectl ?? `=${text.replace(/\n$/, '')}`;
}

/** As `key`, but only for that subject: a hash of its token, or whatever else only Node can find out. */
export function subjectKey(key: CredentialKey, subject: string): CredentialKey {
  return ownKey(key, [key.arguments, key.execInfo, key.job, subject], `${key.job}\n${subject}`);
}

/** The key of what a script asks for, by all that makes its answer another; and of the job. */
export function scriptKey(
  request: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): CredentialKey | undefined {
  const all = joinLines(['kleis token', ...request]);
  const job = jobOf(env);
  if (all === undefined || job === undefined) return undefined;
  const lengths = `${Buffer.byteLength(all)}-0`;
  return ownKey({ name: '', lengths, arguments: all, execInfo: '', job }, [all, job], job);
}

// The launcher looks for names that begin with a length, so that it never meets one of these.
function ownKey(key: CredentialKey, parts: readonly string[], job: string): CredentialKey {
  const hash = createHash('sha256').update(parts.join('\0')).digest('hex').slice(0, 32);
  return { ...key, name: `own-${hash}`, job, own: true };
}

/** What tells this job, and this place for sessions, from every other. */
export function jobOf(env: Readonly<Record<string, string | undefined>>): string | undefined {
  return joinLines(jobVariables.map((name) => env[name] ?? ''));
}

// U+FFFD stands for bytes that are not UTF-8: two that differ would look the same here.
function joinLines(values: readonly string[]): string | undefined {
  if (values.some((value) => /[\p{Cc}\uFFFD]/u.test(value))) return undefined;
  return [String(values.length), ...values].join('\n');
}

/** Assignments for a POSIX shell. */
export function formatAssignments(values: Readonly<Record<string, string>>): string {
  return Object.entries(values)
    .map(([name, value]) => `${name}='${value.replaceAll("'", String.raw`'\''`)}'\n`)
    .join('');
}

/** What `formatAssignments` made; nothing of a text that is not wholly such. */
export function parseAssignments(text: string): ReadonlyMap<string, string> {
  const values = new Map<string, string>();
  const assignment = /([A-Z])='((?:[^']|'\\'')*)'\n/y;
  while (assignment.lastIndex < text.length) {
    const [, name, value] = assignment.exec(text) ?? [];
    if (name === undefined || value === undefined) return new Map();
    values.set(name, value.replaceAll(String.raw`'\''`, "'"));
  }
  return values;
}
