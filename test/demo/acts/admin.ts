import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { check, createTypist, toSteps, type Act, type Telling, type Typist } from '../act.ts';
import { request } from '../api-server.ts';
import { openBrowser } from '../browser.ts';
import { readTokenEntry } from '../client-alone.ts';
import { setAdminStage, type AdminStage } from '../stages/admin.ts';

interface Scene {
  readonly telling: Telling;
  readonly stage: AdminStage;
  /** Who runs the broker. */
  readonly ada: Typist;
  /** Whoever found the artifact of a job. */
  readonly finder: Typist;
}

type Play = (scene: Scene) => Promise<void>;

/** Milliseconds that an API server remembers that a token was good. */
const remembered = 10_000;
/** And what a busy machine adds. */
const leeway = 2_000;

const listLeases: Play = async ({ stage, ada }) => {
  const { stdout } = await ada.kleis(['admin', 'leases', '--broker', stage.broker.url, '--yes']);
  check(stdout.includes(stage.lease.slice(0, 8)), '`kleis admin leases` does not show the lease of the job');
  check(ada.home.windows() === 1, 'Ada was not asked to sign in once');
  ada.screen.meaning(
    'Every token is a lease: of whom, by which grant, until when. Ada signs in like anybody else; that she is an ' +
      'admin is what her groups say.',
  );
};

const useLeaked: Play = async ({ stage, finder }) => {
  const { screen, client } = finder;
  screen.aside(`the job hotfix uploaded ${stage.leaked}, with its token in it; somebody found that and tries it`);
  const { code, stdout } = await client.configMaps(stage.leaked, 'web');
  check(code === 0, 'the token of the job does not work');
  check(!/eyJ/.test(stdout), 'a token was printed');
  screen.meaning('It is a token like any other: whoever has it may use it, for as long as it lives.');
};

const revokeLeaked: Play = async ({ stage, ada, finder, telling }) => {
  const { screen } = ada;
  const { interrupted } = telling.house;
  const revoke = ['admin', 'revoke', stage.lease.slice(0, 8), '--broker', stage.broker.url, '--yes'];
  const { stdout } = await ada.kleis(revoke);
  const began = performance.now();
  check(stdout.includes('dead'), '`kleis admin revoke` did not end the lease');
  const { token, ...server } = await readTokenEntry(finder.home, stage.leaked);
  const isTaken = async () => (await request(server, token, 'GET', '/api/v1/namespaces/web/configmaps')).status !== 401;
  const passed = () => performance.now() - began;
  // oxlint-disable no-await-in-loop -- a countdown
  while (await isTaken()) {
    check(passed() < remembered + leeway, `the API server still takes the token ${seconds(passed())} s later`);
    screen.passing(`the API server remembers the token for ${Math.ceil((remembered - passed()) / 1000)} s more`);
    await sleep(200, undefined, { signal: interrupted });
  }
  // oxlint-enable no-await-in-loop
  screen.aside(`${seconds(passed())} s later the API server takes it no more`);
  const refused = await finder.client.configMaps(stage.leaked, 'web');
  check(refused.code !== 0 && /unauthorized/i.test(refused.stderr), 'the same command still works');
  screen.meaning(
    'The lease is a Secret that the token is bound to, and it is gone. An API server that has just seen a token ' +
      'remembers it for 10 s at most; there is nothing else to wait for.',
  );
};

const tamper: Play = async ({ stage, ada }) => {
  const { screen, run, home } = ada;
  const verify = '--config broker.yaml --kubeconfig admin.kubeconfig';
  const whole = await run(`kleis-broker audit verify audit.jsonl ${verify} | sed 1,3d`);
  check(/^verified/m.test(whole.stdout), 'the audit is not whole');
  const lines = (await readFile(join(home.folder, 'audit.jsonl'), 'utf8')).split('\n');
  const line = 1 + lines.findIndex((each) => each.includes('"exchange"') && each.includes(stage.lease));
  check(line > 0, 'the audit does not name the lease');
  screen.aside(`somebody who would rather not have leaked it edits line ${line} of a copy`);
  await run(`sed '${line}s/:hotfix/:release/' audit.jsonl >edited.jsonl`);
  const edited = await run(`kleis-broker audit verify edited.jsonl ${verify} | sed 1,3d`);
  check(new RegExp(`edited.jsonl:${line}: edited`).test(edited.stdout), `line ${line} was not found out`);
  screen.meaning(
    'Each line holds the hash of the one before, and once a minute the last hash goes into the cluster, out of reach ' +
      'of who has the files.',
  );
};

const openPage: Play = async ({ telling, stage, ada }) => {
  const { screen } = ada;
  const { house, pause, open } = telling;
  const { url } = stage.broker;
  const answer = await fetch(url, { signal: house.interrupted });
  const page = await answer.text();
  check(answer.ok && page.includes('</html>'), `the page answers with ${answer.status}`);
  screen.aside(`the broker answers a browser with a page, too: ${url}`);
  if (!open) {
    screen.meaning(
      'Everybody sees there what they may do and what they were issued, and Ada every lease and every decision. ' +
        '`npm run demo -- --act admin --open` leaves it open to look at.',
    );
    return;
  }
  screen.address(url);
  screen.meaning(
    'Open it and sign in as `ada`, an admin, as `noel`, who is in no group, or with any other name as a developer. Any ' +
      'password will do. The tokens of two jobs are still there to be revoked. Enter ends the demo.',
  );
  if (house.realBrowser) await openBrowser(url);
  await pause.enter('Enter ends the demo …');
};

export const admin: Act = {
  title: 'an admin takes it back',
  starts: 'a broker, and three jobs that ask it for tokens',
  async prepare(telling) {
    const { house } = telling;
    const { screen } = house;
    const stage = await setAdminStage(house);
    const { broker } = stage;
    screen.fact('provider', `${broker.sso?.issuer} (oidc-provider, in this process)`);
    screen.fact('broker', `${broker.url} (kleis-broker serve, a process of its own)`);
    screen.fact('jobs', 'nightly, release and hotfix of acme/web have just got their tokens');
    const [ada, finder] = [await createTypist(house, broker.home), await createTypist(house, stage.leaky)];
    return toSteps({ telling, stage, ada, finder }, [
      ['Who holds a token now', listLeases],
      ['One of them has leaked', useLeaked],
      ['Revoked', revokeLeaked, 'pictured'],
      ['Somebody edits the audit', tamper],
      ['All of that on a page', openPage],
    ]);
  },
};

const seconds = (milliseconds: number) => (milliseconds / 1000).toFixed(1);
