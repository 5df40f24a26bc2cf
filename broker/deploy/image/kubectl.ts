import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Architecture } from './architecture.ts';
import { fits } from './download.ts';
import { kubectl } from './pins.ts';
import { type Entry, file } from './tree.ts';

/**
 * kubectl for the image of CI jobs: `kubectl-amd64` and `kubectl-arm64` in $KLEIS_KUBECTL, which must be what Kubernetes
 * released. Without that folder, to try it, the one of $KUBEBUILDER_ASSETS, whoever has built it. None where there is none.
 */
export function kubectlFiles(architecture: Architecture): Entry[] {
  const { KLEIS_KUBECTL: official, KUBEBUILDER_ASSETS: assets } = process.env;
  const path =
    official !== undefined
      ? join(official, `kubectl-${architecture}`)
      : architecture === 'amd64' && assets !== undefined && join(assets, 'kubectl');
  if (path === false || !existsSync(path)) return [];
  if (official !== undefined && !fits(path, kubectl[architecture])) {
    throw new Error(`${path} is not kubectl ${kubectl.version} as Kubernetes released it: its sum is another one.`);
  }
  return [file('usr/local/bin/kubectl', readFileSync(path), 0o755)];
}
