import { setTimeout as sleep } from 'node:timers/promises';
import { check, createTypist, describeCluster, describeKubectl, toSteps, type Act, type Typist } from '../act.ts';
import { setPersonStage, type PersonStage } from '../stages/person.ts';
import { timeCachedCall } from '../timing.ts';

interface Scene extends Typist {
  readonly stage: PersonStage;
  /** `oidc:NAME@…`, once it is known. */
  user: string;
  /** Seconds that a sign-in takes on this machine, once it is known. */
  signInTime: number;
}

type Play = (scene: Scene) => Promise<void>;

// Short enough to be watched to its end, long enough to be used once: at least this, and as much more as the machine needs.
const shortestLifetime = 6;
const manyClients = 20;

const addEntry: Play = async ({ stage, screen, run, kleis }) => {
  await kleis(addArguments(stage, 'demo', stage.cluster.server, 'cluster-ca.crt'));
  const { stdout } = await run('sed -n /^users:/,/provideClusterInfo/p .kube/config');
  check(stdout.includes('kleis-credential'), 'the kubeconfig does not name kleis-credential');
  screen.meaning('It says where to sign in, and that is all. You can hand it to a colleague.');
};

const signIn: Play = async (scene) => {
  const { house, screen, home, client } = scene;
  const { realBrowser } = house;
  const began = performance.now();
  const { stdout } = await client.namespaces();
  // A person reads and types meanwhile, which says nothing about the machine.
  if (!realBrowser) scene.signInTime = (performance.now() - began) / 1000;
  check(stdout.includes('default'), 'the API server did not list its namespaces');
  check(home.windows() === 1, `${home.windows()} browser windows were opened instead of one`);
  const how = realBrowser ? 'You' : 'Ann (a script, here)';
  screen.meaning(
    `${how} signed in at the provider: authorization code with PKCE, and back over a loopback address. ` +
      `Meanwhile ${client.name} waited, this once.`,
  );
};

const whoami: Play = async (scene) => {
  const { stage, screen, home, client, kleis } = scene;
  const before = requests(stage, 'token');
  scene.user = await client.whoami();
  check(/^oidc:.+@.+$/.test(scene.user), `the API server sees ${scene.user || 'nobody'}`);
  const { stdout } = await kleis(['status']);
  check(stdout.includes(new URL(stage.provider.issuer).host), '`kleis status` does not show the session');
  check(!/eyJ/.test(stdout), '`kleis status` printed a token');
  check(home.windows() === 1 && requests(stage, 'token') === before, 'the second command did not use the cache');
  screen.meaning(
    'The second command asked nobody: its credential came from the cache. The session, which can renew it, is in the ' +
      'keyring or, as here, in a file that only you can read.',
  );
};

const cached: Play = async ({ home, screen }) => {
  screen.passing('measuring …');
  const { rounds, cached: ours, cat, node } = await timeCachedCall(home);
  screen.bars([ours, cat, node]);
  screen.meaning(
    `Medians of ${rounds}, whole processes, on this machine, now: ${(ours.value / cat.value).toFixed(2)} times ` +
      "sh + cat. kleis-credential is a shell script that answers with the shell's own built-ins; no run of it started Node.",
  );
};

const secondCluster: Play = async ({ stage, screen, home, client, kleis }) => {
  await kleis(addArguments(stage, 'second', stage.second.server, 'second-ca.crt'));
  const { stdout } = await client.namespaces('second');
  check(stdout.includes('default'), 'the second API server did not list its namespaces');
  check(home.windows() === 1, 'the second cluster opened a browser');
  const { stdout: sessions } = await home.commands.run(['kleis', 'status', '-o', 'json']);
  check(sessions.includes(stage.second.server), '`kleis status` does not know the second cluster');
  screen.meaning(
    'One session, but a credential of its own for each cluster. A kubeconfig from elsewhere cannot use your session ' +
      'without this line; `confirmNewClusters: true` makes it a question.',
  );
};

const deviceCode: Play = async ({ stage, screen, kleis, user, signInTime }) => {
  stage.provider.lifetimes.idToken = Math.max(shortestLifetime, Math.ceil(4 * signInTime));
  const [, login = 'ann'] = /^oidc:(.+)@/.exec(user) ?? [];
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

const expiry: Play = async ({ house, stage, screen, home, client }) => {
  const { stdout } = await home.commands.run(['kleis', 'status', '-o', 'json']);
  const { sessions } = JSON.parse(stdout) as { sessions: { idTokenExpiresAt: string }[] };
  const end = Date.parse(sessions[0]?.idTokenExpiresAt ?? '');
  check(!Number.isNaN(end), '`kleis status -o json` does not say when the token ends');
  screen.aside(`since the last step this provider's tokens live ${stage.provider.lifetimes.idToken} seconds`);
  while (Date.now() <= end) {
    screen.passing(`the token ends in ${Math.ceil((end - Date.now()) / 1000)} s`);
    // oxlint-disable-next-line no-await-in-loop -- a countdown
    await sleep(Math.min(250, end - Date.now() + 1), undefined, { signal: house.interrupted });
  }
  stage.provider.lifetimes.idToken = 3600;
  const before = requests(stage, 'token');
  const began = performance.now();
  const succeeded = await client.manyAtOnce(manyClients);
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  const refreshes = requests(stage, 'token') - before;
  check(succeeded === manyClients, `only ${succeeded} of ${manyClients} clients succeeded`);
  check(refreshes === 1, `the provider was asked for a token ${refreshes} times`);
  check(home.windows() === 1, 'a browser was opened');
  screen.output(`${succeeded} of ${manyClients} succeeded after ${seconds} s\n`);
  screen.aside('the provider saw one request, with the refresh token');
  screen.meaning('One process renews the session, the others wait for it. Nobody signs in again.');
};

const logout: Play = async ({ stage, screen, kleis }) => {
  await kleis(['logout']);
  const revoked = requests(stage, 'revocation');
  check(revoked > 0, 'the provider was not asked to revoke anything');
  screen.aside(`the provider revoked ${revoked} tokens (RFC 7009)`);
  const { stdout } = await kleis(['status']);
  const rows = stdout.trimEnd().split('\n').slice(1);
  check(rows.length > 0 && rows.every((row) => row.includes('sign-in needed')), '`kleis status` still shows a session');
  screen.meaning('Session and credentials are gone from this machine, and their tokens are worth nothing elsewhere.');
};

export const person: Act = {
  title: 'a person signs in',
  starts: 'an identity provider and two API servers',
  async prepare({ house }) {
    const { screen, realBrowser } = house;
    const stage = await setPersonStage(house);
    const { provider, cluster, home } = stage;
    screen.fact('provider', `${provider.issuer} (oidc-provider, in this process)`);
    screen.fact('API server', `${cluster.server} (${describeCluster(cluster)})`);
    screen.fact('kubectl', describeKubectl(await house.kubectl()));
    screen.fact('home', `${home.folder} (yours is left alone)`);
    if (realBrowser) screen.meaning('Your browser will open. Sign in with any name and any password, and agree.');
    const scene: Scene = { ...(await createTypist(house, home)), stage, user: '', signInTime: 0 };
    return toSteps(scene, [
      ['A kubeconfig entry that holds no secret', addEntry],
      ['The first command signs you in', signIn, 'pictured'],
      ['Who the cluster sees, and what is kept', whoami],
      ['What the cache costs', cached],
      ['A second cluster: no new sign-in, but you are told', secondCluster],
      ['Where no browser opens: a code for any other device', deviceCode],
      [`A token ends, and ${manyClients} clients notice at once`, expiry],
      ['Signing out, here and at the provider', logout],
    ]);
  },
};

function addArguments(stage: PersonStage, name: string, server: string, ca: string): string[] {
  const add = ['kubeconfig', 'add', name, '--server', server, '--cluster-certificate-authority', ca];
  return [
    ...add,
    '--issuer-url',
    stage.provider.issuer,
    ...['email', 'groups', 'offline_access'].flatMap((scope) => ['--scope', scope]),
  ];
}

const requests = ({ provider }: PersonStage, route: string) => provider.count(route);
