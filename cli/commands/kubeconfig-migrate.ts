import { KleisError } from '../../shared/errors.ts';
import { withoutLastSlash } from '../../shared/net/url.ts';
import { clean } from '../../shared/text.ts';
import { writePrivate } from '../files/private-files.ts';
import { changeKubeconfig, describePlan } from '../kubeconfig/change.ts';
import { backUp } from '../kubeconfig/write.ts';
import { type MigrationPlan, type MigrationRequest, planMigration } from '../migrate/plan.ts';
import { Untranslatable } from '../migrate/translation.ts';
import type { KubeconfigMigrateFlags, SignInFlags } from '../settings/flags.ts';
import { loadConfig } from '../settings/person.ts';
import { noteNode } from '../stores.ts';
import type { Deps } from '../surroundings/deps.ts';
import { embedAuthorities, filesOf, tellTry } from './kubeconfig-add.ts';
import { type Offer, readOffers } from '../init/offers.ts';

/** `kleis kubeconfig migrate [NAME…|--all]`: says what becomes of each entry, keeps a backup, then writes. */
export async function kubeconfigMigrate(
  names: readonly string[],
  flags: KubeconfigMigrateFlags,
  deps: Deps,
): Promise<void> {
  const { kubeconfig, dryRun, yes = false, all = false, from, ...rest } = flags;
  const typed: SignInFlags = await embedAuthorities(withoutVerbose(rest));
  checkNames(names, all, from === undefined && Object.keys(typed).length > 0);
  const { choices } = await loadConfig(deps);
  const offers = from === undefined ? undefined : await readOffers(from, typed, { yes, choices }, deps);
  const offer = offers && ((servers: readonly string[]) => offerFor(servers, offers, typed.grant));
  const request: MigrationRequest = { names, typed, choices, offer };

  const backups: string[] = [];
  const keep = async ({ values, secrets }: MigrationPlan) => {
    for (const { path, exists, mark, text } of values.keys()) {
      if (exists) backups.push(backUp(path, mark + text, deps.clock.now()));
    }
    for (const [path, secret] of secrets) await writePrivate(path, `${secret.reveal()}\n`);
  };
  const { outcome, plan } = await changeKubeconfig(
    { kubeconfig, dryRun, yes },
    (found) => planMigration(found, request, deps),
    deps,
    keep,
  );
  if (outcome === 'dry-run') deps.stdout.write(describePlan(plan));
  if (outcome === 'declined') deps.report.info('Nothing was changed.');
  if (outcome === 'unchanged') {
    for (const note of plan.notes ?? []) deps.report.info(note);
    deps.report.info('Nothing to migrate.');
  }
  if (outcome !== 'written') return;
  // A desktop program has another PATH than the shell that this runs in.
  noteNode(deps);
  const count = plan.changes.length;
  deps.report.info(`Migrated ${count === 1 ? 'one user' : `${count} users`} in ${filesOf(plan)}.`);
  for (const backup of backups) {
    deps.report.info(`What was there, secrets and all, is in ${clean(backup, 400)}: remove it when all works.`);
  }
  const [context] = plan.contexts;
  if (context !== undefined) tellTry(context, undefined, deps);
}

function checkNames(names: readonly string[], all: boolean, says: boolean): void {
  const hint = 'Name contexts, or pass --all. With --dry-run it says what would become of them.';
  if (names.length === 0 && !all) throw new KleisError('usage', 'It is not said which users to migrate.', { hint });
  if (names.length > 0 && all) throw new KleisError('usage', '--all and names say different things.', { hint });
  if (!all || !says) return;
  throw new KleisError('usage', 'With --all every entry says itself how to sign in.', {
    hint: 'Name the contexts that the other flags are for.',
  });
}

function withoutVerbose(flags: SignInFlags & { verbose?: boolean }): SignInFlags {
  const { verbose: _, ...rest } = flags;
  return rest;
}

function offerFor(servers: readonly string[], offers: readonly Offer[], grant: string | undefined): SignInFlags {
  const wanted = new Set(servers.map(addressOf));
  if (wanted.size !== 1) throw new Untranslatable(`is used for ${wanted.size} clusters, and a grant has one`);
  const found = offers.filter(
    ({ cluster, flags }) => wanted.has(addressOf(cluster.server)) && (grant ?? flags.grant) === flags.grant,
  );
  const [first, ...more] = found;
  if (first === undefined) throw new Untranslatable('is for a cluster that this address has nothing of for you');
  if (more.length === 0) return first.flags;
  const grants = found.map(({ flags }) => clean(flags.grant, 80)).join(', ');
  throw new Untranslatable(`has several grants there: say which with --grant, one of ${grants}`);
}

function addressOf(server: string): string {
  return withoutLastSlash(URL.parse(server)?.href ?? server);
}
