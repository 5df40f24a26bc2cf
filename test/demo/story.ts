import { setTimeout as sleep } from 'node:timers/promises';
import { createClient, type Client } from './client.ts';
import { DemoFailure, type CommandOptions, type Outcome } from './commands.ts';
import type { Screen } from './screen.ts';
import type { Stage } from './stage.ts';
import { timeCachedCall } from './timing.ts';

export interface Telling {
  readonly stage: Stage;
  readonly screen: Screen;
  readonly realBrowser: boolean;
  /** How many browser windows Kleis has opened. */
  readonly windows: () => number;
  readonly interrupted: AbortSignal;
}

interface Scene extends Telling {
  readonly client: Client;
  /** `oidc:NAME@example.com`, once it is known. */
  user: string;
  /** Seconds that a sign-in takes on this machine, once it is known. */
  signInTime: number;
  readonly kleis: (args: readonly string[], options?: CommandOptions) => Promise<Outcome>;
}

type Step = (scene: Scene) => Promise<void>;

// Short enough to be watched to its end, long enough to be used once: at least this, and as much more as the machine needs.
const shortestLifetime = 6;
const manyClients = 20;
const readingTime = 1000;

/** Everything that the demo claims is looked at; what has not happened is a DemoFailure. */
export async function tellStory(telling: Telling): Promise<void> {
  const { stage, screen } = telling;
  // A person needs longer than a script.
  const patience = telling.realBrowser ? 330_000 : 30_000;
  const scene: Scene = {
    ...telling,
    client: createClient(stage, screen, patience),
    user: '',
    signInTime: 0,
    async kleis(args, options = {}) {
      screen.command(['kleis', ...args]);
      const outcome = await stage.commands.run(['kleis', ...args], {
        onOutput: screen.output,
        limit: patience,
        ...options,
      });
      check(outcome.code === 0, `kleis ${args[0]} ended with exit code ${outcome.code}`);
      return outcome;
    },
  };
  for (const step of steps) {
    // oxlint-disable no-await-in-loop -- a story has an order
    await step(scene);
    // Somebody is reading.
    if (screen.isTerminal) await sleep(readingTime, undefined, { signal: telling.interrupted });
    // oxlint-enable no-await-in-loop
  }
}

const addEntry: Step = async ({ stage, screen, kleis }) => {
  screen.step('A kubeconfig entry that holds no secret');
  await kleis(addArguments(stage, 'demo', stage.cluster.server, 'cluster-ca.crt'));
  const users = '/^users:/,/provideClusterInfo/p';
  screen.command(`sed -n ${users} ~/.kube/config`);
  const { stdout } = await stage.commands.run(['sed', '-n', users, '.kube/config'], {
    onOutput: screen.output,
  });
  check(stdout.includes('kleis-credential'), 'the kubeconfig does not name kleis-credential');
  screen.meaning('It says where to sign in, and that is all. You can hand it to a colleague.');
};

const signIn: Step = async (scene) => {
  const { stage, screen, client, windows, realBrowser } = scene;
  screen.step('The first command signs you in');
  const began = performance.now();
  const { stdout } = await client.namespaces();
  // A person reads and types meanwhile, which says nothing about the machine.
  if (!realBrowser) scene.signInTime = (performance.now() - began) / 1000;
  check(stdout.includes('default'), 'the API server did not list its namespaces');
  check(windows() === 1, `${windows()} browser windows were opened instead of one`);
  const how = realBrowser ? 'You' : 'Alice (a script, here)';
  screen.meaning(
    `${how} signed in at the provider: authorization code with PKCE, and back over a loopback address. ` +
      `${stage.kubectl ? 'kubectl' : 'The demo'} waited for that, once.`,
  );
};

const whoami: Step = async (scene) => {
  const { stage, screen, client, kleis, windows } = scene;
  screen.step('Who the cluster sees, and what is kept');
  const before = requests(stage, 'token');
  scene.user = await client.whoami();
  check(/^oidc:.+@example\.com$/.test(scene.user), `the API server sees ${scene.user || 'nobody'}`);
  const { stdout } = await kleis(['status']);
  check(stdout.includes(new URL(stage.provider.issuer).host), '`kleis status` does not show the session');
  check(!/eyJ/.test(stdout), '`kleis status` printed a token');
  check(windows() === 1 && requests(stage, 'token') === before, 'the second command did not use the cache');
  screen.meaning(
    'The second command asked nobody: its credential came from the cache. The session, which can renew it, is in the ' +
      'keyring or, as here, in a file that only you can read.',
  );
};

const cached: Step = async ({ stage, screen }) => {
  screen.step('What the cache costs');
  screen.passing('measuring …');
  const { rounds, cached: ours, cat, node } = await timeCachedCall(stage);
  screen.bars([ours, cat, node]);
  screen.meaning(
    `Medians of ${rounds}, whole processes, on this machine, now: ${(ours.value / cat.value).toFixed(2)} times ` +
      "sh + cat. kleis-credential is a shell script that answers with the shell's own built-ins; no run of it started Node.",
  );
};

const secondCluster: Step = async ({ stage, screen, client, kleis, windows }) => {
  screen.step('A second cluster: no new sign-in, but you are told');
  await kleis(addArguments(stage, 'second', stage.second.server, 'second-ca.crt'));
  const { stdout } = await client.namespaces('second');
  check(stdout.includes('default'), 'the second API server did not list its namespaces');
  check(windows() === 1, 'the second cluster opened a browser');
  const { stdout: sessions } = await stage.commands.run(['kleis', 'status', '-o', 'json']);
  check(sessions.includes(stage.second.server), '`kleis status` does not know the second cluster');
  screen.meaning(
    'One session, but a credential of its own for each cluster. A kubeconfig from elsewhere cannot use your session ' +
      'without this line; `confirmNewClusters: true` makes it a question.',
  );
};

const deviceCode: Step = async ({ stage, screen, kleis, user, signInTime }) => {
  screen.step('Where no browser opens: a code for any other device');
  stage.provider.lifetimes.idToken = Math.max(shortestLifetime, Math.ceil(4 * signInTime));
  const [, login = 'alice'] = /^oidc:(.+)@/.exec(user) ?? [];
  const ended = new AbortController();
  let approval = 'nobody entered the code';
  const approve = async () => {
    const code = await stage.userCode();
    // The QR code is to be seen before it is gone.
    if (screen.isTerminal) await sleep(1500, undefined, { signal: ended.signal });
    await stage.provider.browser({ login }).visit(`${stage.provider.issuer}/device?user_code=${code}`);
    approval = `on a phone, ${login} entered ${code} and agreed`;
  };
  const approved = approve().catch((error: unknown) => {
    if (!ended.signal.aborted) throw error;
  });
  try {
    await Promise.race([
      kleis(['login', '--context', 'demo', '--login', 'device'], { onTerminal: screen.isTerminal }),
      // It has nothing to give but its failure.
      approved.then(() => new Promise<never>(() => undefined)),
    ]);
  } finally {
    ended.abort();
  }
  screen.aside(approval);
  screen.meaning(
    'The device authorization grant (RFC 8628). `--login auto`, the default, chooses it over SSH and in containers.',
  );
};

const expiry: Step = async ({ stage, screen, client, windows, interrupted }) => {
  screen.step(`A token ends, and ${manyClients} clients notice at once`);
  const { stdout } = await stage.commands.run(['kleis', 'status', '-o', 'json']);
  const { sessions } = JSON.parse(stdout) as { sessions: { idTokenExpiresAt: string }[] };
  const end = Date.parse(sessions[0]?.idTokenExpiresAt ?? '');
  check(!Number.isNaN(end), '`kleis status -o json` does not say when the token ends');
  screen.aside(`since the last step this provider's tokens live ${stage.provider.lifetimes.idToken} seconds`);
  while (Date.now() <= end) {
    screen.passing(`the token ends in ${Math.ceil((end - Date.now()) / 1000)} s`);
    // oxlint-disable-next-line no-await-in-loop -- a countdown
    await sleep(Math.min(250, end - Date.now() + 1), undefined, { signal: interrupted });
  }
  stage.provider.lifetimes.idToken = 3600;
  const before = requests(stage, 'token');
  const began = performance.now();
  const succeeded = await client.manyAtOnce(manyClients);
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  const refreshes = requests(stage, 'token') - before;
  check(succeeded === manyClients, `only ${succeeded} of ${manyClients} clients succeeded`);
  check(refreshes === 1, `the provider was asked for a token ${refreshes} times`);
  check(windows() === 1, 'a browser was opened');
  screen.output(`${succeeded} of ${manyClients} succeeded after ${seconds} s\n`);
  screen.aside('the provider saw one request, with the refresh token');
  screen.meaning('One process renews the session, the others wait for it. Nobody signs in again.');
};

const logout: Step = async ({ stage, screen, kleis }) => {
  screen.step('Signing out, here and at the provider');
  await kleis(['logout']);
  const revoked = requests(stage, 'revocation');
  check(revoked > 0, 'the provider was not asked to revoke anything');
  screen.aside(`the provider revoked ${revoked} tokens (RFC 7009)`);
  const { stdout } = await kleis(['status']);
  const rows = stdout.trimEnd().split('\n').slice(1);
  check(rows.length > 0 && rows.every((row) => row.includes('sign-in needed')), '`kleis status` still shows a session');
  screen.meaning('Session and credentials are gone from this machine, and their tokens are worth nothing elsewhere.');
};

const steps: readonly Step[] = [addEntry, signIn, whoami, cached, secondCluster, deviceCode, expiry, logout];

export const numberOfSteps = steps.length;

function addArguments(stage: Stage, name: string, server: string, ca: string): string[] {
  const { provider, providerCaFile } = stage;
  const add = ['kubeconfig', 'add', name, '--server', server, '--cluster-certificate-authority', ca];
  add.push('--issuer-url', provider.issuer);
  if (provider.url.protocol === 'https:') add.push('--certificate-authority', providerCaFile);
  return [...add, ...['email', 'groups', 'offline_access'].flatMap((scope) => ['--scope', scope])];
}

const requests = ({ provider }: Stage, route: string) => provider.count(route);

function check(claim: boolean, otherwise: string): asserts claim {
  if (!claim) throw new DemoFailure(otherwise);
}
