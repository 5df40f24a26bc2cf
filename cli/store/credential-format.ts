import { createHash } from 'node:crypto';

// The texts that cli/credential.sh makes of a call and the assignments that it reads: both must make the same.

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
  const job = joinLines(jobVariables.map((name) => env[name] ?? ''));
  // kubectl says `interactive` by whether there is a terminal; the answer is the same. It is the last thing kubectl says.
  const execInfo = /^([^]*)"interactive":(?:true|false)\}\}\n?$/.exec(env['KUBERNETES_EXEC_INFO'] ?? '')?.[1];
  if (all === undefined || job === undefined || execInfo === undefined || execInfo.includes('\uFFFD')) return undefined;
  const lengths = `${Buffer.byteLength(all)}-${Buffer.byteLength(execInfo)}`;
  const hash = createHash('sha256').update([all, execInfo, job].join('\0')).digest('hex').slice(0, 32);
  return { name: `${lengths}-${hash}`, lengths, arguments: all, execInfo, job };
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
