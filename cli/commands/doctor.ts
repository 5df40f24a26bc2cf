import { formatJson } from '../../shared/json.ts';
import { readBundle, writeBundle } from '../doctor/bundle.ts';
import { examine } from '../doctor/examine.ts';
import { exitCodeOf } from '../doctor/finding.ts';
import { type OidcFlags, readExpected } from '../doctor/expected.ts';
import { countFindings, printFindings } from '../doctor/print.ts';
import type { OutputFlags } from '../settings/flags.ts';
import type { Deps } from '../surroundings/deps.ts';

export interface DoctorFlags extends OutputFlags, OidcFlags {
  context?: string;
  kubeconfig?: string;
  authenticationConfig?: string;
  signIn?: boolean;
  bundle?: string;
  cluster?: boolean;
}

/** `kleis doctor`: what is wrong between this machine and a cluster. Gives the exit code. */
export async function doctor(flags: DoctorFlags, deps: Deps): Promise<number> {
  const { context, kubeconfig, signIn = false, bundle } = flags;
  const expected = await readExpected(flags.authenticationConfig, flags);
  const examined = await examine({ context, kubeconfig, expected, signIn }, deps);
  const { findings, entry } = examined;
  const exitCode = exitCodeOf(findings);
  if (bundle !== undefined) await writeBundle(bundle, await readBundle(examined, deps), deps);
  const json = {
    ok: exitCode === 0,
    context: entry?.entry.context,
    exitCode,
    counts: countFindings(findings),
    findings,
  };
  deps.stdout.write(flags.output === 'json' ? formatJson(json) : printFindings(findings, deps));
  return exitCode;
}
