// @ts-check
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { install } from './install.mjs';
import {
  addPath,
  exportVariable,
  Failure,
  fail,
  fromRunner,
  input,
  mask,
  run,
  saveState,
  setOutput,
  show,
} from './runner.mjs';

/** Inputs that are flags of `kleis kubeconfig add`, by the same names. */
const flags = [
  'grant',
  'cluster',
  'namespace',
  'ttl',
  'audience',
  'certificate-authority',
  'broker-certificate-authority',
  'server',
  'cluster-certificate-authority',
  'tls-server-name',
];

async function main() {
  requireIdentity();
  const broker = input('broker');
  if (broker === '') throw new Failure('No broker is named.', 'Give its URL: with: { broker: https://… }.');

  const programs = await install({
    version: input('version'),
    download: input('download'),
    sha256: input('sha256'),
  });
  addPath(programs);
  const kleis = join(programs, process.platform === 'win32' ? 'kleis.exe' : 'kleis');

  // The runner empties this folder when a job begins and when it ends. Several steps of one job share it.
  const folder = join(fromRunner('RUNNER_TEMP'), 'kleis');
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const [kubeconfig, cache] = [join(folder, 'kubeconfig'), join(folder, 'cache')];
  const env = { ...process.env, KUBECONFIG: kubeconfig, KLEIS_CACHE_DIR: cache };

  /** @param {readonly string[]} args */
  async function call(args) {
    const result = await run(kleis, args, { env });
    if (result.code === 0) return result;
    show(result.stderr);
    throw new Failure(`kleis ${args.slice(0, 2).join(' ')} ends with exit code ${result.code}.`, lastSentence(result));
  }

  const added = await call([...contextArguments(broker), `--kubeconfig=${kubeconfig}`]);
  show(added.stderr);
  const listed = await call(['kubeconfig', 'list', `--kubeconfig=${kubeconfig}`, '--output=json']);
  const context = currentOf(listed.stdout);

  // Before anything can be got with it: whatever becomes of the job, `post` knows what to take back.
  for (const [key, value] of Object.entries({ kleis, kubeconfig, cache, context })) saveState(key, value);
  exportVariable('KUBECONFIG', kubeconfig);
  exportVariable('KLEIS_CACHE_DIR', cache);
  setOutput('kubeconfig', kubeconfig);
  setOutput('context', context);
  if (input('token') === 'true') {
    const { stdout } = await call(['token', `--context=${context}`, `--kubeconfig=${kubeconfig}`]);
    const token = stdout.trim();
    mask(token);
    setOutput('token', token);
  }
}

/** The most frequent mistake, which is told before anything is downloaded. */
function requireIdentity() {
  fromRunner('GITHUB_ACTIONS');
  if ((process.env['ACTIONS_ID_TOKEN_REQUEST_URL'] ?? '') !== '') return;
  const fork = (process.env['GITHUB_EVENT_NAME'] ?? '').startsWith('pull_request');
  throw new Failure(
    'This job may not have an ID token of GitHub, and without one the broker gives it nothing.',
    'Give the job, or the workflow, "permissions: id-token: write", beside "contents: read" for the checkout; a reusable ' +
      `workflow needs it at its caller as well.${fork ? ' A pull request from a fork never gets one.' : ''}`,
  );
}

/** @param {string} broker @returns {string[]} */
function contextArguments(broker) {
  const given = flags.filter((name) => input(name) !== '').map((name) => `--${name}=${input(name)}`);
  const name = input('name');
  const fixed = input('server') === '' ? [`--from=${broker}`] : [`--broker=${broker}`, '--identity=github'];
  if (name.startsWith('-')) throw new Failure(`"${name}" cannot be the name of a context.`, 'Give another name.');
  return ['kubeconfig', 'add', ...(name === '' ? [] : [name]), ...fixed, ...given, '--current', '--yes'];
}

/** @param {string} listed @returns {string} */
function currentOf(listed) {
  const { currentContext } = /** @type {{ currentContext: string | null }} */ (JSON.parse(listed));
  if (currentContext === null) throw new Error('The kubeconfig has no current context.');
  return currentContext;
}

/** What Kleis says in the end is what to do next. @param {{ readonly stderr: string }} result */
const lastSentence = ({ stderr }) => stderr.trim().replaceAll(/\s*\n\s*/g, ' ');

try {
  await main();
} catch (error) {
  fail(error instanceof Failure ? error.message : `Something went wrong within the action: ${String(error)}`);
  process.exitCode = 1;
}
