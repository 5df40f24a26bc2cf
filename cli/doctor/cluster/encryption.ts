import { clean } from '../../../shared/text.ts';
import { type DoctorFinding, ok, unknown, warning } from '../finding.ts';
import type { Metrics } from './metrics.ts';
import type { ServerFlags } from './server-flags.ts';

const transformations = /^apiserver_storage_transformation_(operations_total|duration_seconds_count)\{/;

/** Whether Secrets are encrypted where the API server keeps them, as far as it shows. */
export function checkEncryption(flags: ServerFlags, metrics: Metrics): DoctorFinding {
  const about = 'encryption';
  const seen = metrics.kind === 'read' ? [...metrics.labels(transformations, 'transformer_prefix')] : [];
  const keys = seen.filter((prefix) => prefix.startsWith('k8s:enc:'));
  if (keys.length > 0) {
    const kinds = [...new Set(keys.map((prefix) => clean(prefix.split(':')[2], 40)))].join(', ');
    return ok(about, `The API server encrypts what it keeps (${kinds}); of which resources, its configuration says.`);
  }
  if (flags.kind === 'known') {
    const file = flags.get('encryption-provider-config');
    if (file !== '') {
      return ok(about, `The API server has an encryption configuration (${flags.from}: ${file}).`, {
        why: metrics.kind === 'unknown' ? metrics.why : 'It has encrypted nothing yet since it started.',
      });
    }
    return warning(
      about,
      'unencrypted',
      `Secrets lie in etcd as they are: there is no encryption configuration (${flags.from}).`,
      {
        why: 'Whoever has a copy of etcd has every token without an end that is among them.',
        next: 'Start it with --encryption-provider-config (kubernetes.io, Encrypting Confidential Data at Rest), and delete such tokens.',
      },
    );
  }
  return unknown(about, 'Whether Secrets are encrypted where they are kept is not known.', {
    why: `${metrics.kind === 'unknown' ? metrics.why : 'Its metrics show no encryption, which those of another server may.'} ${flags.why}`,
    next: 'Who runs the API server knows --encryption-provider-config; elsewhere the console of its vendor does.',
  });
}
