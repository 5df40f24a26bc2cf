import { formatJson } from '../../shared/json.ts';
import { shellWord } from '../../shared/shell.ts';
import { exitCodeOf } from '../doctor/finding.ts';
import { examineCluster } from '../doctor/cluster/examine.ts';
import { countFindings, printFindings, summarize } from '../doctor/print.ts';
import type { Deps } from '../surroundings/deps.ts';
import type { DoctorFlags } from './doctor.ts';

/** `kleis doctor --cluster`: what of a cluster gives access without an end. Gives the exit code. */
export async function doctorCluster(
  { context, kubeconfig, signIn = false, output }: DoctorFlags,
  deps: Deps,
): Promise<number> {
  const { findings, context: name } = await examineCluster({ context, kubeconfig, signIn }, deps);
  const exitCode = exitCodeOf(findings);
  if (output === 'json') {
    const json = { ok: exitCode === 0, context: name, exitCode, counts: countFindings(findings), findings };
    deps.stdout.write(formatJson(json));
    return exitCode;
  }
  const place = name === undefined ? '' : ` --context ${shellWord(name, deps.platform)}`;
  const shown = summarize(findings, `All of them: kleis doctor --cluster${place} -o json`);
  deps.stdout.write(printFindings(shown, deps, findings));
  return exitCode;
}
