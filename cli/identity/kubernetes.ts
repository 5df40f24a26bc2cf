import { clean } from '../../shared/text.ts';
import { fromFile } from './file-or-variable.ts';
import type { Platform } from './platform.ts';

const fileVariable = 'KLEIS_KUBERNETES_TOKEN_FILE';
/** Where the examples of Kubernetes' documentation mount projected tokens. */
const usualFile = '/var/run/secrets/tokens/kleis';

/** A projected service account token (https://kubernetes.io/docs/concepts/storage/projected-volumes/), which the kubelet renews. */
export const kubernetes: Platform = {
  name: 'kubernetes',
  title: 'a Kubernetes pod',
  isHere: (env) => (env['KUBERNETES_SERVICE_HOST'] ?? env[fileVariable] ?? '') !== '',
  job: [],
  asks: false,
  issuer: () => undefined,
  hint: (audience) => `Give the projected volume \`serviceAccountToken: { audience: ${clean(audience)} }\`.`,
  getToken: async (_, { env, now }) =>
    fromFile(
      env[fileVariable] || usualFile,
      now(),
      `Mount a projected serviceAccountToken at ${usualFile}, or name its file in ${fileVariable}; see docs/ci/README.md.`,
    ),
};
