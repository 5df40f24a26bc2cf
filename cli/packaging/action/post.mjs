// @ts-check
import { run, show, state, warn } from './runner.mjs';

// Takes back what the job got, however it ended. It fails no job: what is not taken back ends by itself.

const [kleis, kubeconfig, cache, context] = ['kleis', 'kubeconfig', 'cache', 'context'].map(state);
if (kleis && kubeconfig && cache && context) {
  const env = { ...process.env, KUBECONFIG: kubeconfig, KLEIS_CACHE_DIR: cache };
  const args = ['revoke', `--context=${context}`, `--kubeconfig=${kubeconfig}`];
  const { code, stdout, stderr } = await run(kleis, args, { env });
  show(`${stdout}${stderr}`);
  if (code !== 0) {
    warn(`What this job got was not taken back; it ends by itself when its time is over. ${stderr.trim()}`);
  }
}
